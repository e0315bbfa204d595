# SPDX-License-Identifier: Apache-2.0
"""The role llm_server over releases that only pretend: what fails is put back, and by hand too.

In a mount namespace of its own, where a stand-in for systemctl runs what the unit says. The same
with a real vLLM is molecule/upgrade.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.ports import free_port
from tests.support.exhaustive import only_in_full
from tests.support.playbook_runs import PROGRAM, ansible_playbook

pytestmark = pytest.mark.podman
ROOT = Path(__file__).parents[3]
KEY = "a-key-for-tests-only"
OVERLAID = ("/etc", "/opt", "/run", "/var/cache")
# Its own settings say on which port. A release that is broken has a file of that name.
SERVER = """\
import http.server, json, re, sys
settings = open(sys.argv[sys.argv.index("--config") + 1]).read()
if "shutdown_timeout: 13" in settings:
    sys.exit(1)
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def do_GET(self):
        self.answer(200, {"status": "healthy", "model_loaded": True, "model": "m", "message": ""})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        known = "KEY" in self.headers.get("Authorization", "")
        self.answer(200 if known else 401, {"choices": [{"message": {"content": "Paris"}}]})
    def log_message(self, *_):
        pass
port = int(re.search(r"^port: (\\d+)", settings, re.MULTILINE)[1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
""".replace("KEY", KEY)
PYTHON = """\
#!/bin/bash
release=$(dirname "$(dirname "$0")")
case "$*" in
*--check-config*)
    test ! -e $release/refuses || { echo "x.source.yaml: this release refuses it" >&2; exit 2; } ;;
*--check-access*) ;;
*-m\\ llm_server*) test ! -e $release/broken || exit 1; exec -a "$0" /usr/bin/python3 SERVER "$@" ;;
esac
"""
SYSTEMCTL = """\
#!/usr/bin/python3
import hashlib, os, pathlib, re, signal, subprocess, sys, time, urllib.request
unit = pathlib.Path("/etc/systemd/system/llm-server.service")
pid_file = pathlib.Path("/run/llm.pid")
runtime = pathlib.Path("/run/llm-server")
words = [word for word in sys.argv[1:] if not word.startswith("-")]
def pid():
    number = int(pid_file.read_text()) if pid_file.exists() else 0
    return number if number and pathlib.Path(f"/proc/{number}/cmdline").exists() and (
        pathlib.Path(f"/proc/{number}/cmdline").read_bytes()) else 0
def stop():
    if pid():
        os.kill(pid(), signal.SIGKILL)
        while pid():
            time.sleep(0.01)
def start():
    if runtime.exists():
        for path in runtime.iterdir():
            path.unlink()
        runtime.rmdir()
    runtime.mkdir()
    command = re.search(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)[1].split()
    null = open(os.devnull, "r+b")
    quiet = {"stdin": null, "stdout": null, "stderr": null}
    child = subprocess.Popen(command, start_new_session=True, **quiet)
    pid_file.write_text(str(child.pid))
    for _ in range(6000):
        if child.poll() is not None:
            sys.exit("Job for llm-server.service failed")
        try:
            settings = open("/etc/llm-server/settings.yaml").read()
            port = re.search(r"^port: (\\d+)", settings, re.M)[1]
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").read()
            (runtime / "access_read").touch()
            os.utime(runtime)
            return
        except OSError:
            time.sleep(0.1)
loading = pathlib.Path("/run/llm.loading")  # for how many looks more
def state_now():
    if not pid():
        return "inactive"
    left = int(loading.read_text()) if loading.exists() else 0
    loading.write_text(str(max(left - 1, 0)))
    return "activating" if left else "active"
if words[0] == "show":
    state = state_now()
    print(f"Id=llm-server.service\\nLoadState={'loaded' if unit.exists() else 'not-found'}")
    print(f"ActiveState={state}\\nSubState=x\\nMainPID={pid()}\\nUnitFileState=enabled\\nNRestarts=0")
elif words[0] == "reload":
    (runtime / "access_read").touch()
    with open("/run/llm.reloads", "a") as file:
        file.write(hashlib.sha256(open("/etc/llm-server/access.yaml", "rb").read()).hexdigest())
