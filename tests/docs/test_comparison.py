"""Every feature that the comparison says lcmap has is shown by a command on the page linked to."""

from __future__ import annotations

import re

import pytest
from documents import GROUP
from support import PROJECT

DOCS = PROJECT / "docs"
FENCED = re.compile(r"^```(?:sh|text|console)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\[([^\]]*)\]\(([^)#]*)[^)]*\)")
CODE = re.compile(r"`([^`]*)`")
COLUMNS = 11


def cells() -> list[object]:
    """Return the feature and lcmap's cell of each row that does not say no."""
    found = []
    for line in (DOCS / "comparison.md").read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) == COLUMNS and row[0] and not row[0].startswith("-") and row[1] != "lcmap":
            assert re.match(r"\*\*no\*\*|.*\]\(", row[1]), f"{row[0]}: neither a link nor a no"
            if not row[1].startswith("**no**"):
                found.append(pytest.param(row[1], id=row[0]))
    return found


@pytest.mark.parametrize("cell", cells())
def test_a_feature_is_shown_by_its_command(cell: str) -> None:
    shown = [
        (words.split(), page) for text, page in LINK.findall(cell) for words in CODE.findall(text)
    ]
    assert shown, f"{cell} names no command"
    named = ""
    for words, page in shown:
        named = words[0] if not words[0].startswith("-") else named
        options = [word for word in words if word.startswith("--")]
        blocks = "\n".join(FENCED.findall((DOCS / page).read_text(encoding="utf-8")))
        calls = [line for line in blocks.replace("\\\n", " ").splitlines() if named in line]
        assert named == "torchrun" or named in GROUP.commands  # type: ignore[attr-defined]
        for option in options or [named]:
            assert any(option in call.split() for call in calls), f"{page} does not show {option}"
