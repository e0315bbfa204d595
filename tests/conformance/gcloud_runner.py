# SPDX-License-Identifier: Apache-2.0
"""gcloud, unmodified, against the emulator by its documented endpoint override."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.emulator_fixture import ZONE, Emulator, access_token

# Set to 1 by who knows that there is none here: the tests that need it are then left out.
GO_WITHOUT = "GCE_VLLM_NO_GCLOUD"
WHY_NOT = (
    "gcloud, which these tests run unmodified, is not installed: install the Google Cloud CLI, or "
    f"set {GO_WITHOUT}=1 to leave them out."
)


def installed() -> bool:
    """Whether there is a gcloud on the PATH."""
    return shutil.which("gcloud") is not None


FAMILY = "pytorch-2-9-cu129-ubuntu-2404-nvidia-580"
IMAGES = "deeplearning-platform-release"


class GcloudError(AssertionError):
    """gcloud ended with an error; the text is what it said."""


class Gcloud:
    """Runs `gcloud compute …` in a home of its own; call it with the words of a command."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        token = folder / "token"
        token.write_text(access_token(emulator), encoding="utf-8")
        # These two would win over gcloud's own setting of an authority.
        dropped = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in dropped},
            "HOME": str(folder),
            "CLOUDSDK_CONFIG": str(folder / "config"),
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{emulator.endpoint}/",
            "CLOUDSDK_CORE_PROJECT": emulator.project,
            "CLOUDSDK_COMPUTE_ZONE": ZONE,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def __call__(self, *words: str) -> Any:
        """The command's JSON.

        Raises:
            GcloudError: it ended with an error.
        """
        done = subprocess.run(
            ["gcloud", "compute", *words, "--format=json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise GcloudError(done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def tutorial(self, name: str, *more: str, machine_type: str = "g2-standard-4") -> Any:
        """Create an instance with the flags that the tutorials for GPU machines give."""
        return self(
            *("instances", "create", name, f"--machine-type={machine_type}"),
            *(f"--image-family={FAMILY}", f"--image-project={IMAGES}"),
            *("--maintenance-policy=TERMINATE", "--boot-disk-size=100GB"),
            *("--boot-disk-type=pd-balanced", "--metadata=install-nvidia-driver=True"),
            *("--scopes=https://www.googleapis.com/auth/cloud-platform", "--tags=llm-server"),
            *more,
        )