elif words[0] in ("restart", "start"):
    if words[1] != unit.name:
        sys.exit()  # what watches for a Spot instance's end: here is none
    if pathlib.Path("/run/llm.hangs").exists():
        pathlib.Path("/run/llm.hangs").write_text("it does")
        time.sleep(3600)
    stop()
    start()
elif words[0] == "is-enabled":
    print("enabled")
elif words[0] == "is-active":
    print("active" if pid() else "inactive")
    sys.exit(0 if pid() else 3)
"""


# Mount namespaces are the tests' own, processes are not: of releases that are called alike, those
# of one worker would seem to run while those of another do.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:].zfill(2)


def full_name(letter: str) -> str:
    """The tests call releases by a letter, where the role vllm_venv takes a lock's checksum."""
    return f"{letter * 10}{WORKER}-cpu"


class Machine:
    """A host of its own, as far as files go."""

    def __init__(self, folder: Path, port: int, like: Path | None = None) -> None:
        """Make it, with the files of the machine that was in the folder `like`."""
        self.folder = folder
        self.port = port
        (folder / "bin").mkdir()
        (folder / "server.py").write_text(SERVER)
        journal = "#!/bin/sh\necho 'CRITICAL llm_server broken on purpose'\n"
        nothing = "#!/bin/sh\nexit 0\n"
        for name, text in (
            ("systemctl", SYSTEMCTL),
            ("journalctl", journal),
            ("systemd-analyze", nothing),
        ):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        layers = []
        if like:
            subprocess.run(["cp", "-a", like / "upper", folder / "upper"], check=True)
        for place in OVERLAID:
            upper, work = folder / f"upper{place}", folder / f"work{place}"
            upper.mkdir(parents=True, exist_ok=True)
            work.mkdir(parents=True)
            options = f"lowerdir={place},upperdir={upper},workdir={work}"
            layers.append(f"mount -t overlay overlay -o {options} {place}")
        ready = folder / "ready"
        script = " && ".join([*layers, f"touch {ready}", "exec sleep infinity"])
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        )
        while not ready.exists():
            assert self._holder.poll() is None
            time.sleep(0.02)

    def _path(self) -> str:
        return f"{self.folder / 'bin'}:/usr/sbin:/sbin:{os.environ['PATH']}"

    def begin(self, *command: str | Path) -> subprocess.Popen[str]:
        """A command in there, in a session of its own."""
        return subprocess.Popen(
            ["nsenter", "--target", str(self._holder.pid), "--mount", f"--wd={ROOT}", *command],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": self._path(),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def inside(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        begun = self.begin(*command)
        return subprocess.CompletedProcess(
            command, stdout=begun.communicate()[0], returncode=begun.returncode
        )

    def shell(self, command: str) -> str:
        """What it printed; a letter stands for the release that is called so."""
        whole = re.sub(r"(?<=releases/)[a-f]\b", lambda letter: full_name(letter[0]), command)
        return self.inside("bash", "-ec", whole).stdout.strip()

    def build(self, name: str, *traits: str) -> None:
        """A release that the role vllm_venv would have built, and switched to."""
        text = PYTHON.replace("SERVER", str(self.folder / "server.py"))
        (self.folder / "python").write_text(text)
        release = f"/opt/vllm/releases/{name}"
        self.shell(
            f"mkdir -p {release}/bin; install -m755 {self.folder}/python {release}/bin/python; "
            f"touch {release}/.passed {' '.join(f'{release}/{one}' for one in traits)}; "
        )

    def run(self, release: str, *options: str, **more: Any) -> tuple[str, bool]:
        """The role with what vllm_venv leaves behind; what was said, and whether it worked."""
        python = f"/opt/vllm/releases/{full_name(release)}/bin/python"
        result = {"python": python, "lock_sha256": release, "changed": False}
        result |= {"link": "/opt/vllm/venv", "releases": "/opt/vllm/releases"}
        return self._play("main", *options, vllm_venv_result=result, **more)

    def rollback(self, *options: str, **more: Any) -> tuple[str, bool]:
        return self._play("rollback", *options, **more)

    def rollback_that_is_killed(self) -> None:
        """While the service restarts."""
        self.shell("touch /run/llm.hangs")
        begun = self.begin(PROGRAM, *self._arguments("rollback"))
        while not self.shell("cat /run/llm.hangs"):
            assert begun.poll() is None
            time.sleep(0.1)
        os.killpg(begun.pid, signal.SIGKILL)
        begun.communicate()
        self.shell("rm /run/llm.hangs")

    def _play(self, tasks_from: str, *options: str, **more: Any) -> tuple[str, bool]:
        done = ansible_playbook(
            *self._arguments(tasks_from, *options, **more),
            environment={"PATH": self._path()},
            mounts_of=self._holder.pid,
            merged=True,
        )
        assert "Traceback" not in done.stdout and KEY not in done.stdout, done.stdout
        said = re.sub(rf"\b([a-f])\1{{9}}{WORKER}-cpu\b", r"\1", " ".join(done.stdout.split()))
        return said, done.returncode == 0

    def _arguments(self, tasks_from: str, *options: str, **more: Any) -> list[str | Path]:
        variables = {
            "ansible_python_interpreter": sys.executable,
            "llm_api_key": KEY,
            "llm_api_port": self.port,
            "llm_model": "m",
            "llm_device": "cpu",
            "llm_server_model_path": "/var/lib/m",
            # Namespaces of files are the tests' own, the packet filter is this machine's.
            "llm_server_metadata_access": True,
            # The journal's service too is this machine's. molecule/llm_server tries its bounds.
            "llm_server_journal_max_gb": 0,
            "llm_server_journal_max_days": 0,
            **more,
        }
        role = {"name": "llmops.gce_vllm.llm_server", "tasks_from": tasks_from}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        tasks = [{"ansible.builtin.include_role": role}]
        (self.folder / "vars.json").write_text(json.dumps(variables))
        (self.folder / "play.yml").write_text(json.dumps([{**play, "tasks": tasks}]))
        extra: list[str | Path] = ["-e", f"@{self.folder / 'vars.json'}", self.folder / "play.yml"]
        return ["-i", "localhost,", *extra, *options]

    def serves(self) -> tuple[str, str, str]:
        """Link, release of the process, process."""
        link = self.shell("basename $(readlink -f /opt/vllm/venv)")[:1]
        pid = self.shell("cat /run/llm.pid")
        program = self.shell(f"tr '\\0' '\\n' < /proc/{pid}/cmdline | head -1")
        return link, program.split("releases/")[-1][:1] if "releases" in program else "", pid

    def close(self) -> None:
        """End all that runs in there: also what a run that was killed had begun."""
        spaces = Path(f"/proc/{self._holder.pid}/ns/mnt").readlink()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                if Path(f"/proc/{process.pid}/ns/mnt").readlink() == spaces:
                    process.kill()
        self._holder.wait()


@pytest.fixture(scope="module")
def port() -> int:
    """What all machines of a worker serve on, one after the other: it is in their settings."""
    return free_port()


@pytest.fixture
def bare(tmp_path: Path, port: int) -> Iterator[Machine]:
    """One on which no server was installed yet."""
    one = Machine(tmp_path, port)
    yield one
    one.close()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, port: int) -> Path:
    """The folder of a machine that the role has set up, and that is down."""
    one = Machine(tmp_path_factory.mktemp("installed"), port)
    try:
        one.build("a")
        switch(one, "a")
        said, worked = one.run("a")
        assert worked, said
        assert one.serves()[:2] == ("a", "a")
    finally:
        one.close()
    return one.folder


