"""The classes that a model cannot have learnt, and the shares of those that it has."""

from __future__ import annotations

import logging
from typing import Any

from lcmap.model_file import ModelMetadata
from lcmap.training.samples import TrainingSet

ABSENT_KEY = "absent_classes"
"""In `training` of a model's metadata: the short names of the classes that it never predicts."""

_SHARES_KEY = "class_shares"

logger = logging.getLogger(__name__)


def absent_classes(
    data: TrainingSet, initial: ModelMetadata | None, final: TrainingSet | None = None
) -> tuple[int, ...]:
    """Return the indices of the classes that no training tile has, and say so in a warning.

    A class that the `initial` model has learnt is not among them. `final` is what is trained on
    afterwards, if anything is.
    """
    missing = [index for index, share in enumerate(data.shares) if share == 0]
    unknown = set(missing)
    if initial is not None:
        lacks = initial.training.get(ABSENT_KEY, ())
        unknown &= {i for i in missing if data.nomenclature.classes[i].short in lacks}
    later = set() if final is None else {i for i in unknown if final.shares[i] > 0}
    for indices, consequence in (
        (unknown - later, "the model never predicts {them}"),
        (later, "the final run alone learns {them}, from validation tiles"),
        (
            set(missing) - unknown,
            "the model predicts {them} as the one it starts from learnt {them}",
        ),
    ):
        if indices:
            names = ", ".join(data.nomenclature.classes[index].name for index in sorted(indices))
            said = consequence.format(them="it" if len(indices) == 1 else "them")
            logger.warning("no training tile has %s: %s", names, said)
    return tuple(sorted(unknown))


def class_facts(data: TrainingSet, absent: tuple[int, ...]) -> dict[str, Any]:
    """Return for a model's metadata which share each class has of the training pixels."""
    shorts = [item.short for item in data.nomenclature.classes]
    shares = (round(share, 6) for share in data.shares.tolist())
    return {
        _SHARES_KEY: dict(zip(shorts, shares, strict=True)),
        ABSENT_KEY: [shorts[index] for index in absent],
    }
