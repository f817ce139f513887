"""What the networks of a study cost on a processor: how steps stand for equal processor time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch

from lcmap.training.memory import freed_memory_kept
from lcmap.training.options import TrainOptions
from lcmap.training.samples import SampleSource, read_training_set
from lcmap.training.trainer import Trainer
from trials.declaration import Contender, Study
from trials.grounds import prepare_fold
from trials.networks import costs, network_of

_ROUNDS = 5


class Cost(NamedTuple):
    """What a contender takes: parameters, multiplications a pixel, processor time.

    step: seconds of a training step of the batch of its recipe, the sample's making included.
    prediction: nanoseconds a pixel in onnxruntime.
    """

    parameters: int
    mac_per_pixel: float
    step: float
    prediction: float


def contender_costs(study: Study, folder: Path, data: Path) -> dict[str, Cost]:
    """Return what each contender takes on the first ground, all measured in turn.

    A step's time is the median of a few; the first, which allocates, is not counted.

    Raises:
        LcmapError: the data or a network cannot be had.
    """
    torch.set_num_threads(study.threads)
    ground = study.grounds[0]
    fold = prepare_fold(ground, ground.folds[0], data, folder)
    with ExitStack() as readers, freed_memory_kept():
        trainers = {}
        for contender in _without_namesakes(study.contenders):
            training = read_training_set(fold.indexes, scaling=contender.recipe.scaling)
            source = SampleSource(readers.enter_context(training.reader()), training.sides)
            network = network_of(contender, training, study.seeds[0])
            options = TrainOptions(epochs=1, device="cpu")
            trainers[contender.name] = Trainer(training, source, network, contender.recipe, options)
        steps: dict[str, list[float]] = {name: [] for name in trainers}
        for number in range(_ROUNDS + 1):
            for name, trainer in trainers.items():
                started = time.process_time()
                trainer.step(trainer.sampler.batch(number))
                steps[name].append(time.process_time() - started)
        channels = [model_input.channels for model_input in training.inputs]
        return {
            name: _cost(costs(trainer.network, channels, study.threads), steps[name])
            for name, trainer in trainers.items()
        }


def _without_namesakes(contenders: Iterable[Contender]) -> list[Contender]:
    """Return the first contender of each network, batch and optimizer: they cost the same."""
    first: dict[object, Contender] = {}
    for contender in contenders:
        recipe = contender.recipe
        kind = contender.smp or (recipe.architecture, contender.size)
        first.setdefault((kind, recipe.batch_size, recipe.crop, recipe.optimizer), contender)
    return list(first.values())


def _cost(found: dict[str, float], steps: list[float]) -> Cost:
    return Cost(
        int(found["parameters"]),
        found["mac_per_pixel"],
        statistics.median(steps[1:]),
        found["predict_ns_per_pixel"] or float("nan"),
    )
