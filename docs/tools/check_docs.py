# SPDX-License-Identifier: Apache-2.0
"""Says what the documentation names and the repository lacks.

    python -m docs.tools.check_docs

It looks at every page that people write or read: links to files and headings, `make` targets,
playbooks, files, settings, modules and roles; README's length; and whether README.ko.md has
README's headings, commands and links. In pages, modules' documentation, roles' specs, names of
tasks and messages it looks at the length of sentences; everywhere at words that are no terms of
the field. Exits 1 where something is wrong.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from docs.tools import words
from docs.tools.names import Names, unknown_names
from docs.tools.page import Page

ROOT = Path(__file__).resolve().parents[2]
README_LINES = 150
TRANSLATION = "README.ko.md"


def pages(root: Path) -> list[Page]:
    """Every page of documentation, but for what was measured once and never changes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    kept = (name for name in listed if not name.startswith(("benchmarks/results/", "collections/")))
    return [Page(root, name) for name in kept if (root / name).is_file()]


def dead_links(page: Page, root: Path) -> list[str]:
    """Links of a page that lead to no file, or to no heading of it."""
    problems = []
    for target in page.links:
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.path.parent / path).resolve() if path else page.path
        if not file.exists():
            problems.append(f"the link {target} leads to no file")
        elif anchor and (file.suffix != ".md" or anchor not in Page.at(root, file).anchors):
            problems.append(f"the link {target} leads to no heading")
    return problems


def too_long(page: Page) -> list[str]:
    """Where a guide has longer sentences, or README more lines, than a reader has patience for."""
    problems = []
    if page.name == "README.md" and page.lines > README_LINES:
        problems.append(f"has {page.lines} lines; {README_LINES} are allowed")
    for sentence in page.sentences:
        count = len(sentence.split())
        if count > words.MOST_WORDS:
            problems.append(
                f"a sentence has {count} words ({words.MOST_WORDS} allowed): {sentence}"
            )
    return problems


def not_shipped(readme: Page, root: Path) -> list[str]:
    """Links of README that are dead where only the built collection is."""
    ignored = yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]
    return [
        f"the link {target} leads out of the built collection"
        for target in readme.links
        if any(target == one or target.startswith(f"{one}/") for one in ignored)
    ]


def mistranslated(readme: Page, translation: Page) -> list[str]:
    """What a translation lacks, or has beside, of the headings, commands and links."""
    problems = []
    ours, theirs = readme.heading_levels, translation.heading_levels
    if ours != theirs:
        problems.append(f"has headings of the levels {theirs}, README.md {ours}")
    for what, wanted, found in (
        ("command", readme.commands, translation.commands),
        # Each leads to the other.
        ("link", *(_others(page) for page in (readme, translation))),
    ):
        problems += [f"lacks README.md's {what}: {one}" for one in wanted if one not in found]
        problems += [
            f"has a {what} that README.md lacks: {one}" for one in found if one not in wanted
        ]
    return problems


def _others(page: Page) -> list[str]:
    """Links of one of the two, but for that to the other."""
    return sorted({*page.links} - {TRANSLATION, "README.md"})


def problems(root: Path) -> list[str]:
    """All that is wrong with the documentation, each with its page."""
    names = Names(root)
    found = []
    everything = pages(root)
    for page in everything:
        wrong = dead_links(page, root)
        if page.written_by_hand:
            wrong += unknown_names(page, names)
        if page.written_by_hand and page.path.parent in {root, root / "docs"}:
            wrong += too_long(page)
        found += [f"{page.name}: {one}" for one in wrong]
    readme = Page(root, "README.md")
    found += [f"README.md: {one}" for one in not_shipped(readme, root)]
    found += [f"{TRANSLATION}: {one}" for one in mistranslated(readme, Page(root, TRANSLATION))]
    return [*found, *words.long_sentences(root), *words.private_words(root)]


def main() -> int:
    """Print what is wrong."""
    found = problems(ROOT)
    for one in found:
        sys.stderr.write(f"{one}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
