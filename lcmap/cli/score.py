"""lcmap score: from maps and a reference to measures of accuracy and their intervals."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lcmap import defaults
from lcmap.cli import builtin_names
from lcmap.cli.grouped import grouped, section
from lcmap.cli.invocation import invocation
from lcmap.cli.options import Overwrite, Seed, label_input_options
from lcmap.cli.printed_form import AlsoTo, PrintedForm, printed_form
from lcmap.cli.unattended import words_that_count

if TYPE_CHECKING:
    from lcmap.accuracy.options import (
        BootstrapOptions,
        ClassOptions,
        PageOptions,
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


@section("Report")
def page_options(
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Also write a page to look at: charts with intervals, what is taken for what, "
            "areas, and of a reference the best, a typical and the worst block. One file that "
            "needs no other.",
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE",
            help="With --report: an image of the ground, for its pictures. May be repeated.",
        ),
    ] = None,
    confidence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="With --report: the confidence of a map, as lcmap predict writes it, for a "
            "diagram of how far it can be believed. Give it once for each map, in order.",
        ),
    ] = None,
) -> PageOptions | None:
    """Return the page to write, None for none."""
    from lcmap.accuracy.options import PageOptions

    if report is None:
        return None
    return PageOptions(report, tuple(image or ()), tuple(confidence or ()))


@section("Results")
@grouped(form=printed_form, page=page_options)
def results(
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to call a map; give it once for each map, in order [default: its file].",
        ),
    ] = None,
    replicate: Annotated[
        bool,
        typer.Option(
            "--replicate",
            help="Maps of equal --name are runs of one method, as with other seeds: report their "
            "mean, with an interval over ground and runs.",
        ),
    ] = False,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Print each map's confusion matrix too.")
    ] = False,
    *,
    page: PageOptions | None,
    form: PrintedForm,
    output: AlsoTo = None,
    overwrite: Overwrite = False,
) -> Results:
    """Return what is written and printed."""
    from lcmap.accuracy.options import ReportOptions

    written = ReportOptions(tuple(name or ()), tuple(output or ()), overwrite, replicate, page)
    return Results(written, matrix, form)


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
            help="Score only the tiles of one split of this index. Repeat it for several images. "
            "With --sample, refuse points in its training and validation tiles.",
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
        int | None,
        typer.Option(
            metavar="PIXELS",
            min=1,
            help="Edge of the blocks that the bootstrap draws [default: what --tiles gave to one "
            f"split together, else {defaults.BOOTSTRAP_BLOCK}].",
        ),
    ] = None,
    resample: Annotated[
        Literal["blocks", "images"],
        typer.Option(
            help="What the bootstrap draws: blocks of ground, or whole files of the reference, for "
            "what a map is like on another image. Images take 3 or more."
        ),
    ] = defaults.RESAMPLE,
    level: Annotated[
        float, typer.Option(metavar="PERCENT", min=1, max=99.99, help="Level of the intervals.")
    ] = defaults.INTERVAL_LEVEL,
    seed: Seed = defaults.SEED,
) -> BootstrapOptions:
    """Return how the intervals are made."""
    from lcmap.accuracy.options import BootstrapOptions

    return BootstrapOptions(bootstrap, block, seed, level, resample)


@dataclass(frozen=True)
class Truth:
    """What maps are compared with: label rasters, or the points of a probability sample."""

    references: tuple[str, ...]
    sample: str | None

    def check(self) -> None:
        """Check that one of them is given.

        Raises:
            UsageError: none is, or both are.
        """
        from lcmap.errors import UsageError

        if self.references and self.sample is not None:
            raise UsageError("`sample`", "stands in place of `references`", "give one of them")
        if not self.references and self.sample is None:
            raise UsageError(
                "`references`", "there is nothing to compare with", "name labels, or a `sample`"
            )


@section("Reference")
def compared_with(
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF",
            help="Labels to compare with: a file, a folder or a quoted pattern. Repeat it to pool "
            "several.",
        ),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="POINTS.gpkg",
            help="In place of --reference: points that lcmap sample drew, with the class of each "
            "filled in. Gives areas and accuracies with the standard errors of the design.",
        ),
    ] = None,
) -> Truth:
    """Return what maps are compared with."""
    return Truth(tuple(reference or ()), sample)


@grouped(
    truth=compared_with,
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
    truth: Truth,
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
    come from a bootstrap of blocks, the same blocks for all maps: they are of agreement with the
    reference, on this ground. With --replicate the runs of a method are scored as one.

    With --sample, the points of a probability sample stand in place of a reference: areas of the
    reference's classes, overall, user's and producer's accuracy have the standard errors of the
    design (Stehman 2014; Olofsson et al. 2014), IoU and F1 the intervals of a bootstrap of it. What
    --tiles name then are the tiles that no point may lie in: training and validation tiles.

    A pixel that a map leaves without a class (0, nodata, discarded by its crosswalk) counts as
    missed. A map of another pixel size is read at the centre of each reference pixel.
    """
    with called.reporting() as reporter:
        to.form.check()
        truth.check()
        to = replace(to, written=_with_command(to.written, called))
        if truth.sample is not None:
            called.refuse(["block"], "is of a reference raster's pixels, a sample has none")
            of_rasters = ["image", "confidence", "resample", "replicate"]
            called.refuse(of_rasters, "is of a reference raster")
            reporter.result(_estimated(maps, truth.sample, split, classes, to, bootstrap, inputs))
            return
        if to.written.page is None:
            called.refuse(["image", "confidence"], "is of a page", "give `report` too")
        from lcmap.accuracy.score import score
        from lcmap.accuracy.tables import notes, plain_text, tables

        with reporter.progress("score") as progress:
            report = score(
                maps,
                truth.references,
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


def _with_command(written: ReportOptions, called: Invocation) -> ReportOptions:
    """Return what is written with the command line, which a page shows, an option a line."""
    if written.page is None:
        return written
    # nothing that decides no bytes
    words = map(shlex.quote, words_that_count(called.context))
    command = "".join(f" \\\n  {word}" if word.startswith("-") else f" {word}" for word in words)
    return replace(written, page=replace(written.page, command=f"lcmap{command}"))


def _estimated(
    maps: list[str],
    sample: str,
    split: SplitOptions,
    classes: ClassOptions,
    to: Results,
    bootstrap: BootstrapOptions,
    inputs: InputOptions,
) -> object:
    """Return what is printed of estimates from a sample."""
    from lcmap.accuracy.estimate import estimate
    from lcmap.accuracy.estimate_tables import estimate_notes, estimate_tables, estimate_text

    report = estimate(
        maps,
        sample,
        classes=classes,
        split=split,
        bootstrap=bootstrap,
        outputs=to.written,
        inputs=inputs,
    )
    return to.form.of(
        report,
        lambda: (estimate_tables(report, matrix=to.matrix), estimate_notes(report)),
        lambda: estimate_text(report, matrix=to.matrix),
    )
