# SPDX-License-Identifier: Apache-2.0
"""What an endpoint answers that has a model behind it: four probes, each with its evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NOTHING = -1
PAUSE_S = 2
OPEN = "the endpoint has no key"
Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP; `NOTHING` where there was no answer.
        body: its JSON, where that is an object.
        reason: why there was no answer.
    """

    status: int
    body: Json = field(default_factory=dict)
    reason: str = ""


# Method, path, headers and what is sent as JSON.
Ask = Callable[[str, str, dict[str, str], "Json | None"], Answer]


@dataclass(frozen=True)
class Question:
    """What a completion is asked for.

    Attributes:
        expect: regular expression that the answer must hold; any text will do where it is empty.
    """

    prompt: str
    expect: str
    max_tokens: int


def parsed(text: bytes | str) -> Json:
    """An answer's body where it is an object in JSON, else nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def probes(
    ask: Ask, question: Question, api_key: str, retries: int, sleep: Callable[[float], None]
) -> dict[str, Json]:
    """Ask for the root page, the health, and a completion with the key and without.

    Args:
        retries: how often an endpoint that can't be connected to is tried again, for each page.

    Returns:
        For each of `root`, `health`, `completion` and `locked` whether it is `ok`, and `evidence`.
    """
    key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    root = _page(ask, "/", key, retries, sleep)
    health = _page(ask, "/health", {}, retries, sleep)
    chats = [Answer(0), Answer(0)]
    if root.status != NOTHING:
        chat: Json = {
            "model": root.body.get("model", ""),
            "messages": [{"role": "user", "content": question.prompt}],
            "max_tokens": question.max_tokens,
            "temperature": 0,
        }
        keys = [key, {}] if api_key else [key]
        chats = [ask("POST", "/v1/chat/completions", headers, chat) for headers in keys]
    nothing = f"no answer: {root.reason}" if root.status == NOTHING else ""
    return {
        "root": _root(root, nothing),
        "health": _health(health),
        "completion": _completion(chats[0], question, nothing),
        "locked": _locked(chats[-1], nothing) if api_key else _found(True, OPEN),
    }


def _page(
    ask: Ask, path: str, headers: dict[str, str], retries: int, sleep: Callable[[float], None]
) -> Answer:
    for _ in range(retries):
        answer = ask("GET", path, headers, None)
        if answer.status != NOTHING:
            return answer
        sleep(PAUSE_S)
    return ask("GET", path, headers, None)


def _found(ok: bool, evidence: str) -> Json:
    return {"ok": ok, "evidence": evidence}


def _root(answer: Answer, nothing: str) -> Json:
    evidence = f"GET / answered {answer.status}, model {answer.body.get('model', 'unknown')}"
    return _found(answer.status == 200 and "model" in answer.body, nothing or evidence)


def _health(answer: Answer) -> Json:
    status = answer.body.get("status", "")
    well = answer.status == 200 and status == "healthy" and bool(answer.body.get("model_loaded"))
    evidence = f"GET /health answered {answer.status}, {status or 'no status'}"
    return _found(well, f"no answer: {answer.reason}" if answer.status == NOTHING else evidence)


def _completion(answer: Answer, question: Question, nothing: str) -> Json:
    text = _text(answer.body)
    ok = answer.status == 200 and bool(text) and bool(re.search(question.expect, text))
    answered = f"answered {answer.status} {json.dumps(text)}"
    if answer.status == NOTHING:
        answered = f"no answer: {answer.reason}"
    expected = f", expected /{question.expect}/" if question.expect else ""
    return _found(ok, nothing or f"asked {json.dumps(question.prompt)}, {answered}{expected}")


def _text(body: Json) -> str:
    try:
        content = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return ""
    return content.strip() if isinstance(content, str) else ""


def _locked(answer: Answer, nothing: str) -> Json:
    return _found(answer.status == 401, nothing or f"without a key it answered {answer.status}")
