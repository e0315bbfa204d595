# SPDX-License-Identifier: Apache-2.0
"""Requests made by the thousand from the server's own OpenAPI document, right ones and wrong ones.

None may be answered with a failure of the server, none may hang, and afterwards it is as it was.
Every run makes the same ones.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from requests import RequestException
from schemathesis import GenerationMode

from tests.support.exhaustive import FULL
from tests.support.server_fixture import KEY, MODEL_NAME, Server

pytestmark = pytest.mark.vllm

#: Requests for each operation that has a body or a parameter; the others get `PLAIN`. What is cheap
#: to answer gets more.
EXAMPLES = {
    "POST /generate": 200,
    "POST /v1/completions": 200,
    "POST /v1/chat/completions": 100,
    "POST /v1/chat/completions/batch": 30,
    "POST /v1/responses": 50,
    "GET /v1/responses/{response_id}": 150,
    "POST /v1/responses/{response_id}/cancel": 150,
    "POST /v1/messages": 60,
    "POST /v1/messages/count_tokens": 60,
    "POST /tokenize": 400,
    "POST /detokenize": 400,
    "POST /generative_scoring": 250,
    "POST /v1/systemone": 60,
    "POST /invocations": 60,
    "POST /scale_elastic_ep": 60,
    "GET /v1/models/{name}": 60,
}
PLAIN = (
    "GET /",
    "GET /health",
    "GET /kv_event_sources",
    "GET /load",
    "GET /metrics",
    "GET /ping",
    "GET /v1/models",
    "GET /version",
    "POST /is_scaling_elastic_ep",
    "POST /ping",
)
#: `make test` makes a third of them.
EVERY = 1 if FULL else 3
AT_LEAST = 1800 // EVERY

#: Failures that are vLLM's own, by operation: status, what the answer says, and why it stays.
KNOWN = {
    # Its own way to say that the model lacks this API.
    "POST /v1/systemone": (501, "Not Implemented."),
}

#: Of what is generated these are made small, so that the run ends: field → the most it may be.
SMALL = {"max_tokens": 2, "max_completion_tokens": 2, "max_output_tokens": 2, "min_tokens": 2}
SMALL |= {"n": 2}
#: Where nothing bounds the answer, this field is set.
BOUND = {
    "POST /generate": "max_tokens",
    "POST /v1/completions": "max_tokens",
    "POST /invocations": "max_tokens",
    "POST /v1/chat/completions": "max_tokens",
    "POST /v1/chat/completions/batch": "max_tokens",
    "POST /v1/responses": "max_output_tokens",
    "POST /v1/messages": "max_tokens",
}
#: Seconds that an answer may take on a busy machine; more counts as none.
TIMEOUT_S = 300

#: The document describes no body for this one. A size of 1 is what the server has: any other would
#: have it start engines.
SCALE: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "new_data_parallel_size": st.sampled_from([1, 0, -1, "1", None, 1.5, []]),
        "drain_timeout": st.sampled_from([1, 120, 0, -5, "5", None]),
    },
)

#: By method and path.
Operations = dict[str, Any]

done: Counter[str] = Counter()


@pytest.fixture(scope="module")
def operations(shared_server: Server) -> Operations:
    """The operations in the server's document, by method and path."""
    document = shared_server.authorised.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=str(shared_server.open.base_url).rstrip("/"))
    found: list[Any] = list(schema.get_all_operations())
    return {result.ok().label: result.ok() for result in found}


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis draws constants of whatever modules are loaded, which differ from run to run."""
    none = providers.Constants()
    monkeypatch.setattr(providers, "_get_local_constants", lambda: none)


def bounded(label: str, body: Any) -> Any:
    """The body as it is sent: for the model that is there, and for few tokens."""
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("model"), str):
        body["model"] = MODEL_NAME
    for name, most in SMALL.items():
        value = body.get(name)
        # 112.0 is taken for 112.
        if isinstance(value, int | float) and value > most:
            body[name] = most
    if label in BOUND and body.get(BOUND[label]) is None:
        body[BOUND[label]] = SMALL[BOUND[label]]
    if label == "POST /v1/completions":
        # The document does not say that one of several fields must be there.
        body.setdefault("prompt", "Hello")
    return body


def cases(label: str, operations: Operations) -> st.SearchStrategy[Any]:
    """What fits the document and what does not, in equal parts."""
    operation = operations[label]
    if label in ("POST /scale_elastic_ep", "POST /invocations"):
        # Their bodies are read by hand. /invocations takes what the routes for text take.
        bodies = (
            SCALE
            if label == "POST /scale_elastic_ep"
            else operations["POST /v1/completions"].as_strategy().map(lambda case: case.body)
        )
        return bodies.map(lambda body: operation.Case(body=body, media_type="application/json"))
    return st.one_of(
        operation.as_strategy(GenerationMode.POSITIVE),
        operation.as_strategy(GenerationMode.NEGATIVE),
    )


def check(server: Server, label: str, case: Any) -> None:
    """Sends one request, and looks at the answer."""
    case.body = bounded(label, case.body)
    try:
        answer = case.call(headers={"Authorization": f"Bearer {KEY}"}, timeout=TIMEOUT_S)
    except RequestException as error:
        pytest.fail(f"{label}: no answer: {error}: {case.body!r}")
    done[label] += 1
    if answer.status_code < 400:
        return
    own = {"type", "request_id"} if "/v1/messages" in label else set()
    assert set(answer.json()) == {"error"} | own, answer.text
    assert answer.json()["error"]["request_id"]
    assert "Traceback" not in answer.text
    assert "/site-packages/" not in answer.text
    status, text = KNOWN.get(label, (0, ""))
    if answer.status_code >= 500 and not (answer.status_code == status and text in answer.text):
        log = [line for line in server.tail().splitlines() if "ERROR" in line]
        pytest.fail(f"{label}: {answer.status_code} {answer.text}: {case.body!r}: {log[-3:]}")


def test_the_document_lists_what_is_tried(
    operations: Operations,
) -> None:
    assert sorted(operations) == sorted([*EXAMPLES, *PLAIN])


@pytest.mark.parametrize("label", [*EXAMPLES, *PLAIN])
def test_no_request_makes_the_server_fail(
    shared_server: Server,
    operations: Operations,
    label: str,
) -> None:
    @seed(1)
    @settings(
        max_examples=max(1, EXAMPLES.get(label, 1) // EVERY),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(label, operations))
    def run(case: Any) -> None:
        check(shared_server, label, case)

    run()


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_without_a_token_is_refused(shared_server: Server, stream: bool) -> None:
    answer = shared_server.authorised.post("/generate", json={"prompt": "\x04", "stream": stream})
    assert answer.status_code == 400, answer.text


def test_they_were_many_and_left_nothing_behind(shared_server: Server) -> None:
    assert done.total() >= AT_LEAST, done
    shared_server.wait_until_idle()
    assert shared_server.open.get("/health").status_code == 200
    answer = shared_server.authorised.post("/generate", json={"prompt": "Hi", "max_tokens": 2})
    assert answer.status_code == 200
