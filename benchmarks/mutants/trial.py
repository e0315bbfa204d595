# SPDX-License-Identifier: Apache-2.0
"""Injects faults into a copy of the checkout, one at a time, and runs tests there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .table import ROOT, Fault

_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
# A fault may make a test wait for ever.
LONGEST_S = 900


@dataclass(frozen=True)
class Outcome:
    """What some test files said: `test` is the first that failed, '' where all passed."""

    test: str
    output: str


class Copy:
    """A copy of what git knows of the checkout, and of what it doesn't ignore.

    Args:
        tests_of: a commit whose tests there are in place of the checkout's own; '' for these.
    """

    def __init__(self, folder: Path, tests_of: str = "") -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            source, target = ROOT / name, folder / name
            if source.is_symlink() or source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
        if tests_of:
            shutil.rmtree(folder / "tests")
            archive = ["git", "archive", "--format=tar", tests_of, "tests"]
            packed = subprocess.run(archive, cwd=ROOT, check=True, capture_output=True).stdout
            subprocess.run(["tar", "-x"], cwd=folder, check=True, input=packed)

    def there(self, tests: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the tests that the copy has: another commit's tests may lack some."""
        return tuple(test for test in tests if self._has(test))

    def _has(self, test: str) -> bool:
        file, _, function = test.partition("[")[0].partition("::")
        path = self.folder / file
        if function:
            return path.exists() and f"def {function}(" in path.read_text()
        return path.exists()

    @contextmanager
    def with_fault(self, fault: Fault) -> Iterator[None]:
        """While it lasts, the fault is there."""
        path = self.folder / fault.file
        kept = path.with_name(f"{path.name}.kept")
        text = fault.injected(path.read_text())
        path.rename(kept)
        try:
            path.write_text(text)
            path.chmod(kept.stat().st_mode)
            yield
        finally:
            # With its old time, so that Python does not take what it compiled of the fault.
            kept.replace(path)

    def run(self, tests: tuple[str, ...]) -> Outcome:
        """Run test files up to the first failure.

        Raises:
            RuntimeError: pytest itself went wrong, so that nothing is known.
        """
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
            "PATH": f"{self.folder / '.venv/bin'}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
        }
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=LONGEST_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return Outcome(f"none ended within {LONGEST_S} s", process.communicate()[0])
        failed = first_failed(output)
        if process.returncode in (1, 2) and failed:
            return Outcome(failed, output)
        if process.returncode != 0:
            raise RuntimeError(f"pytest {' '.join(tests)} ended with {process.returncode}:{output}")
        return Outcome("", output)


def first_failed(output: str) -> str:
    """The first test that pytest's short summary names; '' where it names none."""
    found = _FAILED.search(output)
    return found[1] if found else ""
