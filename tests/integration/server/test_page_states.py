# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium before the real front, in states that a model's app seldom brings."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from llm_server.asgi.stack import build_front
from llm_server.engine.generate_routes import without_generate
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from playwright.sync_api import Browser

from tests.support.browser import open_browser
from tests.support.page_tabs import DARK, DESKTOP, PHONE, Tab, open_tab

KEY = "states-of-the-page-0123456789"
NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a"
    " chat template if the tokenizer does not define one."
)
HOSTILE = """Look: <img src=x onerror="document.title='taken'"> and <b>bold</b>

- **one** `two`
  <script>document.title='taken'</script>

```html
<iframe src="javascript:document.title='taken'"></iframe>
```
[here](javascript:document.title='taken')"""

#: The word stands there for two seconds, in which a busy machine may not get to look.
WATCH_BUTTONS = """() => {
  window.shown = [];
  const look = () => document.querySelectorAll("button").forEach(
    (one) => window.shown.push(one.textContent));
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
}"""


def event(text: str, reason: str | None = None, chat: bool = True) -> bytes:
    """One event of vLLM's streams."""
    words: dict[str, Any] = {"delta": {"content": text}} if chat else {"text": text}
    body = {
        "choices": [words | {"index": 0, "finish_reason": reason}],
        "usage": {"completion_tokens": 7},
    }
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


