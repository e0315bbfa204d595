# SPDX-License-Identifier: Apache-2.0
"""The key as a request carries it, and what is wrong with the way in which it does.

No text repeats what was sent: whatever stands in the wrong place may be the key.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from starlette.datastructures import Headers

from ..reasons import Reason

_RIGHT = "Send the header 'Authorization: Bearer <key>'."
#: Where other services look for a key.
_ELSEWHERE = ("api-key", "x-goog-api-key", "ocp-apim-subscription-key")


@dataclass(frozen=True)
class Given:
    """Either a token, which may be any, or what to say of there being none."""

    token: str | None = None
    problem: str = ""
    reason: Reason = "wrong_key"


UNKNOWN = Given(
    problem="This API key is not known here. Check it for a missing or a further character, or ask"
    " the operator for a new one."
)


def read(headers: Headers, *, password: bool) -> Given:
    """Finds the token.

    Args:
        headers: the request's.
        password: whether a browser may send the key as a password.
    """
    values = headers.getlist("authorization")
    if not values:
        return _without_authorization(headers, password=password)
    if len(values) != 1:  # several are ambiguous: a proxy may have checked another one
        return Given(
            problem="There are several Authorization headers. Send one.", reason="several_keys"
        )
    value = values[0].strip()
    if not value:
        return Given(problem=f"The Authorization header is empty. {_RIGHT}")
    scheme, space, token = value.partition(" ")
    scheme, token = scheme.lower(), token.strip()
    if scheme == "bearer":
        if not token:
            return Given(problem="There is no key after the word Bearer. " + _RIGHT)
        return Given(token)
    if scheme == "basic":
        if password:
            return Given(_password(token))
        return Given(
            problem="A user name and password (Basic) open /docs in a browser and nothing else. "
            + _RIGHT,
            reason="wrong_scheme",
        )
    if not space:
        return Given(
            problem="The Authorization header holds one word. Write 'Bearer', one space, then the"
            " key.",
            reason="wrong_scheme",
        )
    return Given(
        problem="The first word of the Authorization header must be Bearer. " + _RIGHT,
        reason="wrong_scheme",
    )


def _without_authorization(headers: Headers, *, password: bool) -> Given:
    # What clients of the Anthropic API send.
    tokens = headers.getlist("x-api-key")
    if len(tokens) == 1 and tokens[0].strip():
        return Given(tokens[0].strip())
    if len(tokens) > 1:
        return Given(
            problem="There are several x-api-key headers. Send one.", reason="several_keys"
        )
    if tokens:
        return Given(problem="The x-api-key header is empty. Write the key there.")
    for name in _ELSEWHERE:
        if name in headers:
            return Given(
                problem=f"The header {name} is not read here. {_RIGHT}", reason="wrong_scheme"
            )
    also = " In a browser, leave the user name empty and give the key as the password."
    text = "An API key is needed: send the header 'Authorization: Bearer <key>'."
    return Given(problem=text + (also if password else ""), reason="no_key")


def _password(given: str) -> str:
    try:
        pair = base64.b64decode(given, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]
