"""What a raster holds: an image, a label map or class probabilities."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.nomenclature.library import nomenclature_of
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.paths import PathLike
from lcmap.raster.classes import InputKind, find_class_table

KINDS: tuple[InputKind, ...] = get_args(InputKind)


@dataclass(frozen=True)
class RasterContent:
    """What a raster holds; a label map has the nomenclature of its codes."""

    kind: InputKind
    nomenclature: Nomenclature | None = None

    @property
    def title(self) -> str:
        """The kind, and the nomenclature where there is one."""
        return f"labels in {self.nomenclature.name}" if self.nomenclature else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        classes = self.nomenclature.to_dict() if self.nomenclature else None
        return {"kind": self.kind, "nomenclature": classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any], subject: PathLike) -> RasterContent:
        """Return the content that `to_dict` returned.

        Raises:
            KeyError, ValueError, NomenclatureError: a value is missing or is not what it should be.
        """
        kind, classes = values["kind"], values["nomenclature"]
        if kind not in KINDS or (kind == "labels") != bool(classes):
            raise ValueError(f"{kind!r} is not a kind of side input, or lacks its nomenclature")
        return cls(kind, Nomenclature.from_dict(classes, os.fspath(subject)) if classes else None)


def parse_input(text: PathLike) -> tuple[Path, str | None]:
    """Return the path and what follows its last colon, None where the path has none of its own.

    A file whose name holds a colon is taken as it is.
    """
    name = os.fspath(text)
    path, colon, meaning = name.rpartition(":")
    if not colon or not path or os.path.exists(name):
        return Path(name), None
    return Path(path), meaning


def content_of(dataset: Any, meaning: str | None, name: str) -> RasterContent:
    """Return what an open raster, called `name` in messages, holds.

    It is what `meaning` says ("image", "probabilities", or the nomenclature of a label map), else
    what the raster's tags do, or its sidecar: a label map carries class names, probabilities their
    nomenclature.
    Without either it is an image.

    Raises:
        UsageError, NomenclatureError: as `load_nomenclature`.
    """
    for kind in KINDS:
        if meaning == kind and kind != "labels":
            return RasterContent(kind)
    if meaning is not None and meaning != "labels":
        return RasterContent("labels", load_nomenclature(meaning))
    if read_nomenclature(dataset, name) is not None:
        return RasterContent("probabilities")
    table = find_class_table(dataset)
    return RasterContent("labels", nomenclature_of(table)) if table else RasterContent("image")