class World:
    """A front whose phase and whose app's answers a test decides."""

    def __init__(self, **options: Any) -> None:
        self.state = ServerState("m")
        key = Key(name="mine", sha256=digest(KEY), tokens_per_minute=100_000)
        self.control = AccessControl(Access(keys=(key,)))
        self.key = key
        #: What comes next, each piece as it is sent; an exception breaks the connection.
        self.pieces: list[bytes | Exception] = [event("Hello", "stop"), b"data: [DONE]\n\n"]
        self.template = True
        self.cards: list[dict[str, Any]] = [{"id": "m", "max_model_len": 1000}]
        settings = Settings(model_path="m", served_model_name="m", access_file="x", **options)
        self.front = build_front(settings, self.state, self.control)

    def ready(self, *router: Any) -> None:
        """The model is there; `router` is what makes it one for vectors."""
        app = FastAPI()
        for one in router:
            app.include_router(one)
        app.get("/v1/models")(lambda: {"data": self.cards})
        app.get("/")(lambda: {"model": "m", "tasks": ["generate"]})

        @app.post("/v1/chat/completions")
        async def chat() -> Response:
            if self.template:
                return StreamingResponse(self._send(), media_type="text/event-stream")
            return JSONResponse({"error": {"message": NO_TEMPLATE, "code": 400}}, 400)

        @app.post("/v1/completions")
        async def complete() -> Response:
            return StreamingResponse(self._send(), media_type="text/event-stream")

        self.state.app = app
        self.state.move(Phase.HEALTHY, "")

    async def _send(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    return World(**getattr(request, "param", {}))


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """Where it is served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(world.front, lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def enter(browser: Browser, url: str) -> Iterator[Callable[[], Tab]]:
    """Opens a tab there, with its key."""
    with ExitStack() as stack:

        def log_in() -> Tab:
            tab = stack.enter_context(open_tab(browser, url, **DESKTOP))
            if tab.page.locator("#key").is_visible():
                tab.log_in(KEY)
            tab.page.wait_for_selector("#gate", state="hidden")
            return tab

        yield log_in


def text_of(tab: Tab) -> str:
    """The last answer."""
    return tab.page.locator("article.model").last.inner_text()


def test_a_message_waits_for_the_model(world: World, enter: Callable[[], Tab]) -> None:
    world.state.progress("reading the weights")
    tab = enter()
    assert "loading, reading the weights" in tab.page.inner_text("#state")
    tab.say("Hello?")
    tab.page.wait_for_selector("#status:has-text('sent as soon as it is ready')")
    assert tab.asked == []
    world.ready()
    assert tab.answer().endswith("complete")
    assert tab.asked[0]["model"] == "m"
    assert tab.page.inner_text("#state") == "ready"


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        (Phase.STUCK, "stuck, soon restarted by systemd (no token for 130 s)"),
        (Phase.DRAINING, "shutting down, takes no new requests"),
        (Phase.UNHEALTHY, "failed (no token for 130 s), the server's log has more"),
    ],
)
def test_states_in_words(world: World, enter: Callable[[], Tab], phase: Phase, says: str) -> None:
    world.ready()
    world.state.move(phase, "no token for 130 s")
    tab = enter()
    assert tab.page.inner_text("#state") == says
    assert (
        tab.page.inner_text("#status") == f"The key is right. The model can't answer now: {says}."
    )
    tab.say("Hello?")
    tab.page.wait_for_selector("article p.bad")
    assert says in text_of(tab)
    assert "Try again" in text_of(tab)


def test_a_key_that_has_used_up_its_minute(world: World, enter: Callable[[], Tab]) -> None:
    world.ready()
    tab = enter()
    world.control.rates(world.key).spend(200_000)
    tab.say("Hello?")
    tab.page.wait_for_selector(".again:disabled:has-text('Try again in')")
    assert "Too much was asked for the moment. The key mine has used up" in text_of(tab)


def test_a_key_that_was_taken_away(world: World, enter: Callable[[], Tab]) -> None:
    world.ready()
    tab = enter()
    world.control.replace(Access(keys=(Key(name="other", sha256=digest("other")),)))
    tab.say("Hello?")
    tab.page.wait_for_selector("#key-error:has-text('does not know this key')")
    world.control.replace(Access(keys=(world.key,)))
    tab.log_in(KEY)
    tab.page.wait_for_selector("#prompt")
    assert tab.page.input_value("#prompt") == "Hello?", "what was typed is not lost"


def test_a_model_without_chat_template(world: World, enter: Callable[[], Tab]) -> None:
    world.ready()
    world.template = False
    world.pieces = [event(" upon a time", "length", chat=False)]
    tab = enter()
    tab.say("Once")
    assert tab.answer().endswith("cut off at the limit of tokens")
    assert "This model has no chat template." in text_of(tab)
    assert "upon a time" in text_of(tab)
    assert tab.asked[-1]["prompt"] == "Once"
    tab.say("Twice")
    tab.answer(2)
    assert tab.asked[-1]["prompt"] == "Twice"
    assert len(tab.asked) == 3, "it is not tried again"


def test_a_model_that_makes_vectors(world: World, enter: Callable[[], Tab]) -> None:
    world.ready(without_generate("m", ["embed", "score", "something_new"]))
    tab = enter()
    tab.page.wait_for_selector("#other")
    assert tab.page.locator("#tasks li").all_inner_texts() == [
        "vectors of texts: POST v1/embeddings",
        "how well two texts match: POST score and rerank",
        "something_new",
    ]
    assert not tab.page.locator("#composer").is_visible()
    tab.page.click("#show-code")
    assert "/v1/embeddings" in tab.page.inner_text("#snippets")
    assert tab.console == []


@pytest.mark.parametrize("world", [{"api_key_required": False}], indirect=True)
def test_a_server_that_wants_no_key(world: World, enter: Callable[[], Tab]) -> None:
    world.ready()
    tab = enter()
    tab.say("Hello?")
    assert tab.answer().endswith("complete")
    tab.page.click("#show-code")
    shown = tab.page.inner_text("#code")
    assert "/v1/chat/completions" in shown
    assert "API_KEY" not in shown
    assert tab.console == []


def test_what_an_answer_holds_is_text(world: World, enter: Callable[[], Tab]) -> None:
    world.ready()
    world.pieces = [event(HOSTILE, "stop")]
    tab = enter()
    tab.say("Attack")
    tab.answer()
    assert tab.page.title() == "m"
    assert tab.console == []
    assert tab.page.locator("article").locator("img, script, iframe, a, b").count() == 0
    for part in ("<img src=x", "<b>bold</b>", "<script>", "<iframe", "[here](javascript:"):
        assert part in text_of(tab)
    assert tab.page.locator("article li strong").inner_text() == "one"
    assert tab.page.locator("article .code pre").count() == 1


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_events_in_any_pieces(world: World, enter: Callable[[], Tab], size: int) -> None:
    whole = b": keep-alive\n\n" + event("Grüße, ") + event("你好 😀") + event("", "stop")
    whole = whole.replace(b"\n", b"\r\n") + b"data: [DONE]\n\n"
    world.ready()
    world.pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    tab = enter()
    tab.say("Hello?")
    assert tab.answer().startswith("7 tokens")
    assert "Grüße, 你好 😀" in text_of(tab)


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (b'data: {"error": {"message": "no", "code": 504}}\n\n', "took longer than the server"),
        (b'data: {"error": {"message": "no", "code": 500}}\n\n', "The server failed"),
        (b"", "The answer broke off"),
        (RuntimeError("broken"), "The server failed"),
        (b"data: {broken\n\n", "The connection broke"),
    ],
    ids=["too long", "failed", "no end", "the app fails", "not JSON"],
)
def test_an_answer_that_breaks_off(
    world: World, enter: Callable[[], Tab], last: bytes | Exception, says: str
) -> None:
    world.ready()
    world.pieces = [event("Half an ans"), last]
    tab = enter()
    tab.say("Hello?")
    tab.page.wait_for_selector("article p.bad")
    assert "Half an ans" in text_of(tab)
    assert says in text_of(tab)
    world.pieces = [event("Whole", "stop")]
    tab.page.click(".again")
    assert tab.answer().endswith("complete")
    assert len(tab.asked[-1]["messages"]) == 1


def test_enter_sends_where_that_is_set(world: World, enter: Callable[[], Tab]) -> None:
    world.ready()
    tab = enter()
    tab.page.fill("#prompt", "one")
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.type("two")
    assert tab.page.input_value("#prompt") == "one\ntwo"
    assert tab.asked == []
    tab.page.click("#show-settings")
    tab.page.check("#enter")
    tab.page.keyboard.press("Escape")
    tab.page.focus("#prompt")
    tab.page.keyboard.press("Shift+Enter")
    tab.page.keyboard.press("Enter")
    tab.answer()
    assert tab.asked[0]["messages"][-1]["content"] == "one\ntwo"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "Please enter the key"),
        ("not-the-key-0123456789", "does not know this key"),
        ("key with blanks", "has no blanks"),
        ("Schlüssel", "no letters outside of ASCII"),
    ],
)
def test_a_wrong_key(world: World, browser: Browser, url: str, key: str, says: str) -> None:
    world.ready()
    with open_tab(browser, url, **DESKTOP) as tab:
        tab.log_in(key)
        tab.page.wait_for_selector("#key-error:not(:empty)")
        assert says in tab.page.inner_text("#key-error")
        assert tab.page.evaluate("document.activeElement.id") == "key"
        tab.log_in(KEY)
        tab.page.wait_for_selector("#prompt")


@pytest.mark.parametrize("keep", [True, False])
def test_where_the_key_is_kept(world: World, browser: Browser, url: str, keep: bool) -> None:
    world.ready()
    with open_tab(browser, url, **DESKTOP) as tab:
        if keep:
            tab.page.check("#keep")
        tab.log_in(KEY)
        tab.page.wait_for_selector("#prompt")
        assert KEY not in tab.page.url
        assert tab.page.evaluate("Object.values(sessionStorage)") == ([KEY] if keep else [])
        assert tab.page.evaluate("Object.values(localStorage)") == []
        assert tab.page.context.cookies() == []
        tab.page.reload()
        tab.page.wait_for_selector("#prompt" if keep else "#key")
        if keep:
            tab.page.click("#show-settings")
            tab.page.click("#forget")
            tab.page.wait_for_selector("#key")
            assert tab.page.evaluate("Object.values(sessionStorage)") == []


@pytest.mark.parametrize("clipboard", [True, False], ids=["https", "http"])
def test_an_answer_is_copied(world: World, browser: Browser, url: str, clipboard: bool) -> None:
    world.ready()
    options = {"permissions": ["clipboard-read", "clipboard-write"]} if clipboard else {}
    with open_tab(browser, url, **DESKTOP, **options) as tab:
        if not clipboard:  # as for a page over plain HTTP
            tab.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        tab.log_in(KEY)
        tab.say("Name a city.")
        tab.answer()
        tab.page.evaluate(WATCH_BUTTONS)
        tab.page.click(".meta button:has-text('Copy')")
        while "Copied" not in tab.page.evaluate("window.shown"):
            tab.page.wait_for_timeout(50)
        tab.page.focus("#prompt")
        tab.page.keyboard.press("Control+V")
        copied = tab.page.input_value("#prompt")
        assert copied
        assert copied.split() == tab.page.locator("article.model .text").inner_text().split()


@pytest.mark.parametrize("options", [DESKTOP, DARK, PHONE], ids=["desktop", "dark", "phone"])
def test_nobody_is_shut_out(
    world: World, browser: Browser, url: str, options: dict[str, Any]
) -> None:
    world.ready()
    world.cards.append({"id": "an-adapter-with-a-name-of-some-length", "parent": "m"})
    world.pieces = [event("```\n" + "wide " * 99 + "\n```\n" + "long" * 99, "stop")]
    with open_tab(browser, url, **options) as tab:
        tab.page.click("summary")
        assert tab.barriers() == []
        tab.log_in(KEY)
        tab.page.wait_for_selector("#models")
        assert tab.barriers() == []
        tab.say("Write " + "a-very-long-word-" * 20)
        tab.answer()
        assert tab.barriers() == []
        for button in ("#show-settings", "#show-code"):
            tab.page.click(button)
            assert tab.barriers() == []
            tab.page.keyboard.press("Escape")
