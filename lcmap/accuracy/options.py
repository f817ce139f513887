"""What can be chosen of a scoring run, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lcmap import defaults
from lcmap.paths import PathLike


@dataclass(frozen=True)
class ClassOptions:
    """The classes in which maps and references are compared.

    nomenclature: the classes to score in, a built-in name or a TOML file; None is what the
        crosswalks lead to, else what the rasters or the tile indexes name.
    crosswalks: bring the maps into these classes: one for all maps, or one for each in order,
        "none" where a map needs none. A map that names the target's classes is taken as it is.
    reference_crosswalk: brings the references into these classes.
    only: score the pixels of these classes of the reference: codes, ranges of codes, names or
        acronyms; empty is all classes.
    ignore_unclassified: leave out, for all maps, every pixel for which one of them has no class
        (0, nodata, a code that its crosswalk discards); otherwise such a pixel counts as missed.
    """

    nomenclature: PathLike | None = None
    crosswalks: tuple[PathLike, ...] = ()
    reference_crosswalk: PathLike | None = None
    only: tuple[str, ...] = ()
    ignore_unclassified: bool = False


@dataclass(frozen=True)
class SplitOptions:
    """The ground that is scored.

    tiles: tile indexes; empty is everywhere.
    split: the split of the indexes, or "all" of their tiles; None is `defaults.SCORED_SPLIT`.
    """

    tiles: tuple[PathLike, ...] = ()
    split: str | None = None


@dataclass(frozen=True)
class BootstrapOptions:
    """How the intervals of the scores are made.

    replicates: how often blocks are drawn; 0 makes no intervals.
    block: edge of a block in pixels of the reference. Each takes 24 bytes a map and class. None is
        what the tile indexes gave to one split together, `defaults.BOOTSTRAP_BLOCK` without them.
    seed: of the draws.
    level: of the intervals, in percent.
    resample: what is drawn: blocks, or whole images, that is files of the references.
    """

    replicates: int = defaults.BOOTSTRAP_REPLICATES
    block: int | None = None
    seed: int = defaults.SEED
    level: float = defaults.INTERVAL_LEVEL
    resample: Literal["blocks", "images"] = defaults.RESAMPLE


@dataclass(frozen=True)
class PageOptions:
    """The report as an HTML page with charts and pictures.

    file: the page to write, .html.
    images: images of the ground, for the pictures.
    confidences: the confidence of each map in order, as `predict` writes it: a file, or a folder or
        pattern of parts; none for no diagram of their reliability.
    command: what the page says it was made by.
    """

    file: PathLike
    images: tuple[PathLike, ...] = ()
    confidences: tuple[PathLike, ...] = ()
    command: str | None = None


@dataclass(frozen=True)
class ReportOptions:
    """What the report calls the maps, and where it is written.

    names: a name for each map in order; empty takes the names of their files.
    files: files to write, in the form of their endings: .json, .csv or .txt.
    overwrite: replace what is there.
    page: the report as a page, None for none.
    replicate: maps of equal names are runs of one method, and are scored as one.
    """

    names: tuple[str, ...] = ()
    files: tuple[PathLike, ...] = ()
    overwrite: bool = False
    replicate: bool = False
    page: PageOptions | None = None