@pytest.fixture
def machine(tmp_path: Path, port: int, installed: Path) -> Iterator[Machine]:
    """One whose release a serves, by a run of the role, and that was booted since."""
    one = Machine(tmp_path, port, like=installed)
    one.shell("rm -f /run/llm.pid; systemctl start llm-server.service")
    assert one.serves()[:2] == ("a", "a")
    yield one
    one.close()


def switch(machine: Machine, release: str) -> None:
    machine.shell(f"ln -sfn releases/{release} /opt/vllm/venv")


def test_what_does_not_serve_is_put_back_and_not_tried_again(machine: Machine) -> None:
    machine.build("b", "broken")
    first = machine.serves()[2]
    said, worked = machine.run("a")
    assert worked and "changed=0" in said and machine.serves()[2] == first, said

    # One that can't serve, with settings of its own: both are put back.
    switch(machine, "b")
    said, worked = machine.run("b", llm_server_shutdown_timeout=7)
    assert not worked
    assert "broken on purpose" in said and "Release a was put back with its settings" in said
    assert "answered 200" in said
    assert machine.serves()[:2] == ("a", "a")
    assert "shutdown_timeout: 30" in machine.shell("cat /etc/llm-server/settings.yaml")

    # With other settings it is tried again; with the same ones not, and what serves is left alone.
    said, worked = machine.run("b", llm_server_shutdown_timeout=8)
    assert not worked and "Release a was put back" in said
    put_back = machine.serves()
    assert put_back[:2] == ("a", "a")
    machine.shell("rm /opt/vllm/releases/b/broken")
    said, worked = machine.run("b", llm_server_shutdown_timeout=8)
    assert not worked and "did not become ready" in said and "vllm_venv_retry" in said
    assert machine.serves() == put_back
    said, worked = machine.run("b", llm_server_shutdown_timeout=8, vllm_venv_retry=True)
    assert worked, said
    assert machine.serves()[:2] == ("b", "b")
    assert machine.shell("ls -A /opt/vllm/releases/b").split() == [".passed", ".served", "bin"]


