# SPDX-License-Identifier: Apache-2.0
"""Who may ask, and how much: the file that can be read again while the server runs."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..errors import ConfigError
from ..facts import ModelFacts
from ..ledger.ledger import Ledger
from ..limits.budgets import KeyBudget
from ..limits.rates import KeyRates

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Key(BaseModel):
    """One named API key, known by its digest alone.

    A plain SHA-256 and no slow hash such as scrypt: a key is random, not a person's password. With
    128 bits and more there is nothing to guess, however fast a guess is; and a slow hash would hold
    up every request, also each wrong one that a stranger sends.
    """

    model_config = _STRICT

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: Both bounds count over a minute; None is no bound. Tokens are those of prompt and answer.
    requests_per_minute: int | None = Field(default=None, ge=1, strict=True)
    tokens_per_minute: int | None = Field(default=None, ge=1, strict=True)
    #: Tokens until the day or the month ends, in UTC; see `budgets`.
    tokens_per_day: int | None = Field(default=None, ge=1, strict=True)
    tokens_per_month: int | None = Field(default=None, ge=1, strict=True)
    #: What it opens; see `rights`.
    scope: Literal["all", "inference", "metrics"] = "all"
    #: When it ends. A day counts to its end, in UTC.
    expires: datetime | None = None

    @field_validator("expires", mode="before")
    @classmethod
    def _as_moment(cls, value: object) -> datetime | None:
        if value is None:
            return None
        try:
            return _moment(str(value))
        except (ValueError, OverflowError):
            raise ValueError(
                "write a day as 2027-01-31, or a time as 2027-01-31T12:00:00Z"
            ) from None


class Limits(BaseModel):
    """What one request, and all of them together, may take."""

    model_config = _STRICT

    #: Requests that run or wait; one more is told to come back later.
    max_requests: int = Field(default=1024, ge=1, strict=True)
    #: None follows from the model; see `facts`.
    max_body_bytes: int | None = Field(default=None, ge=1024, strict=True)
    #: Seconds that a client may take to send its body.
    max_body_seconds: float = Field(default=30, gt=0, le=3600)
    #: Answers at once for one request: prompts times `n`.
    max_sequences: int = Field(default=128, ge=1, strict=True)
    #: Inputs at once where nothing is generated: to embed, to rank, to classify.
    max_inputs: int = Field(default=2048, ge=1, strict=True)
    #: Values in a body of JSON. Lists of token ids are counted apart; see `facts`.
    max_elements: int = Field(default=20_000, ge=100, strict=True)
    #: What an answer is held to (a schema, a regex, choices): bytes of it, and the seconds of a
    #: processor that it may take to compile.
    max_grammar_bytes: int = Field(default=64 * 2**10, ge=16, strict=True)
    max_grammar_seconds: float = Field(default=5, gt=0, le=600)
    #: Seconds from the first byte of a request to the last of its answer.
    max_request_seconds: float = Field(default=600, gt=0, le=86400)


class Access(BaseModel):
    """All of access.yaml."""

    model_config = _STRICT

    keys: tuple[Key, ...] = ()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for field in ("name", "sha256"):
            values = [getattr(key, field) for key in self.keys]
            twice = sorted({v for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"keys: the {field} {twice[0]} is there twice")
        return self


def load_access(path: Path, *, keys_needed: bool) -> Access:
    """Reads access.yaml.

    Raises:
        ConfigError: it cannot be read, is malformed, or holds no key where one is needed. No
            message repeats a value: somebody may have written a key where its digest belongs.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"access_file: {path} cannot be read: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError([f"access_file: {path} is not valid YAML"]) from None
    try:
        access = Access.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            [
                f"access_file: {'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    if keys_needed and not access.keys:
        raise ConfigError([f"access_file: {path} holds no key; add one under keys"])
    return access


def _moment(text: str) -> datetime:
    """What somebody wrote as a day or a time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment + timedelta(days=1) if len(text) <= len("2027-01-31") else moment


def digest(key: str) -> str:
    """The form in which a key is kept."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class AccessControl:
    """The access in force: looked up for every request, replaced whole by a reload."""

    def __init__(self, access: Access, ledger: Ledger | None = None) -> None:
        self.access = access
        #: What budgets are counted from.
        self.ledger = ledger or Ledger()
        #: What is known of the model; nothing is read from a client before it is.
        self.model = ModelFacts()
        self._rates: dict[str, KeyRates] = {}
        self._budgets: dict[str, KeyBudget] = {}

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self.access.limits

    @property
    def max_body_bytes(self) -> int:
        """How large a body may be."""
        return self.limits.max_body_bytes or self.model.body_bytes

    def replace(self, access: Access) -> None:
        """Puts another access in force; requests that run are left alone."""
        self.access = access
        known = {key.name for key in access.keys}
        self._rates = {name: rates for name, rates in self._rates.items() if name in known}
        self._budgets = {name: one for name, one in self._budgets.items() if name in known}

    def named(self, name: str | None) -> Key | None:
        """The key of that name."""
        return next((key for key in self.access.keys if key.name == name), None)

    def find(self, token: str) -> Key | None:
        """The key that a client sent, or None; its time does not tell which one matched."""
        given = digest(token)
        found = [key for key in self.access.keys if hmac.compare_digest(given, key.sha256)]
        return found[0] if found else None

    def rates(self, key: Key) -> KeyRates:
        """What the key has used up in the last minute, under the bounds it has now."""
        rates = self._rates.setdefault(key.name, KeyRates())
        rates.bound(key.requests_per_minute, key.tokens_per_minute)
        return rates

    def budget(self, key: Key) -> KeyBudget:
        """What the key may use in a day and a month, and what of it is set aside."""
        budget = self._budgets.get(key.name)
        if budget is None:
            spent = partial(self.ledger.spent, key.name)
            budget = self._budgets[key.name] = KeyBudget(spent, self.ledger.clock)
        budget.bound(key.tokens_per_day, key.tokens_per_month)
        return budget
