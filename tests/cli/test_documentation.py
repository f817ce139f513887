"""Man pages, completions, help and README tell the same as the app."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from support import PROJECT

from lcmap.cli import COMMANDS, app
from lcmap.cli.documentation import EXAMPLES, completions, man_pages

GROUP = typer.main.get_command(app)


def options_of(name: str) -> set[str]:
    return {o for p in GROUP.commands[name].params for o in (*p.opts, *p.secondary_opts)} | {
        "-h",
        "--help",
    }


def test_committed_man_pages_are_those_of_the_app() -> None:
    pages = man_pages()
    assert {p.name for p in (PROJECT / "man").iterdir()} == set(pages)
    for name, text in pages.items():
        assert (PROJECT / "man" / name).read_text(encoding="utf-8") == text, f"make docs: {name}"


def test_committed_completions_are_those_of_the_app() -> None:
    scripts = completions()
    assert {p.name for p in (PROJECT / "completions").iterdir()} == set(scripts)
    for name, text in scripts.items():
        assert (PROJECT / "completions" / name).read_text(encoding="utf-8") == text, "make docs"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str, lcmap) -> None:
    assert GROUP.commands[name].help, "a command has a docstring"
    page = man_pages()[f"lcmap-{name}.1"].replace("\\-", "-")
    shown = lcmap(name, "--help").stdout
    for parameter in GROUP.commands[name].params:
        assert parameter.help, f"{parameter.name} has no help"
        for option in parameter.opts:
            if option.startswith("-"):
                assert option in shown
                assert option in page
    assert name in EXAMPLES


def command_lines(text: str) -> list[list[str]]:
    """Return the `lcmap …` commands of a script or a Markdown file's shell blocks, in words."""
    joined = text.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        for part in re.split(r"\||&&|\$\(|`", line.strip().removeprefix("$ ")):
            words = part.strip()
            if words.startswith("lcmap "):
                found.append(shlex.split(words.split(" #")[0].split(" > ")[0], posix=True))
    return found


def shell_blocks(markdown: str) -> str:
    return "\n".join(re.findall(r"```(?:sh|bash|console)\n(.*?)```", markdown, flags=re.S))


def check_command(words: list[str]) -> None:
    if words[1].startswith("-"):
        return
    assert words[1] in GROUP.commands, words
    for word in words[2:]:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in options_of(words[1]), words


def test_commands_of_the_readme_exist_as_written() -> None:
    lines = command_lines(shell_blocks((PROJECT / "README.md").read_text(encoding="utf-8")))
    assert {words[1] for words in lines} >= set(COMMANDS)
    for words in lines:
        check_command(words)


def test_commands_of_examples_and_pages_exist_as_written() -> None:
    scripts = list((PROJECT / "examples").glob("*.sh"))
    assert scripts
    lines = [w for s in scripts for w in command_lines(s.read_text(encoding="utf-8"))]
    lines += [w for pairs in EXAMPLES.values() for _, e in pairs for w in command_lines(e)]
    assert len(lines) > len(COMMANDS)
    for words in lines:
        check_command(words)


def test_bash_completes_a_subcommand() -> None:
    script = (
        f"source {PROJECT}/completions/lcmap.bash; COMP_WORDS=(lcmap pre); COMP_CWORD=1; "
        '_lcmap_completion lcmap; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert sorted(done.stdout.split()) == ["predict", "prepare"], done.stderr


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_man_pages_are_clean_roff() -> None:
    for page in (PROJECT / "man").iterdir():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-K", "utf8", "-P-cbu", str(page)],
            capture_output=True,
            text=True,
        )
        assert done.stderr == "", page
        assert "NAME" in done.stdout
