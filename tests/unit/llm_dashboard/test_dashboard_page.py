# SPDX-License-Identifier: Apache-2.0
"""What the page says, over answers of Prometheus, Alertmanager, systemd and the ledger."""

from __future__ import annotations

import json
import threading
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from llm_dashboard import board as board_of_page
from llm_dashboard import events, figures, moments, state, units, who, wrong
from llm_dashboard.board import Board, Sources, View
from llm_dashboard.charts import Line, svg, ticks
from llm_dashboard.host import usage_ledger
from llm_dashboard.lines import drawn, lines_of
from llm_dashboard.local import UnavailableError
from llm_dashboard.logs.choice import chosen
from llm_dashboard.logs.question import Question
from llm_dashboard.page import Pages
from llm_dashboard.panels import SECTIONS, Query
from llm_dashboard.prometheus import Series, alerts, parsed
from llm_dashboard.within import share_within
from llm_server.ledger.store import Store

ROOT = Path(__file__).parents[3]
ALERTS = json.loads((ROOT / "tests/fixtures/metrics/alertmanager-0.25.json").read_text())
NOW = 1_796_054_400.0
HOUR = moments.span("1h", NOW, 15)
EVIL = "<script>alert(1)</script>"


def series(*values: float | None, **labels: str) -> Series:
    """The last values of the hour, a step apart."""
    first = HOUR.end - HOUR.step * (len(values) - 1)
    found = [(first + HOUR.step * number, value) for number, value in enumerate(values)]
    return Series(labels, tuple((at, value) for at, value in found if value is not None))


@pytest.mark.parametrize(
    ("word", "seconds", "step", "window"),
    [("15m", 900, 15, 60), ("1h", 3600, 30, 60), ("30d", 2_592_000, 21_600, 21_600),
     ("a year", 3600, 30, 60)],
)  # fmt: skip
def test_a_range_has_steps_that_prometheus_can_take(
    word: str, seconds: int, step: int, window: int
) -> None:
    span = moments.span(word, NOW + 7, 15)
    assert (span.end, span.end - span.start, span.step, span.window) == (NOW, seconds, step, window)
    assert 3 <= len(moments.ticks(span)) <= 8


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [("seconds", 0.0215, "21.5 ms"), ("seconds", 2.5, "2.5 s"), ("seconds", 600, "10 min"),
     ("share", 0.0123, "1.2 %"), ("share", 1, "100 %"), ("count", 12345, "12,345"),
     ("bytes_per_second", 2.5e6, "2.5 MB/s"), ("per_minute", 0, "0/min")],
)  # fmt: skip
def test_values_are_written_for_people(unit: str, value: float, text: str) -> None:
    assert units.UNITS[unit](value) == text


@pytest.mark.parametrize("most", [0.0, 3e-5, 0.3, 1.0, 7.3, 16, 99.9, 1e6])
def test_an_axis_goes_to_a_round_number(most: float) -> None:
    marks = ticks(most)
    assert marks[0] == 0 and 2 <= len(marks) <= 6
    assert marks[-1] >= most > (marks[-2] if most else -1)


def test_the_share_within_a_bound_is_between_buckets() -> None:
    counts = {"0.5": 40.0, "1.0": 80.0, "2.5": 100.0, "+Inf": 100.0}
    buckets = [series(count, le=edge) for edge, count in counts.items()]
    within = {bound: share_within(buckets, bound).last for bound in (0.25, 0.5, 2.0, 9.0)}
    assert within == pytest.approx({0.25: 0.2, 0.5: 0.4, 2.0: 0.8 + 0.2 * 2 / 3, 9.0: 1.0})
    # Nobody asked, so that there is no share.
    assert share_within([series(0.0, le="+Inf")], 1.0).points == ()


def test_a_chart_has_gaps_and_marks_and_no_code_or_style_of_its_own() -> None:
    line = Line(EVIL, series(1, 2, None, None, 3, 4).points)
    drawing = svg([line], HOUR, units.number, events=[HOUR.end - 60, HOUR.start - 60])
    for word in ("script", "style", "<!--", "http", "alert"):
        assert word not in drawing
    assert drawing.count('class="serie-0"') == 1 and drawing.count('class="event"') == 1
    (of_line,) = [one for one in drawing.split("<g ") if one.startswith('class="serie-0"')]
    assert of_line.count("<path") == 2
    assert drawing.partition('class="event"')[2].count("<path") == 1


