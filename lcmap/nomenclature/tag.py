"""A nomenclature in one tag of a raster, for rasters whose pixels are not codes."""

from __future__ import annotations

import json
import os
from typing import Any

from lcmap.errors import NomenclatureError
from lcmap.json_text import parse_json
from lcmap.nomenclature.classes import Nomenclature
from lcmap.paths import PathLike

NOMENCLATURE_JSON_TAG = "LCMAP_NOMENCLATURE_JSON"


def nomenclature_tag(nomenclature: Nomenclature) -> dict[str, str]:
    """Return the tag, by name, that says a nomenclature in full."""
    return {NOMENCLATURE_JSON_TAG: json.dumps(nomenclature.to_dict(), ensure_ascii=False)}


def read_nomenclature(dataset: Any, subject: PathLike) -> Nomenclature | None:
    """Return the nomenclature in an open raster's tags, None where there is none.

    Raises:
        NomenclatureError: the tag does not hold one; `subject` names the raster.
    """
    text = dataset.tags().get(NOMENCLATURE_JSON_TAG)
    if text is None:
        return None
    try:
        values = parse_json(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise NomenclatureError(subject, f"its tag {NOMENCLATURE_JSON_TAG} is not a JSON object")
    return Nomenclature.from_dict(values, os.fspath(subject))