def test_a_release_that_refuses_the_settings_never_comes_near_the_service(
    machine: Machine,
) -> None:
    machine.build("c", "refuses")
    before = machine.serves()
    switch(machine, "c")
    said, worked = machine.run("c", llm_server_shutdown_timeout=8)
    assert not worked and "this release refuses it" in said
    assert machine.serves() == before


def test_going_back_by_hand_is_told_first_and_stays(machine: Machine) -> None:
    def version(name: str, number: str) -> None:
        packages = f"/opt/vllm/releases/{name}/lib/python3.12/site-packages"
        machine.shell(f"mkdir -p {packages}/vllm-{number}.dist-info")

    version("a", "0.32.0")
    said, worked = machine.rollback("--check", "--diff")
    assert not worked and "no other release than a (vLLM 0.32.0)" in said, said
    assert "site.yml -e vllm_venv_version=" in said, said
    machine.build("b")
    version("b", "0.33.0")
    switch(machine, "b")
    assert machine.run("b", llm_server_shutdown_timeout=8)[1]
    time.sleep(1.1)
    fourth = machine.serves()[2]
    said, worked = machine.rollback("--check", "--diff")
    assert worked and "shutdown_timeout: 30" in said, said
    assert "-> b (vLLM 0.33.0)" in said and "-> a (vLLM 0.32.0)" in said, said
    assert "Release a (vLLM 0.32.0) would serve in place of b (vLLM 0.33.0)" in said, said
    assert machine.serves() == ("b", "b", fourth)
    said, worked = machine.rollback()
    assert worked and "Release a (vLLM 0.32.0) serves" in said and "answered 200" in said, said
    assert machine.serves()[:2] == ("a", "a")
    fifth = machine.serves()[2]
    said, worked = machine.run("b", llm_server_shutdown_timeout=9)
    assert not worked and "rollback.yml left it" in said and machine.serves()[2] == fifth
    said, worked = machine.run("a")
    assert worked and "changed=0" in said and machine.serves() == ("a", "a", fifth), said
    said, worked = machine.rollback()
    assert not worked and "rollback_to" in said and "b (vLLM 0.33.0), served" in said, said
    said, worked = machine.rollback(rollback_to=full_name("b"))
    assert worked and machine.serves()[:2] == ("b", "b"), said
    said, worked = machine.rollback(rollback_to="nope")
    assert not worked and "has no release nope" in said


@only_in_full
def test_settings_alone_that_do_not_serve_are_put_back(machine: Machine) -> None:
    said, worked = machine.run("a", llm_server_shutdown_timeout=13)
    assert not worked and "Release a was put back with its settings" in said, said
    assert "shutdown_timeout: 30" in machine.shell("cat /etc/llm-server/settings.yaml")
    put_back = machine.serves()
    said, worked = machine.run("a", llm_server_shutdown_timeout=13)
    assert not worked and "did not become ready" in said and machine.serves() == put_back
    said, worked = machine.run("a")
    assert worked and machine.serves() == put_back, said


