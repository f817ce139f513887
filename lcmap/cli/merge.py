"""lcmap merge: the shards of a map to the map."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli.grouped import grouped
from lcmap.cli.invocation import invocation
from lcmap.cli.map_summary import MapSummary
from lcmap.cli.options import Overwrite

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation

logger = logging.getLogger("lcmap")


@grouped(called=invocation)
def command(
    map_: Annotated[
        str,
        typer.Argument(metavar="MAP", help="The map, as it was named to --output of the shards."),
    ],
    *,
    overwrite: Overwrite = False,
    called: Invocation,
) -> None:
    """Write a map from its shards, which lcmap predict, fuse or reclassify-oso --shard made.

    The map and the files that were asked for with it are those of a run without --shard, to the
    byte. Shards that are missing, not finished, damaged, or of another run (other inputs, model,
    engine, options or version of lcmap) are refused by name. The shards lie beside the map in the
    folders .MAP.lcmap-shard-I-of-N; once the map is written they are removed.
    """
    from lcmap.inference.merge import merge
    from lcmap.inference.options import MapOutputs

    # not `output`: what is up to date is told by the record of the shards, not of this command
    summary = MapSummary(MapOutputs(map_))
    with called.reporting() as reporter, reporter.progress("merge") as progress:
        report = merge(map_, overwrite=overwrite, progress=progress)
        if report is None:
            logger.info("%s: up to date", map_)
        else:
            summary.say(report, report.outputs)
