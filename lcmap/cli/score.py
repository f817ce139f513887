"""lcmap score: from maps and a reference to measures of accuracy and their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import Overwrite, Seed, label_input_options
from lcmap.cli.printed_form import AlsoTo, PrintedForm, printed_form

if TYPE_CHECKING:
    from lcmap.accuracy.options import (
        BootstrapOptions,
        ClassOptions,
        ReportOptions,
        SplitOptions,
    )
    from lcmap.cli.invocation import Invocation
    from lcmap.dataset.inputs import InputOptions


@dataclass(frozen=True)
class Results:
    """What is written and printed of a report, and how."""

    written: ReportOptions
    matrix: bool
    form: PrintedForm


@section("Results")
@grouped(form=printed_form)
def results(
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to call a map; give it once for each map, in order [default: its file].",
        ),
    ] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Print each map's confusion matrix too.")
    ] = False,
    *,
    form: PrintedForm,
    output: AlsoTo = None,
    overwrite: Overwrite = False,
) -> Results:
    """Return what is written and printed."""
    from lcmap.accuracy.options import ReportOptions

    return Results(ReportOptions(tuple(name or ()), tuple(output or ()), overwrite), matrix, form)


@section("Classes")
def scored_classes(
    nomenclature: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            autocompletion=builtin_names.nomenclatures,
            help="The classes to score in [default: those the crosswalks lead to, else those "
            "that the rasters name].",
        ),
    ] = None,
    crosswalk: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FROM:TO|FILE.toml",
            autocompletion=builtin_names.crosswalks_or_none,
            help="Convert the maps to other classes first, for example topo18:topo6. Give it once "
            "for all maps, or once for each map in order, with none for a map that needs none.",
        ),
    ] = None,
    reference_crosswalk: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO|FILE.toml",
            autocompletion=builtin_names.crosswalks,
            help="Convert the reference to other classes first, for example flair19:flair7.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS,...",
            help="Score only where the reference has one of these classes: codes, ranges of "
            "codes, names or acronyms, for example 1-14 or Wat,Roa.",
        ),
    ] = None,
    ignore_unclassified: Annotated[
        bool,
        typer.Option(
            "--ignore-unclassified",
            help="Leave out, for all maps, the pixels that a map has no class for; without it "
            "they count as missed.",
        ),
    ] = False,
) -> ClassOptions:
    """Return the classes in which maps and references are compared."""
    from lcmap.accuracy.options import ClassOptions

    return ClassOptions(
        nomenclature=nomenclature,
        crosswalks=tuple(crosswalk or ()),
        reference_crosswalk=reference_crosswalk,
        only=tuple(classes or ()),
        ignore_unclassified=ignore_unclassified,
    )


@section("Ground")
def scored_ground(
    tiles: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX.geojson",
            help="Score only the tiles of one split of this index. Repeat it for several images.",
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        typer.Option(
            help=f"The split of --tiles that is scored [default: {defaults.SCORED_SPLIT}]."
        ),
    ] = None,
) -> SplitOptions:
    """Return the ground that is scored."""
    from lcmap.accuracy.options import SplitOptions

    return SplitOptions(tuple(tiles or ()), split)


@section("Intervals")
def intervals(
    bootstrap: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Bootstrap replicates for the intervals; 0 computes none."
        ),
    ] = defaults.BOOTSTRAP_REPLICATES,
    block: Annotated[
        int,
        typer.Option(metavar="PIXELS", min=1, help="Edge of the blocks that the bootstrap draws."),
    ] = defaults.BOOTSTRAP_BLOCK,
    level: Annotated[
        float, typer.Option(metavar="PERCENT", min=1, max=99.99, help="Level of the intervals.")
    ] = defaults.INTERVAL_LEVEL,
    seed: Seed = defaults.SEED,
) -> BootstrapOptions:
    """Return how the intervals are made."""
    from lcmap.accuracy.options import BootstrapOptions

    return BootstrapOptions(bootstrap, block, seed, level)


@grouped(
    split=scored_ground,
    classes=scored_classes,
    to=results,
    bootstrap=intervals,
    inputs=label_input_options,
    called=invocation,
)
def command(
    maps: Annotated[
        list[str],
        typer.Argument(
            metavar="MAP",
            help="Maps to compare, side by side; - is standard input. A folder or a quoted "
            "pattern is one map in several parts.",
            show_default=False,
        ),
    ],
    *,
    reference: Annotated[
        list[str],
        typer.Option(
            metavar="REF",
            help="Labels to compare with: a file, a folder or a quoted pattern. Repeat it to pool "
            "several.",
            show_default=False,
        ),
    ],
    split: SplitOptions,
    classes: ClassOptions,
    to: Results,
    bootstrap: BootstrapOptions,
    inputs: InputOptions,
    called: Invocation,
) -> None:
    """Measure how well maps agree with a reference.

    Prints IoU, precision, recall and F1 of each class, mIoU (over the classes of the reference),
    overall accuracy, Cohen's kappa and mean F1, in percent; for several maps, IoU side by side and
    the difference of each to the first. All maps are measured on the same pixels: those that are
    labelled in the reference (not 0), are in the split, and are covered by every map. Intervals
    come from a bootstrap of blocks, the same blocks for all maps.

    A pixel that a map leaves without a class (0, nodata, discarded by its crosswalk) counts as
    missed. A map of another pixel size is read at the centre of each reference pixel.
    """
    from lcmap.accuracy.score import score
    from lcmap.accuracy.tables import notes, plain_text, tables

    with called.reporting() as reporter:
        to.form.check()
        with reporter.progress("score") as progress:
            report = score(
                maps,
                reference,
                classes=classes,
                split=split,
                bootstrap=bootstrap,
                outputs=to.written,
                inputs=inputs,
                progress=progress,
            )
        reporter.result(
            to.form.of(
                report,
                lambda: (tables(report, matrix=to.matrix), notes(report)),
                lambda: plain_text(report, matrix=to.matrix),
            )
        )
