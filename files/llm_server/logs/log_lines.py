# SPDX-License-Identifier: Apache-2.0
"""What one record looks like in the log: lines of a bounded length, each with its priority."""

from __future__ import annotations

import logging
from collections.abc import Iterator

#: The logger of the lines that are JSON.
ACCESS = "llm_server.access"
#: No line is longer, its priority and its end included.
LINE_BYTES = 2048
#: Lines of one record; of more the middle is left out.
RECORD_LINES = 120
#: Begins each line of a record but its first: nothing that a client sent can look like a record.
_GOES_ON = "  "
#: What a terminal would obey, and a viewer of the journal would hide.
_CONTROLS = {
    number: f"\\x{number:02x}"
    for number in (*range(0x20), 0x7F, *range(0x80, 0xA0))
    if chr(number) not in "\t\n"
}
_CONTROLS[ord("\r")] = ""

#: As syslog numbers them, from this level of Python's on.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class LineFormatter(logging.Formatter):
    """Makes the lines of a record, the last without its end."""

    def __init__(self, *, priorities: bool) -> None:
        """`priorities` is for the journal: `<3>` before each line of an error, say."""
        super().__init__()
        self._priorities = priorities

    def format(self, record: logging.LogRecord) -> str:
        """The record as lines."""
        prefix = f"<{_priority(record.levelno)}>" if self._priorities else ""
        if record.name == ACCESS:  # bounded by who made it: cut, it would be no JSON
            return prefix + record.getMessage()
        most = LINE_BYTES - len(prefix) - 1
        lines = _bounded(self._text(record).rstrip("\n").translate(_CONTROLS).split("\n"))
        return "\n".join(
            prefix + cut(line if number == 0 else _GOES_ON + line, most)
            for number, line in enumerate(lines)
        )

    def _text(self, record: logging.LogRecord) -> str:
        process = getattr(record, "vllm_process_name", record.processName) or ""
        of = "" if process == "MainProcess" else f" ({process})"
        text = f"{record.levelname} {record.name}{of}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if record.stack_info:
            text += "\n" + self.formatStack(record.stack_info)
        return text


def cut(text: str, most: int) -> str:
    """The text in at most so many bytes of UTF-8; says how much it left out."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= most:
        return data.decode()
    # The number of what is left out has the digits of the whole at most.
    kept = data[: most - len(_left_out(len(data)))].decode(errors="ignore")
    return kept + _left_out(len(data) - len(kept.encode()))


def _left_out(number: int) -> str:
    return f" ... {number} bytes left out"


def _bounded(lines: list[str]) -> Iterator[str]:
    half = RECORD_LINES // 2
    if len(lines) <= RECORD_LINES:
        yield from lines
        return
    yield from lines[:half]
    yield f"... {len(lines) - 2 * half} lines left out"
    yield from lines[-half:]


def _priority(level: int) -> int:
    return next((number for least, number in _PRIORITIES if level >= least), 7)
