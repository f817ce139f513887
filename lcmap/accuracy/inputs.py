"""What a user names to be scored: files, their names, nomenclatures and crosswalks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lcmap.accuracy.label_maps import LabelRaster, open_labels, raster_files
from lcmap.errors import NomenclatureMismatchError, UsageError
from lcmap.nomenclature import (
    Crosswalk,
    Nomenclature,
    load_crosswalk,
    load_nomenclature,
    nomenclature_of,
)
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable, read_class_table
from lcmap.raster.pipes import STANDARD_STREAM, input_path

NO_CROSSWALK = "none"


@dataclass(frozen=True)
class ScoreInput:
    """A map, or the references: each file with what errors call it, and the classes they say."""

    name: str
    files: tuple[tuple[Path, str], ...]
    table: ClassTable | None
    crosswalk: Crosswalk | None = None

    def says(self, nomenclature: Nomenclature) -> bool:
        """Whether the files carry the class names of a nomenclature."""
        return self.table is not None and _fits(self.table, nomenclature)


def open_sources(
    maps: Sequence[PathLike],
    references: Sequence[PathLike],
    names: Sequence[str],
    stack: ExitStack,
    *,
    allow_vrt: bool,
    tmpdir: Path | None,
) -> tuple[list[ScoreInput], ScoreInput]:
    """Return the maps and the references; standard input is spooled as long as the stack lives.

    Raises:
        UsageError: nothing to score, standard input named twice, or names that do not fit.
        InputMissingError, NotARasterError, LabelBandError, NoCrsError: of a file.
    """
    if not maps or not references:
        raise UsageError("score", "there is nothing to compare", "name a map and a --reference")
    if [os.fspath(item) for item in (*maps, *references)].count(STANDARD_STREAM) > 1:
        raise UsageError("-", "standard input can be read once", "name a file for the other")
    if names and len(names) != len(maps):
        raise UsageError("--name", f"{len(names)} names for {len(maps)} maps", "give one a map")
    found = [_files([item], stack, tmpdir) for item in maps]
    reference_files = _files(references, stack, tmpdir)
    return [
        ScoreInput(name, files, _class_table(files, allow_vrt))
        for name, files in zip(names or default_names(maps), found, strict=True)
    ], ScoreInput("reference", reference_files, _class_table(reference_files, allow_vrt))


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
    *,
    nomenclature: PathLike | None,
    crosswalks: Sequence[PathLike],
    reference_crosswalk: PathLike | None,
    otherwise: Nomenclature | None = None,
) -> tuple[Nomenclature, list[ScoreInput], ScoreInput]:
    """Return the nomenclature to score in, and maps and reference with the crosswalks to it.

    The nomenclature is the one named, else the crosswalks' target, else what the reference says
    of itself, else what a map says, else `otherwise`. A source that carries the target's class
    names already needs no crosswalk.

    Raises:
        UsageError: nothing says the nomenclature, or crosswalks lead elsewhere.
        UnknownNomenclatureError, NomenclatureError, InputMissingError: of nomenclature files.
    """
    if len(crosswalks) not in (0, 1, len(maps)):
        raise UsageError(
            "--crosswalk",
            f"{len(crosswalks)} crosswalks for {len(maps)} maps",
            f'give one for all, or one for each in order, "{NO_CROSSWALK}" where it needs none',
        )
    of_maps = [_load(item) for item in crosswalks] or [None]
    of_maps = of_maps * len(maps) if len(of_maps) == 1 else of_maps
    of_reference = _load(reference_crosswalk) if reference_crosswalk else None
    target = _target(nomenclature, [*of_maps, of_reference], [reference, *maps], otherwise)
    return (
        target,
        [_with(source, crosswalk, target) for source, crosswalk in zip(maps, of_maps, strict=True)],
        _with(reference, of_reference, target),
    )


def check_says(raster: LabelRaster, source: ScoreInput, target: Nomenclature) -> None:
    """Check that an open file of a source does not name other classes than it is read in.

    Raises:
        NomenclatureMismatchError: it does.
    """
    expected = source.crosswalk.source if source.crosswalk else target
    table = read_class_table(raster.dataset)
    if table is not None and not _fits(table, expected):
        raise NomenclatureMismatchError(
            raster.shown,
            f"says that its classes are {table.nomenclature or 'others'}, not {expected.name}",
            "name the crosswalk between them, or the nomenclature it is in",
        )


def chosen_codes(chosen: Sequence[str], target: Nomenclature) -> tuple[int, ...] | None:
    """Return the codes that a user means by codes, ranges of codes, names or acronyms.

    None where nothing is chosen. Each text may hold several, parted by commas.

    Raises:
        UsageError: the nomenclature has no such class.
    """
    codes: list[int] = []
    for text in (part.strip() for item in chosen for part in item.split(",") if part.strip()):
        first, dash, last = text.partition("-")
        if dash and first.strip().isdecimal() and last.strip().isdecimal():
            found = [code for code in target.codes if int(first) <= code <= int(last)]
        else:
            item = target.find(text)
            found = [item.code] if item else []
        if not found:
            raise UsageError(
                text,
                f"is no class of {target.name}",
                "its classes are " + ", ".join(f"{c.code} {c.short}" for c in target.classes),
            )
        codes += found
    return tuple(code for code in target.codes if code in codes) if codes else None


def _files(
    items: Sequence[PathLike], stack: ExitStack, tmpdir: Path | None
) -> tuple[tuple[Path, str], ...]:
    files: list[tuple[Path, str]] = []
    for item in items:
        if os.fspath(item) == STANDARD_STREAM:
            files.append((stack.enter_context(input_path(item, tmpdir=tmpdir)), "standard input"))
        else:
            files += [(path, str(path)) for path in raster_files(item)]
    return tuple(files)


def _class_table(files: Sequence[tuple[Path, str]], allow_vrt: bool) -> ClassTable | None:
    with open_labels(*files[0], allow_vrt=allow_vrt) as raster:
        return read_class_table(raster.dataset)


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
                "--nomenclature",
                "neither the maps nor the reference say which classes their codes mean",
                "name the nomenclature, or a crosswalk",
            )
    for other in targets:
        if not _fits(other.class_table(), target) or len(other) != len(target):
            raise UsageError(
                "--crosswalk",
                f"leads to {other.name}, but the scores are to be in {target.name}",
                "choose crosswalks that lead to one nomenclature",
            )
    return target


def _with(source: ScoreInput, crosswalk: Crosswalk | None, target: Nomenclature) -> ScoreInput:
    already = crosswalk is None or (source.says(target) and not source.says(crosswalk.source))
    return ScoreInput(source.name, source.files, source.table, None if already else crosswalk)


def _fits(table: ClassTable, nomenclature: Nomenclature) -> bool:
    names = {item.code: item.name for item in nomenclature.classes}
    return all(names.get(code) == name for code, name in table.names.items())
