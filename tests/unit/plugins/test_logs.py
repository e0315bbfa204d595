# SPDX-License-Identifier: Apache-2.0
"""Logs of servers: a recorded journal, read, chosen from, masked and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.logs import (
    choice,
    entries,
    journal,
    masks,
    report,
    restarts,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.logs.question import (
    Question,
    moment,
    problems,
)
from ansible_collections.llmops.gce_vllm.plugins.modules import server_logs_info
from llm_server.logs import request_line
from llm_server.record import RequestRecord

from tests.support.role_values import ROOT, values

RECORDED = Path(__file__).parents[2] / "fixtures" / "journal" / "restarts.jsonl"
READ = "Read the journal"
UNIT = "llm-server.service"
NOW = moment("2026-11-30T12:00:00Z", 0)
Record = dict[str, Any]


def newest_first() -> Iterator[entries.Entry]:
    return filter(None, map(entries.parsed, reversed(RECORDED.read_text().splitlines())))


def asked(**question: Any) -> list[Record]:
    """The answer, the oldest first."""
    return list(choice.chosen(newest_first(), Question(**question)))[::-1]


def entry(message: Any, **fields: Any) -> str:
    known = {"__REALTIME_TIMESTAMP": "1796027020000000", "_SYSTEMD_UNIT": UNIT, "_PID": "79"}
    return json.dumps(known | {"MESSAGE": message, "PRIORITY": "6"} | fields)


def ids(records: list[Record]) -> list[str]:
    return [record["request"]["request_id"] for record in records if "request" in record]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", NOW - 90),
        ("1h30m", NOW - 5400),
        ("3d", NOW - 3 * 86400),
        ("0s", NOW),
        ("2026-11-30", NOW - 12 * 3600),
        ("2026-11-30 11:00", NOW - 3600),
        ("2026-11-30T11:00:00Z", NOW - 3600),
        ("2026-11-30T13:00:00+02:00", NOW - 3600),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert moment(text, NOW) == seconds


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"since": "2d", "until": "1d", "lines": "50", "errors": "true", "key": "partner"}, ""),
        ({"errors": True, "lines": 5, "request": "a.b-c_9", "follow": False, "until": ""}, ""),
        ({"follow": "yes", "follow_minutes": "30"}, ""),
        ({"follow": "no", "until": "10m", "output": "x"}, ""),
        ({"since": "yesterday"}, "logs_since is 'yesterday', which is no time. Write how long"),
        ({"since": "5"}, "logs_since is '5', which is no time"),
        ({"since": "2026-02-30"}, "no time"),
        ({"since": "9999999d"}, "no time"),
        ({"since": "2026-12-01"}, "yet to come"),
        ({"until": "2h"}, "logs_until (2h) is not after logs_since (1h)"),
        ({"until": "2h", "request": "a"}, ""),
        ({"since": "1h", "until": "1h"}, "not after"),
        ({"lines": "0"}, "a number from 1 to 10000"),
        ({"lines": "many"}, "a number from 1 to 10000"),
        ({"errors": "perhaps"}, "logs_errors is 'perhaps'. Say true or false"),
        ({"request": "a b"}, "which no request can have as its id"),
        ({"request": "x" * 65}, "1 to 64 letters"),
        ({"key": "../etc"}, "Give the name, not the key itself"),
        ({"follow": "true", "until": "1m"}, "does not go with logs_until"),
        ({"follow": True, "output": "x"}, "does not go with logs_output"),
        ({"follow_minutes": "9999"}, "a number from 1 to 1440"),
    ],
)
def test_what_is_asked_is_checked(settings: dict[str, Any], said: str) -> None:
    found = problems({f"logs_{name}": value for name, value in settings.items()}, NOW)
    assert len(found) == bool(said), found
    assert said in "".join(found)


def test_a_key_given_for_its_name_is_not_repeated() -> None:
    assert "sk-/0123" not in "".join(problems({"logs_key": "sk-/0123456789abcdef"}, NOW))


def test_what_the_server_takes_can_be_asked_for() -> None:
    """Ids and names by the server's own rules."""
    from ansible_collections.llmops.gce_vllm.plugins.module_utils.logs import question
    from llm_server import record
    from llm_server.keys import access

    assert record._ID.pattern == question.REQUEST.pattern
    pattern = access.Key.model_fields["name"].metadata[0].pattern
    assert pattern == f"^{question.KEY.pattern}$"


