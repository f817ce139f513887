"""lcmap predict: an image and a model to a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lcmap.cli.grouped import grouped
from lcmap.cli.invocation import invocation
from lcmap.cli.map_summary import MapSummary
from lcmap.cli.options import Model, Verify, computing, map_outputs, model_inputs

if TYPE_CHECKING:
    from lcmap.cli.invocation import Invocation
    from lcmap.engines.compute import Compute
    from lcmap.inference.options import MapOutputs, ModelInputOptions


@grouped(outputs=map_outputs, compute=computing, options=model_inputs, called=invocation)
def command(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="The image to map; - is standard input. Or several that overlap, each a file, a "
            "folder, a pattern or an index of images, as gdaltindex makes one.",
            show_default=False,
        ),
    ],
    *,
    model: Model,
    outputs: MapOutputs,
    compute: Compute,
    options: ModelInputOptions,
    verify: Verify = False,
    called: Invocation,
) -> None:
    """Make a land-cover map of an image, or of overlapping images, with a trained model.

    The image needs the bands, data type and ground sampling distance that the model was trained
    on. It is scaled as those were: by their 2 % and 98 % quantiles, or by its own, which lcmap
    prepare writes into it; an image without them is then read twice. Pixels without data in any
    band become 0.

    Several images become one map on one grid; their pixels must lie on it. Where they overlap, the
    first one that has data counts, or what --prefer says; the network sees what is around a pixel
    in the same image, and beyond it in the next.

    A run that was stopped or killed is continued by the same command, to the same bytes. Until
    the map is whole, what is finished is kept beside it in the folder .MAP.lcmap-work: 1 byte
    a pixel for the map, 1 each for --confidence and --margin, 4 a class for --probabilities, 4 for
    --verify. Where the input or the map is -, it is kept in --tmpdir and the run is not continued.
    """
    from lcmap.inference.predict import predict

    summary = MapSummary(outputs, compute.shard)
    with called.reporting() as reporter, reporter.progress("predict") as progress:
        report = predict(
            [images], model, outputs, compute, options, verify=verify, progress=progress
        )
        summary.say(report)
