"""Templates of pages, filled: each page is one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from lcmap import __version__
from lcmap.paths import PathLike
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """Return a template of this package filled, with the digest of what is being made."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(context, version=__version__)
    digest = "".join(f"<!-- {MEMBER} {value} -->\n" for value in current_digest(MEMBER).values())
    return text + "\n" + digest


def _text_of(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def write_html(text: str, path: PathLike, files: OutputSet) -> None:
    """Write a page, which gets its name with the set `files`.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    with atomic_path(path, overwrite=files.overwrite, within=files) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