def test_where_what_served_does_not_serve_either_nothing_is_held_against_the_new(
    machine: Machine,
) -> None:
    machine.shell("touch /opt/vllm/releases/a/broken")
    said, worked = machine.run("a", llm_server_shutdown_timeout=7)
    assert not worked and "does not serve either" in said and "Nothing serves" in said, said
    machine.shell("rm /opt/vllm/releases/a/broken")
    said, worked = machine.run("a", llm_server_shutdown_timeout=7)
    assert worked and machine.serves()[:2] == ("a", "a"), said


def test_what_changed_underneath_restarts_the_service(machine: Machine) -> None:
    first = machine.serves()[2]
    # vllm_venv repaired the environment and tested it, and then the run was killed.
    time.sleep(1.1)
    machine.shell("touch /opt/vllm/releases/a/.passed")
    assert machine.run("a")[1] and machine.serves()[2] != first
    second = machine.serves()[2]
    assert "changed=0" in machine.run("a")[0] and machine.serves()[2] == second
    # Nothing but what the caller says of it tells that what lies underneath is another.
    assert machine.run("a", llm_server_restart_triggers=["another"])[1]
    third = machine.serves()[2]
    assert third != second
    said, worked = machine.run("a", llm_server_restart_triggers=["another"])
    assert worked and "changed=0" in said and machine.serves()[2] == third, said


def cut_off(machine: Machine, release: str) -> None:
    """As a run leaves it that was killed while it restarted the service without success."""
    machine.shell(f"rm -f /opt/vllm/releases/{release}/.served")
    machine.shell(
        "pid=$(cat /run/llm.pid); kill -9 $pid; rm -r /run/llm.pid /run/llm-server;"
        " while grep -qs . /proc/$pid/cmdline; do sleep 0.1; done"
    )


def test_a_run_that_was_cut_off_while_it_restarted_is_made_up_for(machine: Machine) -> None:
    machine.build("b")
    switch(machine, "b")
    assert machine.run("b", llm_server_shutdown_timeout=8)[1]
    cut_off(machine, "b")
    machine.shell("touch /opt/vllm/releases/b/broken")
    said, worked = machine.run("b", llm_server_shutdown_timeout=8)
    assert not worked and "Release a was put back" in said and "answered 200" in said, said
    assert machine.serves()[:2] == ("a", "a")
    put_back = machine.serves()
    said, worked = machine.run("b", llm_server_shutdown_timeout=8)
    assert not worked and "vllm_venv_retry" in said and machine.serves() == put_back

    # The next one asks for something that never gets as far as the service.
    machine.build("c", "refuses")
    switch(machine, "c")
    cut_off(machine, "c")
    said, worked = machine.run("c", llm_server_shutdown_timeout=7)
    assert not worked and "this release refuses it" in said and "serves again" in said, said
    assert machine.serves()[:2] == ("a", "a")


def test_a_start_that_goes_on_is_waited_for(machine: Machine) -> None:
    first = machine.serves()
    machine.shell("rm /opt/vllm/releases/a/.served; echo 4 >/run/llm.loading")
    said, worked = machine.run("a")
    assert worked and machine.serves() == first, said
    assert "served" in machine.shell("ls -A /opt/vllm/releases/a")


@only_in_full
def test_a_rollback_that_was_cut_off_is_held_and_finished(bare: Machine) -> None:
    bound = {"e": 9, "a": 30, "b": 8}
    for name, seconds in bound.items():
        bare.build(name)
        switch(bare, name)
        assert bare.run(name, llm_server_shutdown_timeout=seconds)[1]
        time.sleep(1.1)

    # One that fails leaves nothing behind.
    bare.shell("touch /opt/vllm/releases/a/broken")
    said, worked = bare.rollback()
    assert not worked and "Release a does not serve" in said, said
    assert "Release b was put back, and serves" in said and bare.serves()[:2] == ("b", "b")
    bare.shell("rm /opt/vllm/releases/a/broken")
    put_back = bare.serves()
    said, worked = bare.run("b", llm_server_shutdown_timeout=8)
    assert worked and "changed=0" in said and bare.serves() == put_back, said

    bare.rollback_that_is_killed()
    said, worked = bare.run("b", llm_server_shutdown_timeout=8)
    assert not worked and "to release a, was interrupted: run rollback.yml again" in said, said
    assert bare.serves()[2] == put_back[2]
    said, worked = bare.rollback()
    assert worked and "Release a serves: " in said and "answered 200" in said, said
    assert bare.serves()[:2] == ("a", "a")

    # Once more is not once further.
    gone_back = bare.serves()
    said, worked = bare.rollback()
    assert not worked and "from release b to a before" in said and "e, served" in said, said
    said, worked = bare.run("b", llm_server_shutdown_timeout=8)
    assert not worked and "rollback.yml left it" in said and "interrupted" not in said, said
    said, worked = bare.run("a")
    assert worked and "changed=0" in said and bare.serves() == gone_back, said

    # Alone it finds a link of another name too.
    bare.shell("mv /opt/vllm /opt/elsewhere; mv /opt/elsewhere/venv /opt/elsewhere/current")
    said, worked = bare.rollback(
        "--check", rollback_to=full_name("e"), vllm_venv_path="/opt/elsewhere/current"
    )
    assert worked and "Release e would serve" in said and "a, current" in said, said


