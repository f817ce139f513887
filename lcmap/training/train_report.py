"""What a finished training run came to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from lcmap.accuracy.measures import PER_CLASS, Scores
from lcmap.errors import DataError
from lcmap.nomenclature import Nomenclature
from lcmap.training.elsewhere import Elsewhere
from lcmap.training.export import Agreement
from lcmap.training.final import SCORES_OF
from lcmap.training.int8_model import QuantisationReport
from lcmap.training.suspects import SuspectReport


@dataclass(frozen=True)
class TrainReport:
    """What a finished run came to.

    The scores are those of the exported model on the validation tiles, run by onnxruntime in
    float32; `agreement` is that of onnxruntime and PyTorch. `ece` is its expected calibration
    error, `ece_before` that without temperatures, where it has them; `absent` are the short names
    of the classes that it never predicts; `elsewhere` is what it was calibrated on, where that is
    not the validation tiles. The weights are `share` of the way from those of the initial model,
    where there was one, to those of the epoch. `int8` is what became of it in int8,
    where that was asked for, or why there is no such model; `suspects` what was found of labels.
    Where the validation tiles trained too in the end, for `final_steps`, the scores and the
    calibration are those of the model before.
    """

    model: Path
    nomenclature: Nomenclature
    epoch: int
    epochs: int
    steps: int
    seconds: float
    scores: Scores
    agreement: Agreement
    ece: float
    ece_before: float | None = None
    absent: tuple[str, ...] = ()
    initial_model: str | None = None
    share: float = 1.0
    int8: QuantisationReport | DataError | None = None
    suspects: SuspectReport | None = None
    final_steps: int | None = None
    elsewhere: Elsewhere | None = None

    @property
    def text(self) -> str:
        """The report in a few lines."""
        miou, oa, *_ = 100 * self.scores.overall
        ious = 100 * self.scores.per_class[PER_CLASS.index("iou")]
        classes = ", ".join(
            f"{c.short} {iou:.1f}" if math.isfinite(iou) else f"{c.short} –"
            for c, iou in zip(self.nomenclature.classes, ious, strict=True)
        )
        return (
            f"{self.model}: epoch {self.epoch} of {self.epochs} ({self.steps} steps, "
            f"{self.seconds / 60:.1f} min), validation mIoU {miou:.1f} %, "
            f"OA {oa:.1f} %; {self.agreement.text}\n"
            f"{self._way}"
            f"validation IoU in %: {classes}\n"
            f"{self._confidence}{self._of_final}"
        )

    @property
    def _way(self) -> str:
        """Where the weights are those of no epoch: which they are."""
        if self.share == 1:
            return ""
        if self.share == 0:
            return f"no epoch did better than {self.initial_model}: the weights are its own\n"
        return (
            f"the weights did best {100 * self.share:.0f} % of the way from those of "
            f"{self.initial_model} to those of epoch {self.epoch}\n"
        )

    @property
    def _confidence(self) -> str:
        found = f"validation expected calibration error: {100 * self.ece:.1f} %"
        if self.ece_before is not None:
            found += f", {100 * self.ece_before:.1f} % before calibration"
        if self.elsewhere is not None:
            found += f"\n{self.elsewhere.text}"
        return found + (f"\nnever predicted: {', '.join(self.absent)}" if self.absent else "")

    @property
    def _of_final(self) -> str:
        if self.final_steps is None:
            return ""
        return (
            f"\ntrained anew on training and validation tiles, {self.final_steps} steps; "
            f"the scores are those of {SCORES_OF}"
        )