def test_lines_that_are_zero_are_left_out_where_that_says_nothing() -> None:
    zero, some = series(0, 0, key="a"), series(0, 1, key="b_c")
    quiet, loud = Query("e", "key {key}", quiet=True), Query("e", "key {key}")
    assert [one.name for one in lines_of([(quiet, [zero, some])])] == ["key b c"]
    assert [one.name for one in lines_of([(loud, [zero, some])])] == ["key a", "key b c"]
    many = [series(number, key=str(number)) for number in range(20)]
    kept = [one.name for one in lines_of([(loud, many)])]
    assert kept == [f"key {number}" for number in range(12, 20)]


def test_each_chart_has_its_values_as_a_table() -> None:
    panel = SECTIONS[0].panels[0]
    shown = drawn(panel, [Line("p95", series(*range(1, 119)).points)], HOUR)
    assert shown.columns == ["p95"]
    assert [row[1] for row in shown.rows][:2] == ["118 s", "108 s"]
    assert 10 <= len(shown.rows) <= 14
    assert [(key.now, key.least, key.most) for key in shown.keys] == [("118 s", "1 s", "118 s")]


@pytest.mark.parametrize(
    ("health", "word", "good", "text"),
    [
        ({"status": "healthy", "seconds": 7200}, "Ready", True, "it takes requests, for 2 hours"),
        ({"status": "loading", "seconds": 42, "detail": "loading the weights"}, "Loading", False,
         "it takes no requests yet (loading the weights), for 42 seconds"),
        ({"status": "stuck", "seconds": 61}, "Stuck", False, "restarts it, for 1 minute"),
        (None, "Down", False, "the server does not answer on its own host (refused)"),
    ],
)  # fmt: skip
def test_the_state_in_words(
    health: dict[str, Any] | None, word: str, good: bool, text: str
) -> None:
    found = state.state(health, [], [series(2, modelName="NVIDIA H200")], "refused")
    assert (found.word, found.good) == (word, good)
    assert text in found.text
    assert ("GPU", "2 x NVIDIA H200") in found.facts


@pytest.mark.parametrize(
    ("mean", "before", "text"),
    [
        (None, 1.0, []),
        (2.0, None, ["mean 2"]),
        (2.0, 2.01, ["mean 2, as in the hour before"]),
        (0.0, 0.0, ["mean 0, as in the hour before"]),
        (2.0, 0.0, ["mean 2, after none in the hour before"]),
        (3.0, 2.0, ["mean 3, ▲ 50 % more than the hour before"]),
        (1.0, 2.0, ["mean 1, ▼ 50 % less than the hour before"]),
    ],
)
def test_a_trend_in_words(mean: float | None, before: float | None, text: list[str]) -> None:
    assert figures.trend(mean, before, "hour", units.number) == text


@pytest.mark.parametrize(("objective", "good"), [(0.5, False), (2.0, True), (None, True)])
def test_a_first_token_is_held_to_its_objective(objective: float | None, good: bool) -> None:
    found = figures.figures({"first_token": series(0.1, 0.7)}, {}, objective, None, HOUR)
    first_token = next(one for one in found if one.id == "first_token")
    assert (first_token.value, first_token.good) == ("700 ms", good)
    assert ("slower than the objective" in first_token.beside) != good
    assert next(one for one in found if one.id == "cost").value == "not known"


@pytest.mark.parametrize("word", ["15m", "1h", "30d"])
@pytest.mark.parametrize(("steps", "known"), [(0, True), (1, None), (2, None), (3, False)])
def test_a_value_of_before_is_none_of_now(word: str, steps: int, known: bool | None) -> None:
    span = moments.span(word, NOW, 15)
    # One or two steps are nothing where a step is short, and half a day where it is long.
    known = span.step < 60 if known is None else known
    points = ((float(span.start), 3.0), (float(span.end - steps * span.step), 7.0))
    assert moments.now(points, span) == (7.0 if known else None)
    assert moments.now((), span) is None


