"""What a user names to be scored: files, their names, nomenclatures and crosswalks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lcmap.accuracy.label_raster import LabelFile, LabelRaster, open_labels
from lcmap.accuracy.label_views import View, classes_of
from lcmap.accuracy.options import ClassOptions
from lcmap.accuracy.report import listed
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.raster_files import raster_files
from lcmap.errors import NomenclatureMismatchError, UsageError
from lcmap.nomenclature import (
    Crosswalk,
    LandCoverClass,
    Nomenclature,
    fits,
    load_crosswalk,
    load_nomenclature,
    nomenclature_of,
)
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable, read_class_table
from lcmap.raster.pipes import STANDARD_STREAM, check_standard_input_once

NO_CROSSWALK = "none"


@dataclass(frozen=True)
class ScoreInput:
    """A map, or all references: its files, the classes that the first one names, the crosswalk.

    `confidence` are the files of a map's confidence, where they are given.
    """

    name: str
    files: tuple[LabelFile, ...]
    table: ClassTable | None
    crosswalk: Crosswalk | None = None
    confidence: tuple[LabelFile, ...] = ()

    @property
    def file_names(self) -> tuple[str, ...]:
        """What messages and the report call the files."""
        return tuple(file.name for file in self.files)

    @property
    def listed(self) -> str:
        """What messages call all files together."""
        return listed(self.file_names)

    def names_classes_of(self, nomenclature: Nomenclature) -> bool:
        """Whether the files carry the class names of a nomenclature."""
        return self.table is not None and fits(self.table, nomenclature)

    def codes_in(self, target: Nomenclature) -> Nomenclature:
        """Return the nomenclature of its codes; the crosswalk brings them into the target."""
        return self.crosswalk.source if self.crosswalk else target

    def view(self, target: Nomenclature) -> View:
        """Return how to see its files, so that codes without a label are 0."""
        return classes_of(self.codes_in(target))


@dataclass(frozen=True)
class Comparison:
    """Maps and references, each with the crosswalk to the nomenclature they are compared in.

    `only` holds the codes of the reference's classes that are scored, None for all.
    """

    target: Nomenclature
    maps: tuple[ScoreInput, ...]
    reference: ScoreInput
    only: tuple[int, ...] | None


def open_score_inputs(
    maps: Sequence[PathLike],
    references: Sequence[PathLike],
    names: Sequence[str],
    inputs: InputOptions,
    stack: ExitStack,
) -> tuple[list[ScoreInput], ScoreInput]:
    """Return the maps and the references; what is opened of them stays open as long as the stack.

    Raises:
        UsageError: nothing to score, standard input named twice, or names that do not fit.
        InputMissingError, NotARasterError, LabelBandError, NoCrsError: of a file.
    """
    if not maps or not references:
        raise UsageError(
            "`references`", "there is nothing to compare", "name a map and a reference"
        )
    check_standard_input_once((*maps, *references))
    opened = open_maps(maps, names, inputs, stack)
    return opened, _open("reference", references, inputs, stack)


def open_maps(
    maps: Sequence[PathLike], names: Sequence[str], inputs: InputOptions, stack: ExitStack
) -> list[ScoreInput]:
    """Return the maps; what is opened of them stays open as long as the stack.

    Raises:
        UsageError: standard input named twice, or names that do not fit.
        InputMissingError, NotARasterError, LabelBandError, NoCrsError: of a file.
    """
    check_standard_input_once(maps)
    if names and len(names) != len(maps):
        raise UsageError(
            "`names`", f"{len(names)} names for {len(maps)} maps", "give one for each map"
        )
    return [
        _open(name, [item], inputs, stack)
        for name, item in zip(names or default_names(maps), maps, strict=True)
    ]


def _open(
    name: str, items: Sequence[PathLike], inputs: InputOptions, stack: ExitStack
) -> ScoreInput:
    files: list[LabelFile] = []
    for path in (path for item in items for path in raster_files(item)):
        # the first says its classes; standard input cannot be opened a second time
        at_once = not files or os.fspath(path) == STANDARD_STREAM
        raster = stack.enter_context(open_labels(path, inputs)) if at_once else None
        files.append(LabelFile(path, raster))
    first = files[0].raster
    assert first is not None, "the first file is opened at once"
    return ScoreInput(name, tuple(files), read_class_table(first.dataset))


def default_names(maps: Sequence[PathLike]) -> list[str]:
    """Return a short name for each map: its file's without ending, numbered where two agree."""
    names: list[str] = []
    for item in maps:
        text = os.fspath(item)
        stem = "stdin" if text == STANDARD_STREAM else Path(text).stem or text
        taken = sum(name == stem or name.startswith(f"{stem} #") for name in names)
        names.append(f"{stem} #{taken + 1}" if taken else stem)
    return names


