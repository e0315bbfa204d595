# SPDX-License-Identifier: Apache-2.0
"""List filters: Google's AIP-160 form and the older regular expression form (`eq`, `ne`).

The subset that gcloud, the google.cloud inventory and google-cloud-compute send: comparisons,
`:*`, wildcards, AND, OR, NOT, parentheses, terms side by side. OR binds tighter than AND, as
AIP-160 has it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from emulator.errors import ApiError, Json

Predicate = Callable[[Json], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<paren>[()])
    | (?P<op>!=|<=|>=|=|<|>|:)
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<word>[^\s()=!<>:"']+(?:\([^\s]*\)[^\s()]*)?)
    )""",
    re.VERBOSE,
)
# A regular expression without quotes runs to the end of the filter or to its closing parenthesis.
_LEGACY = re.compile(r"\s*([\w.\-]+)\s+(eq|ne)\s+(.+?)\s*", re.DOTALL)


def compile_filter(text: str | None) -> Predicate:
    """A predicate for a filter; None and blank match everything.

    Raises:
        ApiError: 400 for a filter that can't be read.
    """
    if text is None or not text.strip():
        return lambda _item: True
    legacy = _compile_legacy(text)
    if legacy is not None:
        return legacy
    parser = _Parser(text)
    predicate = parser.expression()
    if parser.peek() is not None:
        raise _bad(text)
    return predicate


def _bad(text: str) -> ApiError:
    return ApiError(
        400,
        "invalid",
        f"Invalid value for field 'filter': '{text}'. Invalid list filter expression.",
        location="filter",
    )


def _compile_legacy(text: str) -> Predicate | None:
    groups = list(_groups(text))
    parsed = [_LEGACY.fullmatch(group) for group in groups]
    if not any(parsed):
        return None
    if not all(parsed):  # the two forms can't be mixed
        raise _bad(text)
    terms: list[Predicate] = []
    for match in parsed:
        assert match is not None  # noqa: S101 (all() above)
        field, operator, literal = match.groups()
        if literal[0] == literal[-1] and literal[0] in "\"'" and len(literal) > 1:
            literal = literal[1:-1]
        try:
            pattern = re.compile(literal)
        except re.error as error:
            raise _bad(text) from error
        terms.append(_legacy_term(field, pattern, operator == "eq"))
    return lambda item: all(term(item) for term in terms)


def _legacy_term(field: str, pattern: re.Pattern[str], equal: bool) -> Predicate:
    def check(item: Json) -> bool:
        found = any(pattern.fullmatch(_text(value)) for value in _values(item, field.split(".")))
        return found == equal

    return check


def _groups(text: str) -> Iterator[str]:
    """The outermost parenthesised parts, or the whole text where it has none."""
    text = text.strip()
    if not text.startswith("("):
        yield text
        return
    depth, start = 0, 0
    quote = ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "(":
            if depth == 0:
                start = position + 1
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                yield text[start:position]
        elif depth == 0 and not char.isspace():
            yield text  # AND or OR between the parts: not the older form
            return


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:
                raise _bad(text)
            kind = str(match.lastgroup)
            value = match[kind]
            if kind in {"double", "single"}:
                kind, value = "quoted", re.sub(r"\\(.)", r"\1", value)
            self._tokens.append((kind, value))
            position = match.end()
        self._next = 0

    def peek(self, ahead: int = 0) -> tuple[str, str] | None:
        index = self._next + ahead
        return self._tokens[index] if index < len(self._tokens) else None

    def _take(self) -> tuple[str, str]:
        token = self.peek()
        if token is None:
            raise _bad(self._text)
        self._next += 1
        return token

    def expression(self) -> Predicate:
        terms = [self._either()]
        while (token := self.peek()) is not None and token != ("paren", ")"):
            if token == ("word", "AND"):
                self._take()
            terms.append(self._either())
        return lambda item: all(term(item) for term in terms)

    def _either(self) -> Predicate:
        terms = [self._term()]
        while self.peek() == ("word", "OR"):
            self._take()
            terms.append(self._term())
        return lambda item: any(term(item) for term in terms)

    def _term(self) -> Predicate:
        if self.peek() == ("word", "NOT"):
            self._take()
            inner = self._term()
            return lambda item: not inner(item)
        if self.peek() == ("paren", "("):
            self._take()
            inner = self.expression()
            if self._take() != ("paren", ")"):
                raise _bad(self._text)
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        kind, field = self._take()
        negated = kind == "word" and field.startswith("-")
        if negated:
            field = field[1:]
        if kind not in {"word", "quoted"} or field in {"AND", "OR"}:
            raise _bad(self._text)
        operator_kind, operator = self._take()
        if operator_kind != "op":
            raise _bad(self._text)
        value_kind, value = self._take()
        if value_kind not in {"word", "quoted"}:
            raise _bad(self._text)
        test = _comparison(field, operator, value)
        return (lambda item: not test(item)) if negated else test


def _comparison(field: str, operator: str, wanted: str) -> Predicate:
    path = field.split(".")

    def check(item: Json) -> bool:
        values = list(_values(item, path))
        if operator == "!=":
            return not any(_equal(value, wanted) for value in values)
        return any(_holds(value, operator, wanted) for value in values)

    return check


def _holds(value: Any, operator: str, wanted: str) -> bool:
    if operator == "=":
        return _equal(value, wanted)
    if operator == ":":
        return wanted == "*" or _equal(value, wanted) or wanted.lower() in _text(value).lower()
    left: Any = _text(value)
    right: Any = wanted
    with contextlib.suppress(ValueError):  # both numbers, else both text
        left, right = float(left), float(right)
    results = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return bool(results[operator])


def _equal(value: Any, wanted: str) -> bool:
    text = _text(value)
    if isinstance(value, bool):
        return text == wanted.lower()
    if "*" in wanted:
        return re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), text) is not None
    return text == wanted


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _values(item: Any, path: list[str]) -> Iterator[Any]:
    """Every value at a dotted path, through lists; label keys may hold dots."""
    if isinstance(item, list):
        for element in item:
            yield from _values(element, path)
    elif not path:
        if isinstance(item, dict):
            yield from item  # the keys: `labels:env`
        elif item is not None:
            yield item
    elif isinstance(item, dict):
        for length in range(1, len(path) + 1):
            key = ".".join(path[:length])
            if key in item:
                yield from _values(item[key], path[length:])
