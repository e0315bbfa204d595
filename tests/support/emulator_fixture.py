# SPDX-License-Identifier: Apache-2.0
"""A live emulator in a process of its own, and a small client for tests that speak raw HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import requests
from google.auth.transport.requests import Request
from google.oauth2 import service_account

ROOT = Path(__file__).resolve().parents[2]
#: Longest that one answer may take; a bound against hanging, as machines may be busy.
TIMEOUT_S = 300.0
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
Json = dict[str, Any]


@dataclass
class Emulator:
    """One emulator; `start` and `stop` may follow each other on the same state.

    Attributes:
        project: the first of its projects.
        options: more command line options.
        log: where its standard error goes, if not to ours.
    """

    state: Path
    project: str = "demo-project"
    options: tuple[str, ...] = ()
    url: str = ""
    proxy_url: str = ""
    log: IO[str] | None = None
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """Base URL of the API."""
        return f"{self.url}/compute/v1"

    @property
    def credentials_file(self) -> Path:
        """A service account key that works."""
        return self.state / "credentials.json"

    @property
    def ca_file(self) -> Path:
        """The authority of the TLS port's certificate."""
        return self.state / "ca.pem"

    def start(self) -> None:
        """Starts the process and waits until it is ready."""
        command = [
            *(sys.executable, "-m", "emulator", "serve", "--port", "0", "--proxy-port", "0"),
            *("--state-dir", str(self.state), "--project", self.project, *self.options),
        ]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, value = line.strip().partition(" ")
            if word == "proxy":
                self.proxy_url = value
            if word == "ready":
                self.url = value
                return
        self.process.stdout.close()
        status = self.process.wait()
        self.process = None
        raise AssertionError(f"the emulator ended with {status}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the process; returns its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(timeout=TIMEOUT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return status

    def admin(self, verb: str, path: str, body: Json | None = None) -> Json:
        """One of the emulator's own controls; `path` is below /emulator/v1/."""
        url = f"{self.url}/emulator/v1/{path}"
        answer = requests.request(verb, url, json=body, timeout=TIMEOUT_S)
        answer.raise_for_status()
        result: Json = answer.json()
        return result

    def environment(self) -> dict[str, str]:
        """For unmodified Google clients: the proxy, the authority, the key."""
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return kept | {
            "HTTPS_PROXY": self.proxy_url,
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "SSL_CERT_FILE": str(self.ca_file),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials_file),
        }


def access_token(emulator: Emulator) -> str:
    """A token for the emulator's service account, got the way Google's libraries get it."""
    credentials = service_account.Credentials.from_service_account_file(
        emulator.credentials_file, scopes=SCOPES
    )
    credentials.refresh(Request())
    return str(credentials.token)


class Api:
    """Calls the API with a token from the emulator; paths are below `projects/PROJECT/`."""

    def __init__(self, emulator: Emulator) -> None:
        self.base = f"{emulator.endpoint}/projects/{emulator.project}"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {access_token(emulator)}"

    def call(
        self,
        verb: str,
        path: str,
        body: Json | None = None,
        params: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        """Status and JSON."""
        url = f"{self.base}/{path}".rstrip("/")
        answer = self.session.request(verb, url, json=body, params=params, timeout=TIMEOUT_S)
        return answer.status_code, answer.json()

    def get(self, path: str, **params: str) -> Json:
        """A GET that must succeed."""
        status, answer = self.call("GET", path, params=params)
        assert status == 200, answer
        return answer

    def error(self, verb: str, path: str, body: Json | None = None, **params: str) -> Json:
        """The `error` of a request that must fail."""
        status, answer = self.call(verb, path, body, params)
        assert status >= 400, answer
        assert answer["error"]["code"] == status
        error: Json = answer["error"]
        return error

    def run(self, verb: str, path: str, body: Json | None = None, **params: str) -> Json:
        """Begins an operation and returns it once it is DONE."""
        status, operation = self.call(verb, path, body, params)
        assert status == 200, operation
        return self.wait(operation)

    def wait(self, operation: Json) -> Json:
        """The operation once it is DONE."""
        path = operation["selfLink"].split(f"/projects/{self.base.rsplit('/', 1)[1]}/")[1]
        until = time.monotonic() + TIMEOUT_S
        while True:  # it answers after two minutes also where it has not ended
            status, done = self.call("POST", f"{path}/wait")
            assert status == 200
            if done["status"] == "DONE":
                return done
            assert time.monotonic() < until, done

    def must(self, verb: str, path: str, body: Json | None = None, **params: str) -> Json:
        """Like run, for an operation that must succeed."""
        done = self.run(verb, path, body, **params)
        assert "error" not in done, done["error"]
        return done


ZONE = "us-central1-a"
IMAGE = (
    "projects/deeplearning-platform-release/global/images/family/"
    "pytorch-2-9-cu129-ubuntu-2404-nvidia-580"
)


def instance_body(name: str, machine_type: str = "g2-standard-4", **more: Any) -> Json:
    """A request for an instance as it is usually made."""
    body: Json = {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/{machine_type}",
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {"sourceImage": IMAGE, "diskSizeGb": "50"},
            }
        ],
        "networkInterfaces": [
            {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
        ],
        "scheduling": {"onHostMaintenance": "TERMINATE"},
    }
    return body | more
