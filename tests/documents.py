"""The project's documents as tests read them: pages, shell blocks and the commands in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer.main
from support import PROJECT

from lcmap.cli import app

GROUP = typer.main.get_command(app)

PAGES = (
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").glob("*.md")),
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def page_name(page: Path) -> str:
    """Return how a page is called in test names, as docs/models.md."""
    return page.relative_to(PROJECT).as_posix()


def shell_commands(page: Path) -> list[str]:
    """Return the commands of a page's sh blocks in order: each on one line, a loop as one."""
    commands: list[str] = []
    for language, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language != "sh":
            continue
        loop: list[str] = []
        for line in block.replace("\\\n", " ").splitlines():
            text = " ".join(line.split(" #")[0].split())
            if not text:
                continue
            if loop or text.startswith("for "):
                loop.append(text)
                if text == "done":
                    commands.append("\n".join(loop))
                    loop = []
            else:
                commands.append(text)
        assert not loop, f"{page}: a loop without its end"
    return commands


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def lcmap_calls(text: str) -> list[list[str]]:
    """Return the calls of lcmap in a command or a script, in words."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||&&|\$\(|`", line.strip().removeprefix("! ")):
            words = part.strip()
            if words.startswith("lcmap "):
                found.append(shlex.split(words.split(" #")[0].split(" > ")[0]))
    return found


def options_of(name: str) -> set[str]:
    """Return the options of a command."""
    parameters = GROUP.commands[name].params  # type: ignore[attr-defined]
    return {o for p in parameters for o in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}


def check_call(words: list[str]) -> None:
    """Check that a call of lcmap names a command and options that exist."""
    if words[1].startswith("-"):
        return
    assert words[1] in GROUP.commands, words  # type: ignore[attr-defined]
    for word in words[2:]:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in options_of(words[1]), words
