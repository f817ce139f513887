"""Classes, colours and crosswalks; the built-in TOML files."""

from lcmap.nomenclature.classes import LandCoverClass, Nomenclature
from lcmap.nomenclature.crosswalk import Crosswalk, builtin_crosswalks, load_crosswalk
from lcmap.nomenclature.labels import as_codes
from lcmap.nomenclature.library import (
    builtin_names,
    fits,
    load_nomenclature,
    nomenclature_of,
)

__all__ = [
    "Crosswalk",
    "LandCoverClass",
    "Nomenclature",
    "as_codes",
    "builtin_crosswalks",
    "builtin_names",
    "fits",
    "load_crosswalk",
    "load_nomenclature",
    "nomenclature_of",
]
