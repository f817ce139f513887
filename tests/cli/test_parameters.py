"""What the library calls its parameters is shown as the options that set them."""

from __future__ import annotations

import ast
import re

import typer.main
from support import PROJECT, foreign_options

from lcmap.cli import app
from lcmap.cli.parameters import OPTIONS, as_options

PACKAGES_HELD = (
    "accuracy",
    "nomenclature",
    "raster",
    "dataset",
    "model_file",
    "graph",
    "engines",
    "imagery",
    "inference",
    "products",
    "reference",
    "training",
)
"""The packages whose messages are held to the options of the commands."""

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
ALL_OPTIONS = {option for c in COMMANDS.values() for p in c.params for option in p.opts}


def messages() -> list[tuple[str, str]]:
    """Return the texts, but for docstrings, of the library's modules, each with its place."""
    found = []
    for package in PACKAGES_HELD:
        for path in sorted((PROJECT / "lcmap" / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            statements = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
            found += [
                (f"{package}/{path.name}:{node.lineno}", node.value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in statements
            ]
    return found


def test_a_parameter_becomes_its_option() -> None:
    assert as_options("leave out `allow_vrt`, or `precision=int8`") == (
        "leave out --allow-vrt, or --precision int8"
    )
    assert as_options("`replicates=0` or `an odd name`") == "--bootstrap 0 or `an odd name`"


def test_every_parameter_that_a_message_names_is_an_option() -> None:
    seen = set()
    for place, text in messages():
        for shown in re.findall(r"`[a-z_]+(?:=[^`]*)?`", text):
            option = as_options(shown).split(" ")[0]
            assert option in ALL_OPTIONS, f"{place}: {shown}"
            seen.add(option)
    assert "--bootstrap" in seen


def test_options_of_other_commands_are_found_in_what_is_said() -> None:
    assert foreign_options("train", "lcmap: a.tif: lies nowhere; --assume-crs EPSG:2154\n") == [
        "--assume-crs"
    ]
    assert not foreign_options("predict", "lcmap: a.tif: lies nowhere; --assume-crs EPSG:2154\n")
    assert not foreign_options("train", "warning: a.tif: odd; prepare it with --nodata 0\n")
    assert not foreign_options("stac", "lcmap: a.json: odd; write one with lcmap train --stac\n")
    assert not foreign_options("train", "lcmap: a.tif: odd; rio edit-info --crs EPSG:2154 a.tif\n")


def test_the_library_names_no_option() -> None:
    for place, text in messages():
        # a command that is written out, as "rio warp --resampling nearest", has its options
        text = re.sub(r"\b(rio|gdal[a-z_]*|lcmap) [a-z-]+( \S+)*", "", text)
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]+", text):
            assert option not in ALL_OPTIONS, f"{place}: {text}"


def test_every_option_of_the_table_exists() -> None:
    assert set(OPTIONS.values()) <= ALL_OPTIONS
