# SPDX-License-Identifier: Apache-2.0
"""Two clones on one machine: the second is told of the first's demo, and touches nothing of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from demo.claim import Claim, ClaimError


@pytest.fixture
def claims(tmp_path: Path) -> tuple[Claim, Claim]:
    """Of two clones, whose demos have a folder each."""
    homes = [tmp_path / clone / ".demo" for clone in ("first", "second")]
    for home in homes:
        home.mkdir(parents=True)
    first, second = (Claim(home, tmp_path / "cache") for home in homes)
    return first, second


def test_the_first_has_it_until_it_is_removed(claims: tuple[Claim, Claim]) -> None:
    first, second = claims
    first.take()
    first.take()
    with pytest.raises(ClaimError, match=r"make -C .*first demo-destroy"):
        second.take()
    with pytest.raises(ClaimError):
        second.release()
    first.release()
    second.take()
    with pytest.raises(ClaimError, match="second"):
        first.check()


def test_a_clone_that_was_deleted_holds_nothing(claims: tuple[Claim, Claim]) -> None:
    first, second = claims
    first.take()
    shutil.rmtree(first.home.parent)
    second.take()
    second.check()


def test_nothing_to_release(claims: tuple[Claim, Claim]) -> None:
    first, second = claims
    first.release()
    second.check()
