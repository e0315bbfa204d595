# SPDX-License-Identifier: Apache-2.0
"""Budgets of API keys in USD, as the tokens that the server counts.

What a token has cost is known when the machine's hour is over, and differs from hour to hour. So
a budget in money needs a price that was set before, and is a budget of tokens from then on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

#: Field in USD → the one in tokens that stands for it.
FIELDS = {"usd_per_day": "tokens_per_day", "usd_per_month": "tokens_per_month"}
MILLION = 1_000_000
PRICE = "llm_server_usd_per_million_tokens"


def problems(keys: Iterable[Mapping[str, Any]], price: Any) -> list[str]:
    """A sentence or two for each budget that could not be kept; none repeats a key.

    Args:
        keys: as in `llm_server_keys`.
        price: USD of a million tokens; 0 is not known.
    """
    found = []
    for key in keys:
        for usd, tokens in FIELDS.items():
            if key.get(usd) is None:
                continue
            where = f"llm_server_keys: {key.get('name')}: {usd} is {key[usd]}"
            number, cost = _positive(key[usd]), _positive(price)
            if number is None:
                found.append(f"{where}. Give a number of USD above 0.")
            elif key.get(tokens) is not None:
                found.append(f"{where}, and {tokens} is {key[tokens]}. Give one of the two.")
            elif cost is None:
                found.append(
                    f"{where}, and {PRICE} is {price}: what a token costs is not known. Set it to"
                    f" the USD of a million tokens, or give {tokens}. usage.yml shows the tokens"
                    " and their cost until now."
                )
            elif _tokens(number, cost) < 1:
                found.append(
                    f"{where}, which is less than one token costs by {PRICE} ({price}). Raise it."
                )
    return found


def in_tokens(key: Mapping[str, Any], price: Any) -> dict[str, int]:
    """A key's budgets in tokens, rounded down; those in USD by the price of a million.

    Args:
        key: one of which `problems` says nothing.
        price: USD of a million tokens.
    """
    found: dict[str, int] = {}
    for usd, tokens in FIELDS.items():
        number, cost = _positive(key.get(usd)), _positive(price)
        if key.get(tokens) is not None:
            found[tokens] = key[tokens]
        elif number is not None and cost is not None:
            found[tokens] = _tokens(number, cost)
    return found


def _tokens(usd: float, price: float) -> int:
    # So that 0.3 USD at 0.1 USD are three million, whatever binary makes of them.
    return math.floor(round(usd * MILLION / price, 3))


def _positive(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None
