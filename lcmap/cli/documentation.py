"""Man pages and shell completions, generated from the app: `python -m lcmap.cli.documentation`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import typer.main
from typer._completion_shared import get_completion_script

from lcmap import __version__
from lcmap.cli import EPILOG, app

SUMMARY = "land-cover maps from metric satellite imagery"

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "rasterize-ref": (
        (
            "Burn BD TOPO and RPG to labels on the grid of an image:",
            "lcmap rasterize-ref bdtopo.gpkg rpg.gpkg --rules bdtopo-topo6 "
            "--like spot.tif -o ref.tif",
        ),
    ),
    "prepare": (
        (
            "Stack an image with its labels and cut it into tiles with a split:",
            "lcmap prepare spot.tif --labels ref.tif --nomenclature topo6 "
            "--tiles spot.tiles.geojson -o spot.stack.tif",
        ),
        (
            "Labels of another nomenclature, through a crosswalk:",
            "lcmap prepare zone0.tif --labels flair.tif --crosswalk flair19:flair7 "
            "--tiles zone0.tiles.geojson -o zone0.stack.tif",
        ),
    ),
    "train": (
        (
            "Train on two images for an hour:",
            "lcmap train a.tiles.geojson b.tiles.geojson -o model.onnx --minutes 60 --seed 0",
        ),
    ),
    "predict": (
        (
            "A map with its confidence, checked for seams:",
            "lcmap predict spot.stack.tif -m model.onnx -o map.tif --confidence conf.tif --verify",
        ),
        (
            "In a pipe:",
            "lcmap prepare spot.tif | lcmap predict - -m model.onnx | "
            "lcmap score - --reference ref.tif",
        ),
    ),
    "score": (
        (
            "Two maps side by side on the test split:",
            "lcmap score map.tif other.tif --reference ref.tif --tiles t.geojson --split test",
        ),
        (
            "A map of 18 classes scored in 6 (the paper's table 3):",
            "lcmap score map18.tif --reference ref6.tif --crosswalk topo18:topo6 --json -",
        ),
    ),
}

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
    lines += [".SH EXIT STATUS", _escape(EPILOG)]
    pages = ", ".join(f"\\fBlcmap\\-{_escape(name)}\\fR(1)" for name in commands)
    return "\n".join([*lines, ".SH SEE ALSO", pages]) + "\n"


def _command_page(name: str, command: Any, others: list[str]) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(_argument_usage(p) for p in arguments)
    lines = [
        *_header(f"lcmap-{name}", _first_sentence(command).rstrip(".")),
        ".SH SYNOPSIS",
        f".B lcmap {_escape(name)}",
        _escape(f"[OPTIONS] {usage}".strip()),
        ".SH DESCRIPTION",
        *_paragraphs(command.help),
    ]
    if arguments:
        lines.append(".SH ARGUMENTS")
        for argument in arguments:
            lines += [".TP", f"\\fI{_escape(_argument_usage(argument))}\\fR"]
            lines.append(_escape(_one_line(argument.help or "")))
    lines += [".SH OPTIONS", *_options(command)]
    lines += [".SH EXIT STATUS", _escape(EPILOG)]
    if name in EXAMPLES:
        lines.append(".SH EXAMPLES")
        for title, example in EXAMPLES[name]:
            lines += [".PP", _escape(title), ".PP", ".nf", ".RS", _escape(example), ".RE", ".fi"]
    pages = ", ".join(f"\\fBlcmap\\-{_escape(other)}\\fR(1)" for other in others)
    return "\n".join([*lines, ".SH SEE ALSO", f"\\fBlcmap\\fR(1), {pages}"]) + "\n"


def _header(name: str, summary: str) -> list[str]:
    return [
        f'.TH {name.upper()} 1 "" "lcmap {__version__}" "lcmap manual"',
        ".SH NAME",
        f"{_escape(name)} \\- {_escape(summary)}",
    ]


def _options(command: Any) -> list[str]:
    lines: list[str] = []
    for option in command.params:
        if option.param_type_name != "option" or getattr(option, "hidden", False):
            continue
        names = ", ".join(f"\\fB{_escape(o)}\\fR" for o in (*option.opts, *option.secondary_opts))
        metavar = "" if option.is_flag else f" \\fI{_escape(_metavar(option))}\\fR"
        lines += [".TP", names + metavar, _escape(_one_line(option.help or "") + _default(option))]
    lines += [".TP", "\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show the help and exit."]
    return lines


def _metavar(option: Any) -> str:
    choices = getattr(option.type, "choices", None)
    if option.metavar:
        return str(option.metavar)
    return "|".join(str(c) for c in choices) if choices else option.type.name.upper()


def _argument_usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 and not name.endswith("...") else str(name)


def _default(option: Any) -> str:
    default = option.default
    if callable(default):
        return ""
    if option.required:
        return " [required]"
    if option.is_flag or default in (None, "", (), []):
        return ""
    if isinstance(default, list | tuple):
        default = ", ".join(str(d) for d in default)
    return f" [default: {getattr(default, 'value', default)}]"


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
    """Write the man pages and completions into a project folder; return what was written."""
    written = []
    for folder, files in (("man", man_pages()), ("completions", completions())):
        (project / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (project / folder / name).write_text(text, encoding="utf-8")
            written.append(project / folder / name)
    return written


if __name__ == "__main__":
    for path in write_all(Path(sys.argv[1] if len(sys.argv) > 1 else ".")):
        print(path)
