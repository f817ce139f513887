"""From a trained network to the graph of its model: what it never predicts, how sure it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from lcmap.graph.classification import Classification, with_classification
from lcmap.nomenclature import Nomenclature
from lcmap.training.calibration import ScoreSample, Temperatures
from lcmap.training.elsewhere import Elsewhere
from lcmap.training.export import Agreement, to_onnx, verify
from lcmap.training.final import FinalTrainer
from lcmap.training.run import TrainingRun
from lcmap.training.validation import Measured, validate_model


class FinishedModel(NamedTuple):
    """A graph, and what it does on the validation tiles.

    `before` is what it would do without `temperatures`; where these are None, what it does.
    `elsewhere` is what these were fitted to, where that is not the validation tiles.
    """

    graph: bytes
    temperatures: Temperatures | None
    before: Measured
    measured: Measured
    agreement: Agreement
    elsewhere: Elsewhere | None = None

    @property
    def reliability(self) -> dict[str, NDArray[Any]]:
        """The counts of bins of confidence, by what they are of; of what was left out, by part.

        Where no part that was left out is judged, those of the validation tiles alone.
        """
        if self.temperatures is None:
            return {"validation": self.measured.reliability}
        if self.elsewhere is not None:
            parts = {"before": self.elsewhere.before, "after": self.elsewhere.after}
            left_out = {
                f"left out, {when}": counts for when, counts in parts.items() if len(counts)
            }
            return left_out | {"validation": self.measured.reliability}
        return {"before": self.before.reliability, "after": self.measured.reliability}

    def calibration(self, nomenclature: Nomenclature) -> dict[str, Any]:
        """Return for a model's metadata how it is calibrated; {} if it is not."""
        if self.temperatures is None:
            return {}
        fitted = {"fitted on": "validation tiles"}
        if self.elsewhere is not None:
            fitted = self.elsewhere.to_dict()
        return self.temperatures.to_dict(nomenclature) | fitted | {"ece before": self.before.ece}


def finish_model(run: TrainingRun, elsewhere: Elsewhere | None = None) -> FinishedModel:
    """Return the graph of a run's network, which has its best weights, calibrated and measured.

    It is calibrated on the validation tiles, or as it was fitted `elsewhere`. Classes that are
    `run.absent` are never predicted.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    data, source, network = run.data, run.source, run.network
    exported = to_onnx(network, [model_input.name for model_input in data.inputs])
    classification = Classification(None, run.absent)
    graph = with_classification(exported, classification)
    beside = elsewhere is None and run.settings["recipe"]["calibration"] == "class"
    sample = ScoreSample(data.validation, len(data.nomenclature), run.settings["seed"])
    before = measured = validate_model(
        graph, source, data, stride=network.stride, each=sample.add if beside else None
    )
    temperatures = None if elsewhere is None else elsewhere.temperatures
    if beside:
        temperatures = sample.temperatures()
    if temperatures is not None:
        classification = Classification(tuple(temperatures.values.tolist()), run.absent)
        graph = with_classification(exported, classification)
        measured = validate_model(graph, source, data, stride=network.stride)
    agreement = verify(graph, network, run.trainer.samples_to_verify(), classification)
    return FinishedModel(graph, temperatures, before, measured, agreement, elsewhere)


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
