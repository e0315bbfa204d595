# SPDX-License-Identifier: Apache-2.0
"""The stand-in's disk image: a small Debian with systemd and sshd, built once and cached."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from emulator.machines import attempts
from emulator.machines.runtime import Podman
from emulator.world.backend import MachineError

REPOSITORY = "localhost/gce-vllm/machine"
SUITE = "bookworm"
ROOTFS = Path(__file__).with_name("rootfs")

# A real machine's mounts are shared between its mount namespaces, and systemd leaves that to the
# container manager; podman makes them private, and then units get no credentials (LoadCredential=).
BOOT = ["/bin/sh", "-c", "mount --make-rshared / && exec /sbin/init"]
# Without it apt brings in the converter for old layouts, and 50 MB of Perl with it.
MERGED_USR_HOOKS = "/usr/share/mmdebstrap/hooks/merged-usr"

# What a Deep Learning VM has that the roles rely on. Nothing of NVIDIA's: there is no GPU here,
# and pretending otherwise would hide what the roles must detect.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "libnuma1",  # vLLM's CPU build loads it
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
    "usr-is-merged",
)
UNREAD = ("doc", "info", "lintian", "linda", "man", "locale", "bash-completion")
UNWANTED_UNITS = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer")

#: Between the attempts to build it.
PAUSES_S = (10, 30)

# mmdebstrap runs each with the root folder as $1
HOOKS = (
    'chmod 0440 "$1/etc/sudoers.d/google_sudoers"',
    'chroot "$1" groupadd --system google-sudoers',
    f'chroot "$1" systemctl mask {" ".join(UNWANTED_UNITS)}',
    'chroot "$1" systemctl enable ssh-host-keys.service',
    # Every machine gets an identity of its own on its first boot.
    'rm -f "$1"/etc/ssh/ssh_host_*',
    ': > "$1/etc/machine-id"',
    'rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
)


def _own_files() -> list[Path]:
    return sorted(path for path in ROOTFS.rglob("*") if path.is_file())


def _uploads() -> list[str]:
    """Return the hooks that copy our files, with modes that do not depend on the checkout's."""
    hooks = []
    for path in _own_files():
        target = f"/{path.relative_to(ROOTFS).as_posix()}"
        hooks += [f"upload {shlex.quote(str(path))} {target}", f'chmod 0644 "$1{target}"']
    return hooks


def recipe() -> list[str]:
    """Return mmdebstrap's arguments, without the output file and the mirror."""
    return [
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--hook-dir={MERGED_USR_HOOKS}",
        f"--include={','.join(PACKAGES)}",
        # The root folder is thrown away if the build dies, so waiting for the disk buys nothing.
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNREAD),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *(f"--customize-hook={hook}" for hook in (*_uploads(), *HOOKS)),
    ]


def fingerprint() -> str:
    """Return a short hash of everything that the image is made from, apart from the mirror."""
    digest = hashlib.sha256("\0".join([SUITE, *PACKAGES, *UNREAD, *UNWANTED_UNITS, *BOOT]).encode())
    digest.update("\0".join(HOOKS).encode())
    for path in _own_files():
        digest.update(path.relative_to(ROOTFS).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def name() -> str:
    """Return the podman name of the image."""
    return f"{REPOSITORY}:{fingerprint()}"


def cache_folder() -> Path:
    """Return the folder that holds root file systems; made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "gce-vllm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure(podman: Podman) -> str:
    """Return the image's name, building it first where it is not there yet.

    A cold build takes about a minute; with the root file system cached, importing it takes
    seconds.
    """
    return once(podman, name(), lambda: _import(podman))


def once(podman: Podman, wanted: str, make: Callable[[], None]) -> str:
    """Return `wanted`, the name of an image, after `make` has made it where podman has none.

    Several processes may ask at once: one makes it and the others wait.
    """
    if exists(podman, wanted):
        return wanted
    with (cache_folder() / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever had the lock may have made it.
        if not exists(podman, wanted):
            make()
    return wanted


def _import(podman: Podman) -> None:
    tarball = cache_folder() / f"machine-{fingerprint()}.tar"
    if not tarball.exists():
        # A mirror may fail for a moment.
        attempts.several(lambda: _build(tarball), pauses_s=PAUSES_S, failure=MachineError)
    say(f"importing {tarball}")
    command = f"CMD {json.dumps(BOOT)}"
    podman.run("import", "--change", command, str(tarball), name(), timeout=1800)


def exists(podman: Podman, wanted: str) -> bool:
    """Whether podman has an image of that name."""
    return bool(podman.run("images", "--quiet", "--filter", f"reference={wanted}").strip())


def _build(tarball: Path) -> None:
    """Make the root file system; a half-made one never gets the final name."""
    say(f"building the machine image once ({SUITE}, {len(PACKAGES)} packages)")
    started = time.monotonic()
    part = tarball.with_suffix(".part")
    mirror = os.environ.get("GCE_VLLM_DEBIAN_MIRROR")
    argv = ["mmdebstrap", *recipe(), SUITE, str(part), *([mirror] if mirror else [])]
    log = tarball.with_suffix(".log")
    try:
        with (
            log.open("w") as output,
            subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process,
        ):
            for line in process.stdout or ():
                output.write(line)
                if line.startswith("I: ") and "hook" not in line:
                    say(line[3:].strip())
        if process.returncode:
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise MachineError(
                f"The machine image could not be built. Is Debian's mirror reachable? Another one "
                f"can be named in GCE_VLLM_DEBIAN_MIRROR. Log: {log}\n{tail}"
            )
        part.replace(tarball)
        log.unlink()
        for other in tarball.parent.glob("machine-*.tar"):
            if other != tarball:  # of a recipe that is no more
                other.unlink()
    finally:
        part.unlink(missing_ok=True)
    size = tarball.stat().st_size / 1e6
    say(f"built {tarball.name}: {size:.0f} MB in {time.monotonic() - started:.0f} s")


def say(line: str) -> None:
    """Tell whoever waits for it what goes on."""
    sys.stderr.write(f"image: {line}\n")
    sys.stderr.flush()
