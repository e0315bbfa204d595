# SPDX-License-Identifier: Apache-2.0
"""The words for why a request was refused: in its log line, and in `llm_refused_total`."""

from __future__ import annotations

from typing import Literal, get_args

#: Closed: each is a series for each key. Add a word here before it is used.
Reason = Literal[
    # who asks
    "no_key",
    "wrong_key",
    "wrong_scheme",
    "several_keys",
    "expired_key",
    "out_of_scope",
    # how much at once, or in a minute
    "rate_requests",
    "rate_tokens",
    "budget_day",
    "budget_month",
    "full",
    "bodies_full",
    "grammars_full",
    # what the server can do now
    "loading",
    "draining",
    "stuck",
    "unhealthy",
    # what was sent
    "not_http",
    "body_too_large",
    "body_slow",
    "body_encoding",
    "body_malformed",
    "too_many_elements",
    "too_many_sequences",
    "too_many_tokens",
    "unknown_field",
    "bad_value",
    "grammar_too_large",
    "grammar_slow",
    # how long it takes
    "timeout",
    "cut_off",
]

REASONS: frozenset[str] = frozenset(get_args(Reason))
