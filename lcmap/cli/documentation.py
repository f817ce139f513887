"""What is generated from the code: man pages, shell completions and parts of docs/.

python -m lcmap.cli.documentation FOLDER_OF_THE_PROJECT
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import typer
import typer.main
from typer._completion_shared import get_completion_script

from lcmap import __version__
from lcmap.cli import app
from lcmap.cli.examples import EXAMPLES, EXIT_CODES, shell_lines
from lcmap.cli.generated_docs import refreshed_pages

SUMMARY = "land-cover maps from metre-resolution satellite imagery"

_OF_LISTS = re.compile(r" <list\[\w+\]>")
_ARGUMENT = re.compile(r"\{([^{}.]+)(?:\.\.\.)?\}")
_TWO_BRACKETS = re.compile(r"\]\.? \[(?=[^\]]*x[<>]=)")
_RANGE = re.compile(r"([\d.]+)<=x<=([\d.]+)")
_LEAST = re.compile(r"x>=([\d.]+)")
_BESIDE_OUTPUTS = {
    ".OUTPUT.lcmap-made": "A record of what the outputs were made of. The same command does "
    "nothing where nothing changed since. Outputs without a record are replaced with --overwrite "
    "alone.",
    ".OUTPUT.lcmap-lock": "Is there while a run makes the outputs.",
}

_LINES_OF_NAME = 2
"""Of a description: its first sentence stands as the name already."""

COMPLETION_FILES = {"bash": "lcmap.bash", "zsh": "_lcmap", "fish": "lcmap.fish"}


def man_pages() -> dict[str, str]:
    """Return the man pages, file name to roff text: lcmap.1 and one page per subcommand."""
    group = typer.main.get_command(app)
    commands: dict[str, Any] = group.commands  # type: ignore[attr-defined]
    pages = {"lcmap.1": _main_page(group, commands)}
    for name, command in commands.items():
        pages[f"lcmap-{name}.1"] = _command_page(name, command, sorted(set(commands) - {name}))
    return pages


def completions() -> dict[str, str]:
    """Return the completion scripts, file name to text, for bash, zsh and fish."""
    return {
        file: get_completion_script(
            prog_name="lcmap", complete_var="_LCMAP_COMPLETE", shell=shell
        ).rstrip()
        + "\n"
        for shell, file in COMPLETION_FILES.items()
    }


def _main_page(group: Any, commands: dict[str, Any]) -> str:
    lines = [
        *_header("lcmap", SUMMARY),
        ".SH SYNOPSIS",
        ".B lcmap",
        ".I COMMAND",
        "[OPTIONS] [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_paragraphs(group.help),
        ".SH COMMANDS",
    ]
    for name, command in commands.items():
        lines += [".TP", f"\\fBlcmap\\-{_escape(name)}\\fR(1)", _escape(_first_sentence(command))]
    lines += [".SH OPTIONS", *_options(group)]
    lines += [".SH EXIT STATUS", *_exit_status()]
    pages = ", ".join(f"\\fBlcmap\\-{_escape(name)}\\fR(1)" for name in commands)
    return "\n".join([*lines, ".SH SEE ALSO", pages]) + "\n"


def _command_page(name: str, command: Any, others: list[str]) -> str:
    context = typer.Context(command)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        *_header(f"lcmap-{name}", _first_sentence(command).rstrip(".")),
        ".SH SYNOPSIS",
        f".B lcmap {_escape(name)}",
        _escape(_ARGUMENT.sub(r"\1", usage)),
        ".SH DESCRIPTION",
        *(_paragraphs(command.help)[_LINES_OF_NAME:] or _paragraphs(command.help)),
    ]
    arguments = _parameters(command, "argument")
    if arguments:
        lines += [".SH ARGUMENTS", *arguments]
    lines += [".SH OPTIONS", *_options(command)]
    lines += [".SH EXIT STATUS", *_exit_status(), ".SH FILES", *_files(command)]
    lines.append(".SH EXAMPLES")
    for title, example in EXAMPLES[name]:
        lines += [".PP", _escape(title), ".PP", ".nf", ".RS"]
        lines += [*map(_escape, shell_lines(example, 62)), ".RE", ".fi"]
    pages = ", ".join(f"\\fBlcmap\\-{_escape(other)}\\fR(1)" for other in others)
    return "\n".join([*lines, ".SH SEE ALSO", f"\\fBlcmap\\fR(1), {pages}"]) + "\n"


def _header(name: str, summary: str) -> list[str]:
    return [
        f'.TH {name.upper()} 1 "" "lcmap {__version__}" "lcmap manual"',
        ".ad l",  # even gaps, and names of options that are not hyphenated
        ".nh",
        ".SH NAME",
        f"{_escape(name)} \\- {_escape(summary)}",
    ]


def _parameters(command: Any, kind: str, section: str | None = None) -> list[str]:
    """Return the arguments or options of a command or of a section, in the words of its help."""
    context = typer.Context(command)
    lines: list[str] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if parameter.param_type_name == kind and record and _section_of(parameter) == section:
            usage, text = record
            usage = _OF_LISTS.sub("", usage)
            lines += [".TP", f"\\fB{_escape(usage)}\\fR", _escape(_in_words(_one_line(text)))]
    return lines


def _in_words(text: str) -> str:
    """Return the help of an option with the values that it takes in words, in one bracket."""
    text = _TWO_BRACKETS.sub("; ", text)
    return _LEAST.sub(r"\1 or more", _RANGE.sub(r"\1 to \2", text))


def _options(command: Any) -> list[str]:
    """Return the options of a command: those without a section first, --help with the last."""
    sections = dict.fromkeys(map(_section_of, command.get_params(typer.Context(command))))
    lines = _parameters(command, "option")
    for title in filter(None, sections):
        lines += [f".SS {_escape(title)}", *_parameters(command, "option", title)]
    return lines


def _section_of(parameter: Any) -> str | None:
    return getattr(parameter, "rich_help_panel", None)


def _exit_status() -> list[str]:
    lines: list[str] = []
    for told in EXIT_CODES.removeprefix("Exit codes: ").rstrip(".").split("; "):
        code, meaning = told.split(" ", 1)
        lines += [".TP", f"\\fB{code}\\fR", _escape(meaning)]
    return lines


def _files(command: Any) -> list[str]:
    """Return what a command leaves beside its outputs, for those that have a first output."""
    if not any(parameter.name == "output" for parameter in command.params):
        return ["None but those that its options name."]
    files = dict(_BESIDE_OUTPUTS)
    if any(parameter.name == "shard" for parameter in command.params):
        files[".OUTPUT.lcmap-work/"] = "What is finished of a map that is not whole yet."
    lines: list[str] = []
    for name, text in files.items():
        lines += [".TP", f"\\fI{_escape(name)}\\fR", _escape(text)]
    return lines


def _first_sentence(command: Any) -> str:
    return _one_line(inspect.cleandoc(command.help or "").split("\n\n")[0])


def _paragraphs(text: str | None) -> list[str]:
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text or "").replace("\f", "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines += [".PP", ".nf", *map(_escape, paragraph.splitlines()[1:]), ".fi"]
        else:
            lines += [".PP", _escape(_one_line(paragraph))]
    return lines


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escape(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def write_all(project: Path) -> list[Path]:
    """Write all that is generated into a project folder; return the files written."""
    written = []
    for folder, files in (("man", man_pages()), ("completions", completions())):
        (project / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (project / folder / name).write_text(text, encoding="utf-8")
            written.append(project / folder / name)
    for path, text in refreshed_pages(project).items():
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write_all(Path(sys.argv[1] if len(sys.argv) > 1 else ".")):
        print(path)
