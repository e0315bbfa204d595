# SPDX-License-Identifier: Apache-2.0
"""The cause of a failed engine, heard across a fork."""

from __future__ import annotations

import logging
import os

import pytest
from llm_server.engine.causes import CauseRecorder

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def fail(*messages: str) -> None:
    logger = logging.getLogger("test.engine")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    for message in messages:
        try:
            raise ValueError(message)
        except ValueError:
            logger.exception("the engine failed")


def test_first_exception_of_a_forked_process() -> None:
    with CauseRecorder() as causes:
        pid = os.fork()
        if pid == 0:
            fail("out of memory\nwith details", "consequence")
            os._exit(0)
        os.waitpid(pid, 0)
        fail("later")
        assert causes.first() == "ValueError: out of memory"


def test_nothing_went_wrong() -> None:
    with CauseRecorder() as causes:
        logging.getLogger("test.engine").error("no exception here")
        assert causes.first() is None


def test_the_record_factory_is_put_back() -> None:
    before = logging.getLogRecordFactory()
    with CauseRecorder():
        pass
    assert logging.getLogRecordFactory() is before
