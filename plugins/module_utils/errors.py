# SPDX-License-Identifier: Apache-2.0
"""Errors that name the action tried, Google's reason, and what to do next."""

from __future__ import annotations

from typing import Any


class GceError(Exception):
    """Something that a person has to look at.

    Attributes:
        message: what was wrong and where, in one or two sentences.
        reason: Google's own word for it (`notFound`, `QUOTA_EXCEEDED`, …) or one of ours.
        remedy: what to do next; may be empty.
        status: HTTP status, 0 where there was no answer.
        details: further facts for the module's result.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        remedy: str = "",
        status: int = 0,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.remedy = remedy
        self.status = status
        self.details = dict(details or {})

    def __str__(self) -> str:
        return f"{self.message} Next: {self.remedy}" if self.remedy else self.message

    def as_result(self) -> dict[str, Any]:
        """Keyword arguments for `AnsibleModule.fail_json`."""
        result: dict[str, Any] = {
            "msg": str(self),
            "reason": self.reason,
            "remedy": self.remedy,
            "http_status": self.status,
        }
        result.update(self.details)
        return result


class ApiError(GceError):
    """Google answered with an error.

    Attributes:
        google_message: the text of the answer, unchanged.
    """

    def __init__(self, message: str, *, google_message: str = "", **rest: Any) -> None:
        super().__init__(message, **rest)
        self.google_message = google_message


class OperationError(GceError):
    """A long-running operation ended with an error."""


class WaitTimeoutError(GceError):
    """What was waited for did not come; the message holds the last state seen."""
