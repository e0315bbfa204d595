# SPDX-License-Identifier: Apache-2.0
"""The page at `/` in a real Chromium, before a real vLLM: what a person meets there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import open_browser
from tests.support.page_tabs import DESKTOP, Tab, open_tab
from tests.support.server_fixture import KEY, MODEL_NAME, Server

pytestmark = pytest.mark.vllm

STATISTICS = r"(\d+) tokens? · [\d.]+ tokens/s · first token after \d+\.\d\d s · .+"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def url(shared_server: Server) -> str:
    return str(shared_server.open.base_url)


@pytest.fixture
def tab(browser: Browser, url: str) -> Iterator[Tab]:
    """One whose key was taken."""
    with open_tab(browser, url, **DESKTOP) as opened:
        opened.log_in(KEY)
        opened.page.wait_for_selector("#models")
        opened.page.wait_for_selector("#prompt")
        opened.settings(tokens="12", temperature="0")
        yield opened


def test_the_first_load_makes_no_noise(browser: Browser, shared_server: Server, url: str) -> None:
    before = len(shared_server.requests())
    with open_tab(browser, url, **DESKTOP) as tab:
        assert tab.page.inner_text("#state") == "ready"
        assert tab.page.title() == MODEL_NAME
        assert tab.page.locator("#key").is_visible()
        assert "llm_api_key_file" in str(tab.page.text_content("#gate"))
        assert tab.page.evaluate("document.activeElement.id") == "key"
        tab.page.reload()
        tab.page.wait_for_selector("#state.healthy")
        assert tab.console == []
    lines = shared_server.requests()[before:]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/", 200)
    ] * 2


def test_chat_with_history(tab: Tab, shared_server: Server) -> None:
    tab.settings(system="You are brief.")
    tab.say("Name a colour.")
    found = re.fullmatch(STATISTICS, tab.answer())
    assert found, tab.answer()
    first = tab.page.locator("article.model .text").inner_text()
    tab.say("And another one?")
    tab.answer(2)
    assert tab.console == []
    messages = tab.asked[-1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"].strip() == first.strip() != ""
    line = [one for one in shared_server.requests() if one["path"] == "/v1/chat/completions"][-2]
    assert (line["status"], line["tokens_out"]) == (200, int(found[1]))
    tab.page.click("#new")
    assert tab.page.locator("article").count() == 0
    tab.say("Hello")
    tab.answer()
    assert [message["role"] for message in tab.asked[-1]["messages"]] == ["system", "user"]


def test_an_answer_is_asked_for_again(tab: Tab) -> None:
    tab.say("Count to three.")
    tab.answer()
    tab.page.click(".again")
    tab.answer()
    assert tab.page.locator("article").count() == 2
    assert tab.asked[-1] == tab.asked[-2]


def test_stop(tab: Tab, shared_server: Server) -> None:
    tab.settings(tokens="900")
    tab.say("Tell me a very long story about the sea.")
    tab.page.wait_for_selector("article.model .text p")
    tab.page.click("#stop")
    assert tab.answer().endswith("stopped by you")
    assert re.match(r"\d+ tokens?", tab.answer()), "also what was stopped has figures"
    shared_server.wait_until_idle()
    assert tab.page.locator("#send").is_visible()
    tab.settings(tokens="2")
    tab.say("Tell me another long story.")
    assert "cut off at the limit of tokens" in tab.answer(2)


def test_an_adapter_is_chosen(tab: Tab) -> None:
    assert tab.page.locator("#models option").all_inner_texts() == [MODEL_NAME, "pirate (adapter)"]
    tab.page.select_option("#models", "pirate")
    tab.say("Hello")
    tab.answer()
    assert tab.asked[-1]["model"] == "pirate"


def test_text_is_continued(tab: Tab) -> None:
    tab.page.click("#show-settings")
    tab.page.select_option("#mode", "text")
    tab.page.keyboard.press("Escape")
    tab.say("The capital of France is")
    assert re.fullmatch(STATISTICS, tab.answer())
    assert tab.asked[-1]["prompt"] == "The capital of France is"


def test_the_code_works_as_shown(tab: Tab, shared_server: Server) -> None:
    tab.page.fill("#prompt", 'What\'s $HOME, `date`, \\n and "quotes"?')
    tab.page.click("#show-code")
    assert KEY not in tab.page.content()
    curl, python = tab.page.locator("#snippets pre").all_inner_texts()
    environment = os.environ | {"API_KEY": KEY}
    said, done = (
        subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=600, check=True
        ).stdout
        for command in (["bash", "-c", curl], [shared_server.python, "-c", python])
    )
    answer = json.loads(said)
    assert answer["usage"]["completion_tokens"] > 0
    assert done.strip() == answer["choices"][0]["message"]["content"].strip()
