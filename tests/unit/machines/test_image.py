# SPDX-License-Identifier: Apache-2.0
"""What is made once: an image, however many ask for it at a time, and a second attempt at it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from emulator.machines import attempts, image
from emulator.machines.runtime import Podman
from emulator.world.backend import MachineError


class Images(Podman):
    """Podman as far as `image.once` asks it."""

    made: list[str] = []  # noqa: RUF012

    def run(self, *args: str, **_: object) -> str:
        """Its answer to `images --quiet --filter reference=NAME`."""
        return "id\n" if args[-1].removeprefix("reference=") in self.made else ""


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Podman:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Images, "made", [])
    return Images()


def test_of_several_that_ask_at_once_one_makes_the_image(podman: Podman) -> None:
    both_asked = threading.Barrier(2)

    class Asked(Images):
        def run(self, *args: str, **more: object) -> str:
            answer = super().run(*args, **more)
            if threading.current_thread() not in seen:
                seen.add(threading.current_thread())
                both_asked.wait(60)
            return answer

    seen: set[threading.Thread] = set()
    asked = Asked()
    threads = [
        threading.Thread(target=image.once, args=(asked, "x", lambda: Images.made.append("x")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Images.made == ["x"]
    assert image.once(podman, "x", pytest.fail) == "x"


def test_one_that_could_not_be_made_is_made_by_the_next(podman: Podman) -> None:
    def fails() -> None:
        raise MachineError("no disk space")

    with pytest.raises(MachineError, match="no disk space"):
        image.once(podman, "x", fails)
    assert image.once(podman, "x", lambda: Images.made.append("x")) == "x"
    assert Images.made == ["x"]


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_what_fails_for_a_moment_is_tried_again(
    failures: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(attempts.time, "sleep", pauses.append)
    outcomes = [MachineError(f"mirror is away, {number}") for number in range(failures)]

    def make() -> str:
        if outcomes:
            raise outcomes.pop(0)
        return "made"

    assert attempts.several(make, pauses_s=(10, 30), failure=MachineError) == "made"
    assert pauses == [10, 30][:failures]
    said = [line for line in capsys.readouterr().err.splitlines() if "mirror" in line]
    assert said == [f"mirror is away, {number}" for number in range(failures)]


def test_what_fails_at_each_attempt_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(attempts.time, "sleep", pauses.append)
    tried: list[int] = []

    def make() -> None:
        tried.append(len(tried))
        raise MachineError(f"attempt {len(tried)}")

    with pytest.raises(MachineError, match="attempt 3"):
        attempts.several(make, pauses_s=(10, 30), failure=MachineError)
    assert (len(tried), pauses) == (3, [10, 30])
    with pytest.raises(ZeroDivisionError):
        attempts.several(lambda: 1 / 0, pauses_s=(10, 30), failure=MachineError)
    assert pauses == [10, 30]