def test_what_ended_is_not_shown_as_that_of_now() -> None:
    before, still = series(9.0, None, None, None), series(4.0, 5.0)
    panel = SECTIONS[0].panels[0]
    lines = [Line("before", before.points), Line("still", still.points)]
    shown = drawn(panel, lines, HOUR, objective=series(2.0, None, None, None))
    assert [(key.name, key.now, key.most) for key in shown.keys] == [
        ("before", units.NONE, "9 s"), ("still", "5 s", "5 s"), ("objective", units.NONE, ""),
    ]  # fmt: skip
    now = {"requests": before, "refused": before, "first_token": before, "tokens": still}
    found = {one.id: one for one in figures.figures(now, {}, 0.5, None, HOUR)}
    assert found["requests"].value == found["first_token"].value == units.NONE
    assert found["tokens"].value == "5/s"
    # Nor is anything said of it but its mean.
    assert found["requests"].beside == ["mean 9/s"]
    assert found["first_token"].good and found["requests"].svg
    assert figures.figures({}, {}, None, None, HOUR)[0].value == "no data"


def test_what_happened_is_read_from_series() -> None:
    there = [1.0] * 121
    found = {
        "started": [series(NOW - 90_000, NOW - 90_000, NOW - 100, NOW - 100)],
        "state": [series(*there[:100], *[None] * 15, 1, 1, 1, 1, 1, 1, state="healthy"),
                  series(1, *[None] * 5, state="loading")],
        "phases": [series(*there, phase="engine"), series(*[30.4] * 40, phase="first_token"),
                   series(*[0.1] * 40, phase="api")],
        "release": [series(*there, release="old", settings="a"),
                    series(*[1] * 9, release="old", settings="b"),
                    series(1, 1, release="new", vllm="0.33.0", settings="b")],
        "alert": [series(*there, alertname="Old"), series(1, 1, 1, alertname="LLMServerDown")],
        "xid": [series(NOW - 30, gpu="0", xid="79", action="recreate elsewhere")],
    }  # fmt: skip
    happened = [(one.kind, one.at - NOW, one.text) for one in events.of_series(found, HOUR)]
    assert happened == [
        ("settings", -240, "other settings are in force; release old serves:  on vLLM "),
        ("state", -150, "ready: it takes requests, after 32 s (engine 1 s, first token 30 s)"),
        ("start", -100, "the server's process started"),
        ("alert", -60, "alert LLMServerDown fires"),
        ("deploy", -30, "release new serves:  on vLLM 0.33.0"),
        ("gpu", -30, "Xid 79 on GPU 0: NVIDIA's action is to take another machine"),
    ]


def test_what_systemd_says_is_one_event_with_its_cause() -> None:
    unit = "llm-server.service"
    lines = [
        _journal(10.0, MESSAGE_ID="98e322203f7a4ed290d09fe03c09fe15", UNIT=unit,
                 EXIT_CODE="killed", EXIT_STATUS="9"),
        _journal(10.1, MESSAGE_ID="d9b373ed55a64feb8242e02dbe79a49c", UNIT=unit,
                 UNIT_RESULT="oom-kill"),
        _journal(15.0, MESSAGE_ID="5eb03494b6584870a536b337290809b3", UNIT=unit),
        _journal(20.0, MESSAGE_ID="7b05ebc668384222baa8881179cfda54", UNIT=unit,
                 UNIT_RESULT="done"),
        b"-- no entry --",
    ]  # fmt: skip
    happened = events.of_journal(wrong.entries(lines))
    assert [one.text for one in happened] == [
        f"{unit}: its process ended with SIGKILL; {unit}: it failed (oom-kill)",
        f"{unit}: systemd starts it again after a failure",
        f"{unit}: keys, limits or a certificate were read again",
    ]


def test_why_the_machine_went_is_an_event() -> None:
    idle, preemption = wrong.WATCHERS
    off = "Switching this machine off: idle since 2026-11-30T20:00:00Z"
    back = "Google takes this instance back: stopping llm-server within 25 s"
    lines = [
        _journal(10.0, _SYSTEMD_UNIT=idle, MESSAGE="INFO llm_server.idle_stop: Switches it off"),
        _journal(20.0, _SYSTEMD_UNIT=idle, MESSAGE=f"WARNING llm_server.idle_stop: {off}"),
        _journal(30.0, _SYSTEMD_UNIT=preemption, MESSAGE=f"WARNING llm_server.preemption: {back}"),
        # Whoever asks may write what they like into the server's own log.
        _journal(40.0, _SYSTEMD_UNIT=idle, MESSAGE=f"somebody said: {off}"),
    ]
    happened = [(one.at, one.kind, one.text) for one in events.of_journal(wrong.entries(lines))]
    assert happened == [(20.0, "idle stop", off), (30.0, "preemption", back)]


