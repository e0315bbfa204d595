# SPDX-License-Identifier: Apache-2.0
"""Helpers of the tests that boot machines: keys, SSH, probes of a port."""

from __future__ import annotations

import errno
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from emulator.machines.podman_backend import PodmanBackend
from emulator.world.backend import IngressRule, MachineKey, MachineSpec

USER = "ann"


def allow(*ports: int, source: str) -> IngressRule:
    """Return a rule that opens TCP ports to one range."""
    return IngressRule("allow", "tcp", [(port, port) for port in ports], [source])


def key(name: str) -> MachineKey:
    """Return a machine's key in the tests' project."""
    return MachineKey("demo-project", "us-central1-a", name)


def spec(name: str, internal_ip: str, metadata: Mapping[str, str]) -> MachineSpec:
    """Return what create takes."""
    return MachineSpec(key(name), internal_ip=internal_ip, image="any", metadata=metadata)


def make_ssh_key(folder: Path) -> str:
    """Make a key pair `folder`/key and return the public one."""
    command = [
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "test",
        "-f",
        str(folder / "key"),
    ]
    subprocess.run(command, check=True)
    return (folder / "key.pub").read_text().strip()


@dataclass
class Ssh:
    """Logs in with a key, and only to hosts whose key is known beforehand."""

    folder: Path
    address: str
    host_keys: Mapping[str, str]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there; the exit status is ssh's, 255 where it could not log in."""
        known = self.folder / "known_hosts"
        known.write_text("".join(f"{self.address} {t} {k}\n" for t, k in self.host_keys.items()))
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "60",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        target = f"{USER}@{self.address}"
        argv = ["ssh", "-F", "none", *words, "-i", str(self.folder / "key"), target, command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def probe(address: str, port: int, seconds: float = 1.5) -> str:
    """Connect from this host: `open`, `refused`, `timeout`, or the name of another error."""
    try:
        with socket.create_connection((address, port), timeout=seconds):
            return "open"
    except TimeoutError:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def inside(backend: PodmanBackend, name: str, *command: str) -> str:
    """Run a command as root in a machine, past SSH, and return its output."""
    container = next(one.name for one in backend.machines() if one.key.name == name)
    return backend.podman.run("exec", container, *command)


def probe_from(backend: PodmanBackend, name: str, address: str, port: int) -> str:
    """Connect from inside a machine: `open`, `refused` or `timeout`."""
    code = (
        "import socket, sys\n"
        "host, port = sys.argv[1], int(sys.argv[2])\n"
        "try: socket.create_connection((host, port), timeout=1.5); print('open')\n"
        "except TimeoutError: print('timeout')\n"
        "except ConnectionRefusedError: print('refused')\n"
    )
    return inside(backend, name, "python3", "-c", code, address, str(port)).strip()


def serve(backend: PodmanBackend, name: str, port: int) -> None:
    """Start a server in a machine that answers each caller with the caller's address."""
    code = (
        "import socket\n"
        f"s = socket.create_server(('0.0.0.0', {port}))\n"
        "while True:\n"
        "    c, a = s.accept()\n"
        "    c.sendall(a[0].encode())\n"
        "    c.close()\n"
    )
    unit = f"--unit=test-{port}"
    inside(backend, name, "systemd-run", "--quiet", "--collect", unit, "python3", "-c", code)
    until = time.monotonic() + 120
    while probe_from(backend, name, "127.0.0.1", port) != "open":
        assert time.monotonic() < until, f"nothing listens on port {port}"
        time.sleep(0.1)


@dataclass
class Watch:
    """What became of the connections that were tried.

    Attributes:
        answers: (seconds since 1970, address, outcome) of each answered attempt.
        rounds: how often all addresses were tried.
    """

    answers: list[tuple[float, str, str]] = field(default_factory=list)
    rounds: int = 0


@contextmanager
def watching(subnet: str, port: int, hosts: Sequence[int]) -> Iterator[Watch]:
    """Meanwhile try `port` of these hosts of the subnet again and again, from this host.

    A refusal counts as an answer, like an open port: it takes a packet that got past the filter.
    """
    watch, stop = Watch(), threading.Event()
    addresses = [str(ip_network(subnet)[host]) for host in hosts]

    def loop() -> None:
        while not stop.is_set():
            _round(addresses, port, watch)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def _round(addresses: Sequence[str], port: int, watch: Watch) -> None:
    with ExitStack() as stack:
        attempts = {stack.enter_context(socket.socket()): address for address in addresses}
        since = time.time()
        for attempt, address in attempts.items():
            attempt.setblocking(False)
            attempt.connect_ex((address, port))
        watch.rounds += 1
        time.sleep(0.005)
        for attempt in select.select([], list(attempts), [], 0)[1]:
            code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code in (0, errno.ECONNREFUSED):
                outcome = errno.errorcode.get(code, "open")
                watch.answers.append((since, attempts[attempt], outcome))
