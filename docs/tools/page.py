# SPDX-License-Identifier: Apache-2.0
"""A page of Markdown, as far as the checks need it: no parser, as these pages use little of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FENCE = re.compile(r"^```.*?^```\n?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
#: What is read as a sentence: prose, list items and quotes, but no table and no heading.
NO_PROSE = re.compile(r"^(\||#|<!--|!\[)")


class Page:
    """One page, by its name below the repository's root."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.path = root / name
        self.text = self.path.read_text(encoding="utf-8")
        self._prose = FENCE.sub("\n", self.text)

    @classmethod
    def at(cls, root: Path, path: Path) -> Page:
        """The page of a file."""
        return _page(root, str(path.relative_to(root)))

    @property
    def written_by_hand(self) -> bool:
        """Whether no program writes it."""
        generated = ("<!-- Written by ", "Written by `docs/tools/", '<a href="#release-summary">')
        return not any(sign in self.text for sign in generated)

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())

    @property
    def links(self) -> list[str]:
        """Targets of its links and pictures, in their order."""
        return LINK.findall(re.sub(r"`[^`\n]*`", "", self._prose))

    @property
    def heading_levels(self) -> list[int]:
        """The depth of each heading."""
        return [len(marks) for marks, _ in HEADING.findall(self._prose)]

    @property
    def anchors(self) -> set[str]:
        """What a link may name after `#`, as GitHub and GitLab make it of a heading."""
        found: dict[str, int] = {}
        anchors = set()
        for _, title in HEADING.findall(self._prose):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            again = found.get(slug, 0)
            found[slug] = again + 1
            anchors.add(f"{slug}-{again}" if again else slug)
        return anchors

    @property
    def blocks(self) -> list[str]:
        """The fenced blocks, without their fences."""
        return ["\n".join(block.strip().splitlines()[1:-1]) for block in FENCE.findall(self.text)]

    @property
    def spans(self) -> list[str]:
        """What stands between backticks in a line."""
        return SPAN.findall(self._prose)

    @property
    def commands(self) -> list[str]:
        """Lines of fenced blocks without their comments, and commands within sentences, sorted."""
        lines = [
            re.sub(r"(^|\s)#.*", "", line).strip() for b in self.blocks for line in b.splitlines()
        ]
        spans = [
            one for one in self.spans if one.startswith(("make ", "ansible", "gcloud ", "pip "))
        ]
        return sorted(one for one in (*lines, *spans) if one)

    @property
    def sentences(self) -> list[str]:
        """Its sentences outside of tables and blocks; a command or a link counts as its words."""
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", self._prose)
        paragraphs = []
        for paragraph in re.split(r"\n\s*\n|\n(?=[-*>] |\d+\. )", text):
            kept = [
                line.lstrip("> ") for line in paragraph.splitlines() if not NO_PROSE.match(line)
            ]
            paragraphs.append(" ".join(kept).replace("**", ""))
        return [
            sentence.strip()
            for paragraph in paragraphs
            for sentence in re.split(r"(?<=[.!?:;])\s+", paragraph)
            if sentence.strip()
        ]


@cache
def _page(root: Path, name: str) -> Page:
    return Page(root, name)