def in_common_nomenclature(
    maps: Sequence[ScoreInput],
    reference: ScoreInput,
    classes: ClassOptions,
    otherwise: Nomenclature | None = None,
) -> Comparison:
    """Choose the nomenclature to score in, and give maps and references the crosswalks to it.

    The nomenclature is the one named, else the crosswalks' target, else what the references say,
    else what a map says, else `otherwise`. A map or reference that carries the target's class
    names needs no crosswalk.

    Raises:
        UsageError: nothing says the nomenclature, crosswalks lead elsewhere, or it does not have
            a class that was chosen.
        UsageError, NomenclatureError, InputMissingError: of nomenclature files.
    """
    given = classes.crosswalks
    if len(given) not in (0, 1, len(maps)):
        raise UsageError(
            "`crosswalks`",
            f"{len(given)} crosswalks for {len(maps)} maps",
            f'give one for all, or one for each in order, "{NO_CROSSWALK}" where it needs none',
        )
    of_maps = [_load(item) for item in given] or [None]
    of_maps = of_maps * len(maps) if len(of_maps) == 1 else of_maps
    of_reference = _load(classes.reference_crosswalk) if classes.reference_crosswalk else None
    target = _target(classes.nomenclature, [*of_maps, of_reference], [reference, *maps], otherwise)
    return Comparison(
        target,
        tuple(
            _with(item, crosswalk, target) for item, crosswalk in zip(maps, of_maps, strict=True)
        ),
        _with(reference, of_reference, target),
        chosen_codes(classes.only, target),
    )


def with_confidences(comparison: Comparison, confidences: Sequence[PathLike]) -> Comparison:
    """Return a comparison whose maps have their confidence: files, folders or patterns of parts.

    Raises:
        InputMissingError: there is no such file.
    """
    return replace(
        comparison,
        maps=tuple(
            replace(item, confidence=tuple(LabelFile(path) for path in raster_files(given)))
            for item, given in zip(comparison.maps, confidences, strict=True)
        ),
    )


def check_class_names(raster: LabelRaster, source: ScoreInput, target: Nomenclature) -> None:
    """Check that an open file of a map or reference names no other classes than it is read in.

    Raises:
        NomenclatureMismatchError: it does.
    """
    expected = source.codes_in(target)
    table = read_class_table(raster.dataset)
    if table is not None and not fits(table, expected):
        raise NomenclatureMismatchError(
            raster.name,
            f"says that its classes are {table.nomenclature or 'others'}, not {expected.name}",
            "name the crosswalk between them, or the nomenclature it is in",
        )


def chosen_codes(chosen: Sequence[str], target: Nomenclature) -> tuple[int, ...] | None:
    """Return the codes that a user means by codes, ranges of codes, names or acronyms.

    None where nothing is chosen. Each text may hold several, separated by commas.

    Raises:
        UsageError: the nomenclature has no such class.
    """
    codes: list[int] = []
    for text in (part.strip() for item in chosen for part in item.split(",") if part.strip()):
        first, dash, last = text.partition("-")
        if dash and first.strip().isdecimal() and last.strip().isdecimal():
            # as floats: an integer may not have thousands of digits
            found = [code for code in target.codes if float(first) <= code <= float(last)]
        else:
            item = target.find(text)
            found = [item.code] if item else []
        if not found:
            raise UsageError(
                text,
                f"is not a class of {target.name}",
                "its classes are " + ", ".join(map(_shown, target.classes)),
            )
        codes += found
    return tuple(code for code in target.codes if code in codes) if codes else None


def _shown(item: LandCoverClass) -> str:
    acronym = "" if item.short == item.name else f" ({item.short})"
    return f"{item.code} {item.name}{acronym}"


def _load(name_or_path: PathLike) -> Crosswalk | None:
    return None if os.fspath(name_or_path) == NO_CROSSWALK else load_crosswalk(name_or_path)


def _target(
    named: PathLike | None,
    crosswalks: Sequence[Crosswalk | None],
    sources: Sequence[ScoreInput],
    otherwise: Nomenclature | None,
) -> Nomenclature:
    targets = [crosswalk.target for crosswalk in crosswalks if crosswalk]
    if named is not None:
        target = load_nomenclature(named)
    elif targets:
        target = targets[0]
    else:
        tables = [source.table for source in sources if source.table]
        if tables:
            target = nomenclature_of(tables[0])
        elif otherwise is not None:
            target = otherwise
        else:
            raise UsageError(
                "`nomenclature`",
                "neither the maps nor the reference say which classes their codes mean",
                "name the nomenclature, or a crosswalk",
            )
    for other in targets:
        if not fits(other.class_table(), target) or len(other) != len(target):
            raise UsageError(
                "`crosswalks`",
                f"leads to {other.name}, but the scores are to be in {target.name}",
                "choose crosswalks that lead to one nomenclature",
            )
    return target


def _with(source: ScoreInput, crosswalk: Crosswalk | None, target: Nomenclature) -> ScoreInput:
    if crosswalk and source.names_classes_of(target):
        crosswalk = crosswalk if source.names_classes_of(crosswalk.source) else None
    return replace(source, crosswalk=crosswalk)
