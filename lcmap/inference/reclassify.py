"""An existing label map in other classes, by an image and a network that learnt from both.

Stocker and Le Bris 2020, section 6: an existing map goes into the network beside the image.
`crosswalk_map` does what can be done without a network.
"""

from __future__ import annotations

from collections.abc import Sequence

from lcmap.engines.compute import Compute
from lcmap.errors import NomenclatureMismatchError, UnexplainedLabelsError
from lcmap.inference.crosswalk_map import NAME_CLASSES
from lcmap.inference.options import MapOutputs, ModelInputOptions
from lcmap.inference.predict import PredictReport, predict
from lcmap.model_file import read_model
from lcmap.nomenclature import load_nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent


def reclassify_oso(
    inputs: tuple[PathLike, PathLike],
    model: PathLike,
    outputs: MapOutputs,
    compute: Compute | None = None,
    options: ModelInputOptions | None = None,
    *,
    oso_classes: str | None = None,
    verify: bool = False,
    progress: Progress = silent,
) -> PredictReport:
    """Write the map of an image and an existing label map by a model that takes both.

    The label map, the second input, is in the classes `oso_classes`, else in those that its tags
    name; its codes are never guessed from. All else is as with `predict`.

    Raises:
        UnexplainedLabelsError: the label map does not say what its codes mean, nor `oso_classes`.
        UsageError: there is no nomenclature of that name.
        NomenclatureMismatchError: the model was trained on a map in other classes, or on none.
    """
    if not any(item.nomenclature for item in read_model(model).inputs):
        raise NomenclatureMismatchError(
            model,
            "does not take a label map",
            "train on tiles from lcmap prepare --side MAP:oso23",
        )
    image, oso = inputs
    given: Sequence[PathLike] = (image, oso)
    if oso_classes is not None:
        load_nomenclature(oso_classes)
        given = (image, f"{oso}:{oso_classes}")
    try:
        return predict(given, model, outputs, compute, options, verify=verify, progress=progress)
    except UnexplainedLabelsError as error:
        raise UnexplainedLabelsError(oso, error.problem, NAME_CLASSES) from error