def test_the_server_writes_what_is_read_as_a_request() -> None:
    made = RequestRecord("a", "GET", "/x", content="what was asked")
    line, content = map(entry, request_line.request_lines(made))
    of_request, of_content = entries.parsed(line), entries.parsed(content)
    assert of_request and of_request.request
    assert of_request.request["path"] == "/x"
    assert of_content and of_content.content_of == "a"


def test_all_of_it_is_in_order_and_without_content() -> None:
    records = asked()
    assert [one["time"] for one in records] == sorted(one["time"] for one in records)
    assert len(ids(records)) == 8
    assert "diary" not in json.dumps(records)
    assert "diary" in json.dumps(asked(content=True))
    assert {one["source"] for one in records} == {"server", "systemd"}


def test_a_traceback_is_one_record_with_its_line() -> None:
    [record] = [one for one in asked() if "request boom-1 failed" in one.get("text", "")]
    assert record["text"].count("\n") == 4
    assert record["text"].endswith("log_content shows it)")
    assert record["priority"] == "error"


def test_errors_are_failures_and_what_systemd_did() -> None:
    records = asked(errors=True)
    assert ids(records) == ["boom-1", "late.1"], "500 and 504, but not 401, 429 and 499"
    texts = [one["text"] for one in records if "text" in one]
    assert not any("loads SmolLM2" in text for text in texts)
    for part in ("status=9/KILL", "Watchdog timeout", "Async scheduling", "CUDA out of memory"):
        assert any(part in text for text in texts), part


@pytest.mark.parametrize(
    ("question", "number", "requests"),
    [
        ({"request": "boom-1"}, 2, ["boom-1"]),
        ({"request": "late.1"}, 1, ["late.1"]),
        ({"request": "late"}, 0, []),
        ({"request": "b1"}, 1, ["b1"]),
        ({"request": "b1", "content": True}, 2, ["b1"]),
        ({"key": "partner"}, 5, ["4f0c6f2e9f6d4c7c8c5d0c1b2a394857", "lim-1", "boom-1", "left-1"]),
        ({"key": "partner", "errors": True}, 2, ["boom-1"]),
        ({"key": "default"}, 3, ["b1", "late.1", "path-1"]),
        ({"key": "part"}, 0, []),
    ],
)
def test_one_request_or_key(question: dict[str, Any], number: int, requests: list[str]) -> None:
    records = asked(**question)
    assert len(records) == number, records
    assert ids(records) == requests


@pytest.mark.parametrize("request_id", ["boom-1", "late.1", "late", "b1", "path-1", "no-such"])
def test_what_is_left_unread_of_others_changes_no_answer(request_id: str) -> None:
    lines = RECORDED.read_text().splitlines()[::-1]
    named = [entries.parsed(line, request_id) for line in lines]
    question = Question(request=request_id, content=True)
    assert list(choice.chosen(filter(None, named), question)) == (
        list(choice.chosen(newest_first(), question))
    )


def test_the_newest_are_kept() -> None:
    assert asked(lines=3) == asked()[-3:]


@pytest.mark.parametrize(
    ("text", "mine"),
    [
        ("INFO vllm.v1: Added request chatcmpl-abc-0f3e.", True),
        ("INFO vllm.v1: Request cmpl-abc-0 failed", True),
        ("ERROR llm_server.edge: request abc failed with 500: no", True),
        ("ERROR llm_server.edge: request abc: an app", True),
        ("ERROR llm_server.edge: request abcd failed with 500", False),
        ("ERROR llm_server.edge: request abc.d failed with 500", False),
        ("INFO vllm.v1: Added request chatcmpl-xabc-1", False),
        ("INFO abc", False),
    ],
)
def test_lines_that_name_a_request(text: str, mine: bool) -> None:
    found = entries.parsed(entry(text))
    assert found
    assert bool(list(choice.chosen([found], Question(request="abc")))) is mine


