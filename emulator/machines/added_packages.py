# SPDX-License-Identifier: Apache-2.0
"""The machine's image with more Debian packages: made from it once, and kept by podman."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from emulator.machines import image
from emulator.machines.runtime import Podman

REPOSITORY = f"{image.REPOSITORY}-with-packages"
BUILD_SECONDS = 1800

# As on an image of a cloud: nothing of them runs yet, and each machine gets an identity of its own.
_INSTALL = """
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get -qq -o Acquire::Retries=5 update
apt-get -qq -o Acquire::Retries=5 install -y --no-install-recommends "$@"
for package; do
    [ ! -e "/lib/systemd/system/$package.service" ] || systemctl disable "$package.service"
done
apt-get clean
rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/*
: > /etc/machine-id
"""


def name(packages: Sequence[str]) -> str:
    """Return the podman name of the image."""
    made_from = "\0".join([image.fingerprint(), _INSTALL, *sorted(packages)])
    return f"{REPOSITORY}:{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def ensure(podman: Podman, packages: Sequence[str]) -> str:
    """Return the image's name, building it first where it is not there yet."""
    base, wanted = image.ensure(podman), name(packages)
    return image.once(podman, wanted, lambda: _build(podman, base, wanted, packages))


def _build(podman: Podman, base: str, wanted: str, packages: Sequence[str]) -> None:
    image.say(f"adding {len(packages)} packages once")
    container = wanted.rpartition("/")[2].replace(":", "-")
    podman.run("rm", "--force", "--ignore", container)  # of a build that was interrupted
    try:
        podman.run(
            "run",
            f"--name={container}",
            # The base was built from the host too, and what it reaches counts.
            "--network=host",
            *podman.ulimits,
            base,
            "/bin/sh",
            "-e",
            "-c",
            _INSTALL,
            "sh",
            *packages,
            timeout=BUILD_SECONDS,
        )
        change = ("--change", f"CMD {json.dumps(image.BOOT)}")
        podman.run("commit", "--quiet", *change, container, wanted, timeout=BUILD_SECONDS)
    finally:
        podman.run("rm", "--force", "--ignore", container)