def test_keys_change_although_a_release_is_held(machine: Machine) -> None:
    machine.build("b", "broken")
    switch(machine, "b")
    assert not machine.run("b")[1]
    put_back = machine.serves()
    switch(machine, "a")  # as vllm_venv leaves it
    revoked = {"llm_server_keys": [{"name": "second", "sha256": "2" * 64}]}
    planned, _ = machine.run("b", "--check", **revoked)
    assert "changed=2" in planned and "2222" not in machine.shell("cat /etc/llm-server/access.yaml")
    said, worked = machine.run("b", **revoked)
    assert not worked and "vllm_venv_retry" in said and machine.serves() == put_back, said
    access = machine.shell("sha256sum /etc/llm-server/access.yaml").split()[0]
    assert "2222" in machine.shell("cat /etc/llm-server/access.yaml")
    assert machine.shell("cat /run/llm.reloads") == access
    said, worked = machine.run("b", **revoked)
    assert not worked and "changed=0" in said and machine.shell("cat /run/llm.reloads") == access

    # Nor do settings that are refused keep a key from being revoked.
    machine.build("c", "refuses")
    switch(machine, "c")
    said, worked = machine.run("c", llm_server_shutdown_timeout=7)
    assert not worked and "this release refuses it" in said and machine.serves() == put_back, said
    assert "2222" not in machine.shell("cat /etc/llm-server/access.yaml")
    access += machine.shell("sha256sum /etc/llm-server/access.yaml").split()[0]
    assert machine.shell("cat /run/llm.reloads") == access


def test_keys_of_a_server_that_is_not_there(bare: Machine) -> None:
    said, worked = bare._play("keys")
    assert not worked and "no server was installed there yet" in said, said


def test_keys_alone_change_in_a_moment(machine: Machine) -> None:
    serves, before = machine.serves(), machine.shell("cat /etc/llm-server/access.yaml")
    more = {"llm_server_keys": [{"name": "second", "sha256": "2" * 64}]}
    said, worked = machine._play("keys", "--check", "--diff", **more)
    assert worked and "changed=2" in said and "2222" not in said, said
    assert machine.shell("cat /etc/llm-server/access.yaml") == before
    said, worked = machine._play("keys", **more)
    assert worked and "changed=2" in said, said
    access = machine.shell("sha256sum /etc/llm-server/access.yaml").split()[0]
    assert "2222" in machine.shell("cat /etc/llm-server/access.yaml")
    assert machine.shell("cat /run/llm.reloads") == access
    assert machine.serves() == serves
    said, worked = machine._play("keys", **more)
    assert worked and "changed=0" in said and machine.shell("cat /run/llm.reloads") == access


@only_in_full
def test_a_folder_that_is_a_link_is_seen_through(bare: Machine) -> None:
    bare.shell("mkdir -p /opt/disk/vllm; ln -s disk/vllm /opt/vllm")
    bare.build("a")
    bare.build("b", "broken")
    switch(bare, "a")
    assert bare.run("a")[1]
    switch(bare, "b")
    said, worked = bare.run("b")
    assert not worked and "Release a was put back" in said and bare.serves()[0] == "a", said
    put_back = bare.serves()[2]
    said, worked = bare.run("b")
    assert not worked and "vllm_venv_retry" in said and bare.serves()[2] == put_back, said
    said, worked = bare.run("a")
    assert worked and "changed=0" in said and bare.serves()[2] == put_back, said
