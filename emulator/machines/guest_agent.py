# SPDX-License-Identifier: Apache-2.0
"""Runs inside a machine, once per call, and does what Google's guest agent does there.

Reads from standard input {"wait": seconds, "accounts": {user: [key, ...]} or null} and writes
{"hostkeys": {type: key}}. With `wait` it first waits for sshd; with `accounts` it makes these
users and takes the keys and the rights of those that it made before and that are no longer named.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MANAGED_USERS = Path("/var/lib/google/google_users")
SUDOERS = "google-sudoers"
MARK = "# Added by Google"
POLL_SECONDS = 0.05


def main() -> int:
    """Do what standard input asks; 3 if sshd did not answer in time."""
    order = json.load(sys.stdin)
    if order["accounts"] is not None:
        apply_accounts(order["accounts"])
    state = wait_for_ssh(order["wait"]) if order["wait"] else None
    if state is not None:
        sys.stderr.write(state)
        return 3
    json.dump({"hostkeys": host_keys(Path("/etc/ssh"))}, sys.stdout)
    return 0


def apply_accounts(accounts: dict[str, list[str]]) -> None:
    """Make users, set their keys, and take back what is no longer desired."""
    before = set(MANAGED_USERS.read_text().split()) if MANAGED_USERS.exists() else set()
    for user, keys in accounts.items():
        with one_at_a_time(user):
            if user not in before:
                make_user(user)
            set_keys(user, keys)
    for user in before - set(accounts):
        with one_at_a_time(user):
            set_keys(user, [])
            run("gpasswd", "--delete", user, SUDOERS)
    MANAGED_USERS.parent.mkdir(parents=True, exist_ok=True)
    MANAGED_USERS.write_text("".join(f"{user}\n" for user in sorted(accounts)))


@contextmanager
def one_at_a_time(user: str) -> Iterator[None]:
    """Say what went wrong with a user, and let the others have their turn."""
    try:
        yield
    except (OSError, KeyError) as error:
        sys.stderr.write(f"{user}: {error}\n")


def make_user(user: str) -> None:
    """Make the user where it is missing, and let it use sudo without a password."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        # Metadata may hold names, such as those with capitals, that useradd itself would refuse
        run("useradd", "--badname", "--create-home", "--shell=/bin/bash", "--password=*", user)
    run("usermod", "--append", "--groups", SUDOERS, user)


def set_keys(user: str, keys: list[str]) -> None:
    """Make the marked keys of the user's authorized_keys exactly `keys`; other lines stay."""
    account = pwd.getpwnam(user)
    folder = Path(account.pw_dir) / ".ssh"
    path = folder / "authorized_keys"
    # As the user, so that a link in its home leads nowhere that it could not go itself
    with acting_as(account):
        before = path.read_text() if path.exists() else ""
        after = merged(before, keys)
        if after == before:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        part = folder / ".authorized_keys.part"
        part.touch(mode=0o600)
        part.write_text(after)
        part.replace(path)


def merged(text: str, keys: list[str]) -> str:
    """Return authorized_keys' text with the marked keys replaced by `keys`."""
    kept: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line == MARK:
            next(lines, None)
        else:
            kept.append(line)
    marked = [line for key in keys for line in (MARK, key)]
    return "".join(f"{line}\n" for line in [*kept, *marked])


@contextmanager
def acting_as(account: pwd.struct_passwd) -> Iterator[None]:
    """Use the account's rights on files meanwhile."""
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def wait_for_ssh(seconds: float) -> str | None:
    """Wait until a user could log in; return what was missing if that took too long."""
    deadline = time.monotonic() + seconds
    while True:
        missing = missing_for_ssh()
        if missing is None:
            return None
        if time.monotonic() > deadline:
            return f"{missing}; systemd says: {systemd_state()}"
        time.sleep(POLL_SECONDS)


def missing_for_ssh() -> str | None:
    """Return what keeps users from logging in; None if nothing does."""
    try:
        with socket.create_connection(("127.0.0.1", 22), timeout=10) as connection:
            if connection.recv(4) != b"SSH-":
                return "sshd accepts connections but does not greet"
    except OSError as error:
        return f"sshd does not answer ({error})"
    if Path("/run/nologin").exists():
        return "logins are closed while the machine boots (/run/nologin)"
    return None


def systemd_state() -> str:
    """Return the state of systemd and of the units that failed, in one line."""
    state = run("systemctl", "is-system-running")
    failed = run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    return f"{state.strip()} {' '.join(failed.split())}".strip()


def host_keys(folder: Path) -> dict[str, str]:
    """Return this machine's public SSH host keys by type, base64."""
    keys = {}
    for path in sorted(folder.glob("ssh_host_*_key.pub")):
        kind, key = path.read_text().split()[:2]
        keys[kind] = key
    return keys


def run(*argv: str) -> str:
    """Run a program and return what it printed, whatever its exit status."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode and argv[0] != "systemctl":
        sys.stderr.write(f"{' '.join(argv)}: {done.stderr.strip()}\n")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
