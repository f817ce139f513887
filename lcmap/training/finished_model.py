"""From a trained network to the graph of its model: what it never predicts, how sure it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from lcmap.graph.classification import Classification, with_classification
from lcmap.nomenclature import Nomenclature
from lcmap.training.calibration import ScoreSample, Temperatures
from lcmap.training.export import Agreement, to_onnx, verify
from lcmap.training.final import FinalTrainer
from lcmap.training.run import TrainingRun
from lcmap.training.validation import Measured, validate_model


class FinishedModel(NamedTuple):
    """A graph, and what it does on the validation tiles.

    `before` is what it would do without `temperatures`; where these are None, what it does.
    """

    graph: bytes
    temperatures: Temperatures | None
    before: Measured
    measured: Measured
    agreement: Agreement

    @property
    def reliability(self) -> dict[str, NDArray[Any]]:
        """The counts of bins of confidence, by what they are of."""
        if self.temperatures is None:
            return {"validation": self.measured.reliability}
        return {"before": self.before.reliability, "after": self.measured.reliability}

    def calibration(self, nomenclature: Nomenclature) -> dict[str, Any]:
        """Return for a model's metadata how it is calibrated; {} if it is not."""
        if self.temperatures is None:
            return {}
        return self.temperatures.to_dict(nomenclature) | {
            "fitted on": "validation tiles",
            "ece before": self.before.ece,
        }


def finish_model(run: TrainingRun) -> FinishedModel:
    """Return the graph of a run's network, which has its best weights, calibrated and measured.

    Classes that are `run.absent` are never predicted.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    data, source, network = run.data, run.source, run.network
    exported = to_onnx(network, [model_input.name for model_input in data.inputs])
    classification = Classification(None, run.absent)
    graph = with_classification(exported, classification)
    calibrates = run.settings["recipe"]["calibration"] == "class"
    sample = ScoreSample(data.validation, len(data.nomenclature), run.settings["seed"])
    before = measured = validate_model(
        graph, source, data, stride=network.stride, each=sample.add if calibrates else None
    )
    temperatures = None
    if calibrates:
        temperatures = sample.temperatures()
        classification = Classification(tuple(temperatures.values.tolist()), run.absent)
        graph = with_classification(exported, classification)
        measured = validate_model(graph, source, data, stride=network.stride)
    agreement = verify(graph, network, run.trainer.samples_to_verify(), classification)
    return FinishedModel(graph, temperatures, before, measured, agreement)


def finish_final(
    run: TrainingRun, model: FinishedModel, final: FinalTrainer, absent: tuple[int, ...]
) -> FinishedModel:
    """Return the graph of the network that was trained on all tiles, calibrated as `model` is.

    No tile is left that could measure it: what `model` was measured to do stays. `absent` are the
    classes that no tile has.
    """
    network = run.network
    final.load_best(network)
    temperatures = None
    if model.temperatures is not None:
        temperatures = tuple(model.temperatures.values.tolist())
    classification = Classification(temperatures, absent)
    exported = to_onnx(network, [model_input.name for model_input in run.data.inputs])
    graph = with_classification(exported, classification)
    agreement = verify(graph, network, final.samples_to_verify(), classification)
    return model._replace(graph=graph, agreement=agreement)