@pytest.mark.parametrize(
    ("text", "told", "meaning"),
    [
        (
            "NVRM: Xid (PCI:0000:00:04): 79, GPU has fallen off the bus.",
            True,
            "a GPU that fell off the bus: recreate elsewhere",
        ),
        ("Memory cgroup out of memory: Killed process 77 (VLLM::EngineCor)", True, None),
        ("EXT4-fs error (device sdb): ext4_find_entry", True, None),
        ('audit: type=1400 apparmor="ALLOWED"', False, None),
        ("[UFW BLOCK] IN=ens4", False, None),
    ],
)
def test_the_kernel_tells_of_gpus_memory_and_disks(
    text: str, told: bool, meaning: str | None
) -> None:
    # As the journal has them: a transport, and no unit.
    line = entry(text, _TRANSPORT="kernel", _SYSTEMD_UNIT=None, _PID=None, PRIORITY="4")
    found = list(choice.chosen(filter(None, [entries.parsed(line)]), Question(errors=True)))
    assert bool(found) is told
    if told:
        assert found[0].get("meaning") == meaning
        assert report.line({"host": "a", **found[0]}).startswith(
            "2026-11-30 08:23:40.000 a kernel: "
        )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ([111, 27, 91, 51, 255], "o\\x1b[3\\xff"),
        (["one", "two"], "one\ntwo"),
        (None, ""),
        ("a\x9b2Jb\x00", "a\\x9b2Jb\\x00"),
        ("z" * 5000, "z" * entries.LONGEST + " ... 2952 left out"),
        ('{"request_id": 5', '{"request_id": 5'),
        ("[1]", "[1]"),
    ],
)
def test_odd_messages(message: Any, text: str) -> None:
    found = entries.parsed(entry(message))
    assert found
    assert found.text == text
    assert found.request is None


@pytest.mark.parametrize("line", ["", "-- No entries --", "[]", "{}", '{"a": 1}', "null", "7"])
def test_what_is_no_entry(line: str) -> None:
    assert entries.parsed(line) is None


def test_a_crash_without_a_priority_is_an_error() -> None:
    lines = ["Traceback (most recent call last):", '  File "x"', "ModuleNotFoundError: no yaml"]
    found = [one for one in map(entries.parsed, map(entry, [*lines, "all is well"])) if one]
    records = list(choice.chosen(reversed(found), Question(errors=True)))
    assert [one["text"] for one in records] == [lines[2], "\n".join(lines[:2])]


SECRET = "0123456789abcdefABCDEF"


