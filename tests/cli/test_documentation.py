"""Man pages, completions, help and examples say the same as the app; tests/docs has the pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from documents import GROUP, check_call, lcmap_calls
from support import PROJECT
from typer.models import OptionInfo

from lcmap.cli import COMMANDS
from lcmap.cli.documentation import EXAMPLES, completions, man_pages


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


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_called_as_its_command_declares_it(name: str) -> None:
    """Whatever typer makes of the declaration: 0.27 took `metavar="LABELS"` for `--LABELS`."""
    made = {parameter.name: parameter.opts for parameter in GROUP.commands[name].params}
    for declared, hint in typing.get_type_hints(COMMANDS[name], include_extras=True).items():
        for told in typing.get_args(hint)[1:]:
            if isinstance(told, OptionInfo):
                # the first name stands where a default would
                names = [n for n in (told.default, *(told.param_decls or ())) if n is not ...]
                names = names or [f"--{declared.replace('_', '-')}"]
                assert made[declared] == [name.split("/")[0] for name in names]


def test_commands_of_examples_and_pages_exist_as_written() -> None:
    scripts = list((PROJECT / "examples").glob("*.sh"))
    assert scripts
    lines = [w for s in scripts for w in lcmap_calls(s.read_text(encoding="utf-8"))]
    lines += [w for pairs in EXAMPLES.values() for _, e in pairs for w in lcmap_calls(e)]
    assert len(lines) > len(COMMANDS)
    for words in lines:
        check_call(words)


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


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
@pytest.mark.parametrize("name", COMMANDS)
def test_pages_fit_a_terminal_of_80_columns(name: str) -> None:
    done = subprocess.run(
        ["man", "-l", str(PROJECT / "man" / f"lcmap-{name}.1")],
        capture_output=True, text=True, env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    lines = re.sub(r".\x08|\x1b\[[\d;]*m", "", done.stdout).splitlines()
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines[1:-1] if line and not line[0].isspace()]
    assert headings == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "ARGUMENTS", "OPTIONS", "EXIT STATUS", "FILES",
        "EXAMPLES", "SEE ALSO",
    ]  # fmt: skip


def test_options_stand_in_the_sections_of_their_groups() -> None:
    page = man_pages()["lcmap-predict.1"].replace("\\-", "-")
    sections = {part.split("\n")[0]: part for part in page.split(".SS ")[1:]}
    assert list(sections) == ["Outputs", "Computing", "Inputs", "The run"]
    assert "--confidence" in sections["Outputs"] and "--memory" in sections["Computing"]
    assert "--nodata" in sections["Inputs"] and "--quiet" in sections["The run"]


def test_man_pages_say_arguments_and_ranges_in_words() -> None:
    for name, page in man_pages().items():
        assert not re.search(r"x[<>]=|<=x|\{|\]\.? \[default", page), name
    assert "\n[OPTIONS] TILES...\n" in man_pages()["lcmap-train.1"]
    assert "[default: the recipe's; 1 to 6]" in man_pages()["lcmap-train.1"]