def test_the_last_errors_have_request_and_key() -> None:
    request = {
        "request_id": "abc", "key": "team", "method": "POST", "path": "/v1/completions",
        "status": 500, "total_s": 1.0, "finish_reason": "error",
    }  # fmt: skip
    unit = {"_SYSTEMD_UNIT": "llm-server.service"}
    lines = [
        _journal(20.0, MESSAGE="ERROR llm_server: a line of a log", PRIORITY="3", **unit),
        _journal(10.0, MESSAGE=json.dumps(request), PRIORITY="6", **unit),
    ]
    found = [wrong.row(one) for one in chosen(wrong.entries(lines), Question(errors=True))]
    assert found == [
        {"time": "1970-01-01 00:00:20", "request": "", "key": "",
         "what": "ERROR llm_server: a line of a log"},
        {"time": "1970-01-01 00:00:10", "request": "abc", "key": "team",
         "what": "POST /v1/completions: 500 (error)"},
    ]  # fmt: skip


def _journal(at: float, **fields: str) -> bytes:
    return json.dumps({"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "_PID": "1", **fields}).encode()


def test_cost_is_shared_by_tokens() -> None:
    rows = [_row("a", 10, 300_000), _row("b", 5, 100_000, full=2), _row("", 1, 0, no_key=1)]
    usage = {"rows": rows, "ran": [{"period": "2026-11", "model": "m", "seconds": 7200}]}
    found = who.rows(usage, 4.0)
    assert [(one.key, one.cost, one.share) for one in found] == [
        ("a", 6.0, 0.75),
        ("b", 2.0, 0.25),
        ("(no key)", 0.0, 0.0),
    ]
    assert found[1].refusals == {"full": 2}
    assert who.rows(usage, None)[0].cost is None
    cost = who.cost(usage, {"rows": [], "ran": []}, 4.0)
    assert cost == who.Cost(hour=4.0, today=0.0, month=8.0, per_million=20.0)
    assert who.cost(usage, usage, None) is None


def _row(key: str, requests: int, tokens: int, **refusals: int) -> dict[str, Any]:
    refused = sum(refusals.values())
    counts = {"requests": requests, "server_error": 0, "refused": refused, "refusals": refusals}
    return {"period": "2026-11", "key": key, "model": "m", "tokens_in": tokens, "tokens_out": 0,
            **counts}  # fmt: skip


def test_alerts_without_the_one_that_always_fires() -> None:
    found = alerts(ALERTS)
    assert [(one["name"], one["quiet"]) for one in found] == [
        ("LLMFirstTokenSlow", False),
        ("GPUHot", True),
    ]
    with pytest.raises(UnavailableError):
        alerts({"status": "error"})


def test_values_that_are_no_numbers_are_as_none() -> None:
    result = [
        {"metric": {"__name__": "n", "a": "b"}, "values": [[1, "NaN"], [2, "3"], [4, "+Inf"]]}
    ]
    assert parsed({"data": {"result": result}}) == [Series({"a": "b"}, ((2.0, 3.0),))]
    with pytest.raises(UnavailableError):
        parsed({"status": "success"})


class Answers:
    """In the place of what listens on the host; counts what it is asked."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.asked: list[str] = []

    def __call__(self, url: str) -> Any:
        if self.down:
            raise UnavailableError("refused")
        self.asked.append(url)
        place = urlsplit(url)
        if place.path == "/health":
            return {"status": "healthy", "model": EVIL, "seconds": 5}
        if place.path == "/api/v2/alerts":
            return ALERTS
        query = parse_qs(place.query)["query"][0]
        assert "WINDOW" not in query
        labels = dict.fromkeys(("key", "reason", "gpu", "release", "alertname"), EVIL)
        one = {"metric": {**labels, "le": "+Inf"}}
        if place.path == "/api/v1/query":
            one["value"] = [NOW, "1"]  # type: ignore[assignment]
        else:
            one["values"] = [[NOW - 60, "1"], [NOW - 30, "2"]]  # type: ignore[assignment]
        return {"status": "success", "data": {"result": [one]}}


def view(folder: Path, fetch: Answers) -> View:
    ledger = folder / "ledger.sqlite"
    if not ledger.exists():
        store = Store(ledger)
        store.write("w", 1, {(int(NOW // 3600), "team", "m", "prompt"): 5}, int(NOW // 3600))
        store.close()
    board = Board(Sources(ledger=ledger, units=("no-such-unit.service",)), fetch, lambda: NOW)
    try:
        return board.view("1h")
    finally:
        board.close()


def test_the_page_has_each_section_and_nothing_that_others_wrote_into_it(tmp_path: Path) -> None:
    text = Pages().board(view(tmp_path, Answers()))
    places = [text.index(f'<h2 id="{section.id}-title">') for section in SECTIONS]
    assert places == sorted(places)
    assert text.index("state-title") < text.index("figures-title") < places[0]
    assert EVIL not in text and "&lt;script&gt;" in text
    for section in SECTIONS:
        for panel in section.panels:
            assert f'id="{panel.id}"' in text
    assert "2026-11-30" in text and str(date(2026, 11, 30)) in text


def test_a_page_that_gets_no_answer_says_so(tmp_path: Path) -> None:
    found = view(tmp_path, Answers(down=True))
    assert found.state.word == "Down"
    assert {"Prometheus", "Alertmanager"} <= set(found.remarks)
    assert [one.key for one in found.keys] == ["team"]
    text = Pages().board(found)
    assert "No alert fires" not in text
    assert text.count("No data in this time.") + text.count("There is no series") == sum(
        len(section.panels) for section in SECTIONS
    )


def test_a_prometheus_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_of_page, "LIMIT_S", 6.0)
    end = threading.Event()
    answers = Answers()

    def fetch(url: str) -> Any:
        if "/api/v1/" in url:
            end.wait(60)
            raise UnavailableError("it hung")
        return answers(url)

    board = Board(Sources(ledger=tmp_path / "none", units=("no.service",)), fetch, lambda: NOW)
    try:
        found = board.view("1h")
    finally:
        end.set()
        board.close()
    assert found.state.word == "Ready"
    assert len(found.alerts) == 2
    assert "no answer within" in found.remarks["Prometheus"]
    # Those that had not begun will not.
    assert len(answers.asked) == 2


def test_a_ledger_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_of_page, "LIMIT_S", 6.0)
    end, readers, now = threading.Event(), [], [NOW]

    def read(*_: Any) -> Any:
        readers.append(threading.current_thread())
        assert end.wait(300)
        raise usage_ledger.LedgerError("it hung")

    monkeypatch.setattr(usage_ledger, "read", read)
    sources = Sources(ledger=tmp_path, units=("no.service",), hour_price=3.5)
    board = Board(sources, Answers(), lambda: now[0])
    try:
        # Whoever would wait for it has it end.
        bound = threading.Timer(60, end.set)
        bound.start()
        for _ in range(2):
            found = board.view("1h")
            now[0] += 60
            assert not end.is_set()
            assert "no answer within" in found.remarks["Usage"]
            assert (found.keys, found.state.word, len(found.alerts)) == ([], "Ready", 2)
        # Each page to come would else take one more thread.
        assert len(readers) == 1
        # What was not read is not called empty, nor the price unset.
        assert (found.figures[-1].value, found.figures[-1].beside) == ("not known", [])
        text = Pages().board(found)
        assert "The ledger was not read." in text and "has no requests" not in text
    finally:
        bound.cancel()
        end.set()
        board.close()


def test_who_asks_soon_after_gets_the_same(tmp_path: Path) -> None:
    now = [NOW]
    fetch = Answers()
    board = Board(Sources(ledger=tmp_path / "none", units=("no.service",)), fetch, lambda: now[0])
    first = board.view("1h")
    asked = len(fetch.asked)
    assert board.view("1h") is first
    assert board.view("not a range") is first
    assert len(fetch.asked) == asked
    now[0] += 11
    assert board.view("1h") is not first
    board.close()
    assert "Usage" in first.remarks