@pytest.mark.parametrize(
    "text",
    [
        f"GET /v1/models/sk-{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization=bearer%20{SECRET}",
        f"token hf_{SECRET}",
        f"HF_TOKEN={SECRET}",
        f"'api_key': '{SECRET}'",
        f"llm_api_key={SECRET}",
        f"proxy http://ann:{SECRET}@proxy:3128",
        f"https://storage.example/x?X-Goog-Signature={SECRET}",
        f"ya29.{SECRET}",
        f"password={SECRET}",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    found = entries.parsed(entry(text))
    assert found
    assert SECRET not in found.text
    assert masks.MASK in found.text


@pytest.mark.parametrize(
    "text",
    [
        "max_num_batched_tokens=2048, api_key=None",
        "key partner, 31 tokens in, 20 out",
        "bos_token: <s>, tokenizer='/var/lib/x', secrets are none",
        "http://127.0.0.1:8000/health, a bearer of news",
        "the API key 'partner' ends in 7 days",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert masks.masked(text) == text


def test_a_key_in_a_path_is_masked() -> None:
    [record] = asked(request="path-1")
    assert record["request"]["path"] == f"/v1/models/Bearer {masks.MASK}"


def test_restarts_have_their_causes() -> None:
    down = restarts.restarts(asked(errors=True), UNIT)
    assert [(one["cause"], one["attempts"], one["seconds"]) for one in down] == [
        ("SIGKILL killed it", 0, 1.1),
        (
            "it gave no sign of life (watchdog); its last words: The engine has not moved for "
            "120 s, though requests wait: stuck",
            0,
            1.3,
        ),
        ("it gave no sign of life (watchdog)", 0, 1.2),
        (
            "it ended with status 2; its last words: The model could not be loaded: "
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
            1,
            2.7,
        ),
    ]


def systemd(time: int, event: str, **more: str) -> Record:
    stamp = f"2026-11-30T08:00:{time:02d}.000000Z"
    return {"time": stamp, "unit": UNIT, "source": "systemd", "event": event, **more}


@pytest.mark.parametrize(
    ("records", "cause", "seconds"),
    [
        ([systemd(1, "stopping"), systemd(2, "stopped")], "somebody stopped it", None),
        ([systemd(1, "stopping"), systemd(9, "started")], "somebody stopped it", 8.0),
        (
            [
                systemd(1, "exited", status="SIGKILL"),
                systemd(1, "failed", result="oom-kill"),
                systemd(5, "started"),
            ],
            "the kernel killed it for want of memory",
            4.0,
        ),
    ],
)
def test_other_causes(records: list[Record], cause: str, seconds: float | None) -> None:
    [one] = restarts.restarts(records, UNIT)
    assert (one["cause"], one["seconds"]) == (cause, seconds)
    assert restarts.restarts(records, "gpu-check.service") == []


def result(records: list[Record], **more: Any) -> Record:
    known = {"complete": True, "in_time": True, "since": NOW - 3600, "journal_begins": NOW - 9999}
    return {"records": records, **known, **more}


def test_hosts_are_put_in_one_order() -> None:
    records = asked()
    found = report.report({"a": result(records[::2]), "b": result(records[1::2])}, 10_000)
    told = [json.loads(line) for line in found["json"].splitlines()]
    assert [one["time"] for one in told] == [one["time"] for one in records]
    assert {one.pop("host") for one in told} == {"a", "b"}
    assert found["remarks"] == found["failed"] == []
    assert found["lines"][0].startswith("2026-11-30 08:23:39.956 a Starting llm-server.service")
    assert len(found["restarts"]) > 0


def test_what_is_not_shown_is_told() -> None:
    begins = "the journal begins at 2026-11-30 11:58:20 UTC"
    found = report.report(
        {
            "a": result(asked()[-5:]),
            "late": result([], complete=False, in_time=False, reached=NOW),
            "new": result([], journal_begins=NOW - 100),
            "empty": result([], journal_begins=None),
            "off": {"unreachable": True, "msg": "Connection timed out"},
        },
        3,
    )
    said = " ".join(found["remarks"])
    assert len(found["lines"]) == 3
    for part in ("older lines. logs_lines=3", "late: reading took too long", "new: no such lines",
                 f"new: {begins}", "empty: the journal is empty"):  # fmt: skip
        assert part in said
    assert found["failed"] == ["off: Connection timed out"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            result(asked(lines=1)),
            ["host: the journal was read from its start, 2026-11-30 09:13:21 UTC."],
        ),
        (
            result([]),
            ["host: no such lines since 2026-11-30 09:13:21 UTC, where its journal begins."],
        ),
        (
            result(asked(lines=1), complete=False, reached=NOW),
            [
                "host: the journal was read back to 2026-11-30 12:00:00 UTC.",
                "There are older lines. logs_lines=200 is how many are shown.",
            ],
        ),
        (
            result([], complete=False, in_time=False, reached=NOW),
            [
                "host: reading took too long and came back to 2026-11-30 12:00:00 UTC. "
                "logs_until=2026-11-30T12:00:00 reads on from there."
            ],
        ),
        (result([], journal_begins=None), ["host: the journal is empty."]),
    ],
)
def test_how_far_back_was_read_is_told_where_all_was_to_be(found: Record, said: list[str]) -> None:
    assert report.report({"host": {**found, "since": None}}, 200)["remarks"] == said


def test_a_request_is_one_line() -> None:
    [record] = asked(request="4f0c6f2e9f6d4c7c8c5d0c1b2a394857")
    assert report.of_request(record["request"]) == (
        "200 POST /v1/chat/completions, key partner, 31 tokens in, 20 out, first token 0.121 s, "
        "queue 0.000 s, all 0.931 s, ended by stop, request 4f0c6f2e9f6d4c7c8c5d0c1b2a394857"
    )


# A journalctl that writes what was recorded, as it is called.
PROGRAM = """\
#!/bin/sh
case "$*" in
    *--reverse*) {reverse} ;;
    *--follow*) {follow} ;;
    *) head -n 1 {recorded} ;;
esac
"""


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a journalctl on the path, by the commands that it runs."""

    def put(reverse: str = "true", follow: str = "true") -> None:
        program = tmp_path / "journalctl"
        program.write_text(PROGRAM.format(reverse=reverse, follow=follow, recorded=RECORDED))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return put


OPTIONS = {
    "units": [UNIT], "since": "1h", "before": "", "lines": 3, "errors": False, "request": "",
    "key": "", "content": False, "timeout": 20.0, "follow": False, "cursor": "", "wait": 5.0,
}  # fmt: skip


def test_reading_ends_with_the_lines_that_are_wanted(journalctl: Any) -> None:
    # It would never end by itself.
    journalctl(reverse=f"tac {RECORDED}; exec sleep 600")
    found = server_logs_info.answer(OPTIONS, NOW)
    assert found["records"] == asked(lines=3)
    assert not found["complete"]
    assert found["in_time"]
    assert found["cursor"] == next(newest_first()).cursor
    assert found["journal_begins"] == pytest.approx(1796027019.956506)


def test_without_a_begin_the_whole_journal_is_read(journalctl: Any, tmp_path: Path) -> None:
    journalctl(reverse=f'echo "$*" >{tmp_path}/asked; tac {RECORDED}')
    options = {**OPTIONS, "since": "", "before": "0s", "request": "boom-1"}
    found = server_logs_info.answer(options, NOW)
    assert found["records"] == asked(request="boom-1")
    assert (found["since"], found["complete"]) == (None, True)
    assert found["cursor"] == next(newest_first()).cursor
    words = (tmp_path / "asked").read_text()
    assert "--until" in words
    assert "--since" not in words


@pytest.mark.parametrize(
    ("settings", "since"),
    [
        ({}, "1h"),
        ({"logs_request": "a"}, ""),
        ({"logs_request": "a", "logs_since": "2d"}, "2d"),
        ({"logs_request": "", "logs_since": ""}, "1h"),
    ],
)
def test_one_request_is_looked_for_in_all_that_there_is(
    settings: dict[str, str], since: str
) -> None:
    plays = yaml.safe_load((ROOT / "playbooks" / "logs.yml").read_text())
    [task] = [task for play in plays for task in play.get("tasks", []) if task["name"] == READ]
    given = {"given": task["llmops.gce_vllm.server_logs_info"]["since"], **settings}
    assert values("llm_server", ["given"], **given) == [since]


def test_reading_is_given_up(journalctl: Any) -> None:
    journalctl(reverse=f"tail -n 1 {RECORDED}; exec sleep 600")
    for timeout in (0.5, 5, 50):  # a busy machine takes long to have the first line
        found = server_logs_info.answer({**OPTIONS, "timeout": timeout}, NOW)
        if found["records"]:
            break
    assert len(found["records"]) == 1
    assert not found["in_time"]
    assert not found["complete"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2",
            "ansible_become",
        ),
        ("echo 'Failed to open' >&2; exit 1", "journalctl failed: Failed to open"),
    ],
)
def test_what_can_not_be_read_is_no_empty_log(journalctl: Any, command: str, said: str) -> None:
    journalctl(reverse=command)
    with pytest.raises(journal.JournalError, match=said):
        server_logs_info.answer(OPTIONS, NOW)


def test_what_comes_is_taken_together(journalctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "TOGETHER_S", 3.0)  # far longer than what comes is apart
    journalctl(follow=f"head -n 4 {RECORDED}; sleep 0.1; tail -n +5 {RECORDED}; exec sleep 600")
    found = server_logs_info.answer({**OPTIONS, "follow": True, "lines": 1000, "wait": 120.0}, NOW)
    assert found["records"] == asked(lines=1000)
    assert found["cursor"] == next(newest_first()).cursor


def test_nothing_comes(journalctl: Any) -> None:
    journalctl(follow="exec sleep 600")
    found = server_logs_info.answer({**OPTIONS, "follow": True, "cursor": "c", "wait": 0.2}, NOW)
    assert found == {"records": [], "cursor": "c", "complete": True}
