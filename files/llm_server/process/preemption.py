# SPDX-License-Identifier: Apache-2.0
"""Ends the service when Compute Engine takes the Spot instance back: `preemption.py UNIT SECONDS`.

The metadata server says so 30 seconds before the power goes
(docs.cloud.google.com/compute/docs/instances/spot, and .../metadata/querying-metadata for how a
value is waited for). From then on nobody is let in, who is in may finish, and whoever is not done
after SECONDS hears that the server stops.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

logger = logging.getLogger("llm_server.preemption")

#: By its address: no name server is asked. The variable is the one of Google's own libraries.
HOST = os.environ.get("GCE_METADATA_HOST", "169.254.169.254")
SYSTEMCTL = "/usr/bin/systemctl"
#: The metadata server answers a waiting request after so long in any case.
WAIT_S = 300
PAUSE_S = 5.0


class Metadata:
    """Values of this instance; a value can be waited for."""

    def __init__(self, host: str = HOST) -> None:
        self._root = f"http://{host}/computeMetadata/v1/instance/"
        self._etag = "0"
        # No proxy leads to it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> str:
        """A value as it is.

        Raises:
            OSError: there is no metadata server, or it has no such value.
        """
        return self._read(path, 10)[0]

    def changed(self, path: str) -> str:
        """A value as soon as it differs from what was last read here, or after a while."""
        query = f"?wait_for_change=true&timeout_sec={WAIT_S}&last_etag={self._etag}"
        value, self._etag = self._read(path + query, WAIT_S + 30)
        return value

    def _read(self, path: str, timeout: float) -> tuple[str, str]:
        url = self._root + path
        request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})  # noqa: S310
        with self._opener.open(request, timeout=timeout) as answer:
            return answer.read().decode().strip(), answer.headers.get("ETag") or "0"


def wait(metadata: Metadata, pause: Callable[[float], None] = time.sleep) -> bool:
    """Returns when the instance is taken back; False where that never happens to it."""
    while True:
        try:
            if metadata.get("scheduling/preemptible") != "TRUE":
                return False
            # The first answer comes at once: no etag is known yet.
            while metadata.changed("preempted") != "TRUE":
                pass
            return True
        except urllib.error.HTTPError as error:
            logger.warning("The metadata server answers %s; asking again", error.code)
        except (OSError, ValueError) as error:
            logger.warning("The metadata server can't be read (%s); asking again", error)
        pause(PAUSE_S)


def drain(unit: str, seconds: float, pause: Callable[[float], None] = time.sleep) -> None:
    """Stop the unit; what still runs after the time is cut off by a second signal."""
    logger.warning("Google takes this instance back: stopping %s within %g s", unit, seconds)
    subprocess.run([SYSTEMCTL, "stop", "--no-block", unit], check=True, timeout=10)
    pause(seconds)
    # It may have ended: then there is nothing to tell.
    again = ["kill", "--kill-who=main", "--signal=SIGTERM", unit]
    subprocess.run([SYSTEMCTL, *again], check=False, timeout=10, capture_output=True)


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    unit, seconds = sys.argv[1], float(sys.argv[2])
    if wait(Metadata()):
        drain(unit, seconds)
    else:
        logger.info("This is no Spot instance: nobody takes it back")


if __name__ == "__main__":
    main()
