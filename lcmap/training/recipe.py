"""The recipes of training: the published one, and the one that measurements chose."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from lcmap import defaults
from lcmap.network.architecture import Architecture, Stem

Schedule = Literal["steps", "one-cycle", "trapezoid"]
Normalisation = Literal["running", "recomputed"]
ClassWeights = Literal["paper", "square root", "none"]
Initialisation = Literal["xavier", "kaiming"]
Calibration = Literal["class", "none"]
Scaling = Literal["image", "training"]
"""What images are scaled by: each by its own quantiles, all by the mean of those of training."""


@dataclass(frozen=True)
class Jitter:
    """How far scaled radiometry is varied at random; each 0 leaves it as it is.

    `contrast` varies the gain and the offset of all bands together, `band` those of each band by
    itself, `gamma` the logarithm of an exponent.

    `content` is how often a sample is scaled as if there were other ground in its image (see
    `content_scales`): the quantiles of an image depend on what is in it. It prepares for images
    that are scaled by their own. `noise` is the largest standard deviation of a Gaussian noise, as
    a share of the range between the quantiles. `blur` is how often a sample is blurred.
    """

    contrast: float
    band: float
    gamma: float
    content: float = 0.0
    noise: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        """Check that probabilities are such."""
        _check_shares(self, "content", "blur")


@dataclass(frozen=True)
class Sampling:
    """Which ground training shows more often than it occurs; each 0 leaves it as it is.

    `balance` is how often a crop is drawn by its class: a class by its share of the labelled
    pixels to the power of `power` (0: all alike, 1: as they occur), a tile by its pixels of the
    class, and a window with one of these at any place in it.

    `paste` is how many objects of rare classes are pasted on a crop, on average; a class is rare
    whose share is below `rare`. Source: Ghiasi et al. 2021 (arXiv:2012.07177), here for semantic
    labels.
    """

    balance: float = 0.0
    power: float = 0.5
    paste: float = 0.0
    rare: float = 0.1

    def __post_init__(self) -> None:
        """Check that probabilities and shares are such."""
        _check_shares(self, "balance", "power", "rare")
        if self.paste < 0:
            raise ValueError(f"paste: {self.paste:g} is below 0")


@dataclass(frozen=True)
class Consistency:
    """How a network learns from pixels without labels, where there are such images.

    The running average of its weights is its teacher (see `mean_teacher`): where that gives a class
    a probability of `threshold` or more, the network learns the class on the same crop, varied
    `strength` times as much and mixed with another. `weight` is that of this loss beside the
    labels', reached after `ramp_up` of the run; `share` is how many such crops a step has, as a
    share of the batch. With `own_tiles` the pixels of the training tiles that have no label are
    used too, whether or not there are images.

    `adapt_normalisation` is how much the statistics of batch normalisation become, in the end,
    those of these crops (0: not at all).
    """

    weight: float = 1.0
    threshold: float = 0.9
    strength: float = 2.0
    share: float = 0.25
    ramp_up: float = 0.3
    own_tiles: bool = False
    adapt_normalisation: float = 0.0

    def __post_init__(self) -> None:
        """Check that probabilities and shares are such."""
        _check_shares(self, "threshold", "share", "ramp_up", "adapt_normalisation")
        if self.weight < 0:
            raise ValueError(f"weight: {self.weight:g} is below 0")


def _check_shares(group: object, *names: str) -> None:
    for name in names:
        value = getattr(group, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: {value:g} is not in 0 … 1")


@dataclass(frozen=True)
class Muon:
    """How the optimizer "muon" trains hidden convolutions; AdamW trains the rest."""

    learning_rate: float = 0.02
    momentum: float = 0.95


@dataclass(frozen=True)
class Loss:
    """What training minimises beside the cross entropy weighted by class; each 0 leaves it out.

    dice: weight of 1 less the mean Dice coefficient of the classes, over the batch.
    lovasz: weight of the Lovász extension of 1 less the IoU, by image (Berman et al. 2018).
    boundary: pixels within `boundary_width` of another class count 1 + `boundary` times.
    border: pixels within so many of another class have no label, as references are shifted. The
        width of a boundary counts from there.
    smoothing: share of a label that all classes get which training has (Szegedy et al. 2016).
    robust: exponent q, up to 1, of the generalised cross entropy (1 - p^q) / q, which pixels with a
        wrong label pull less than -log p (Zhang and Sabuncu 2018, arXiv:1805.07836).
    """

    dice: float = 0.0
    lovasz: float = 0.0
    boundary: float = 0.0
    boundary_width: int = 3
    border: int = 0
    smoothing: float = 0.0
    robust: float = 0.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: one of them is out of its range.
        """
        for name, value in asdict(self).items():
            if value < 0:
                raise ValueError(f"{name} of the loss is {value}, below 0")
        for name in ("smoothing", "robust"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} of the loss is {getattr(self, name)}, above 1")


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained, apart from the data and the time given.

    scaling: what images are scaled by where nothing else was chosen.
    schedule: "one-cycle" lets the learning rate rise in the run's first `warm_up` (a fraction) and
        fall along a cosine; "trapezoid" keeps it until it falls in the last `cool_down`.
    crop: the side of the squares cut from tiles at random, in pixels; None: whole tiles.
    zoom: the largest logarithm of a random change of scale.
    average: the decay of the running average of the weights, which is what is validated and kept;
        0: the weights as they are.
    side_dropout: how often a sample goes without a side input, which becomes 0 as where it is
        missing, so that the network does not lean on it alone.
    date_dropout: up to this share of the dates of a series is left out of a sample, so that a
        network learns to take any dates.
    fine_tuning: multiplies the learning rate where training starts from a model.
    interpolation: shares of the way from the weights of such a model, of the same inputs, to those
        that training came to; in the end the validation tiles choose from them and the end itself,
        see `training.interpolation`. () goes to the end.
    keeps_statistics: the batch normalisations of such a model keep its statistics and normalise by
        them where the tiles make fewer than four batches: these have others (Wu and Johnson 2021,
        arXiv:2105.07576, section 4).
    width, depth, stem, context, reparametrised, clip, side_width, side_skips: the network's, see
        `Architecture`.
    coarse_sides: side inputs are taken on the cells that the tile indexes say; else all on the
        pixels of the image.
    whole_passes: an epoch is one pass over the training tiles, each taken once; else tiles are
        drawn by their size, again and again.
    patience: training ends after so many epochs without a better model; None: it does not.
    loss: what joins the cross entropy.
    muon: the optimizer of this name.
    normalisation: the statistics of batch normalisation are running ones, or are recomputed on
        training crops before each validation.
    sampling: what is shown more often than it occurs.
    consistency: how the network learns from pixels without labels.
    calibration: "class" fits temperatures to the validation tiles when the network is trained, one
        for each class, see `training.calibration`; "none" leaves its scores.
    """

    name: str
    scaling: Scaling
    optimizer: Literal["adam", "adamw", "muon"]
    learning_rate: float
    weight_decay: float
    schedule: Schedule
    class_weights: ClassWeights
    initialisation: Initialisation
    batch_size: int
    crop: int | None
    flips_and_turns: bool
    jitter: Jitter | None
    zoom: float
    average: float
    side_dropout: float
    fine_tuning: float
    width: int
    depth: int
    whole_passes: bool
    patience: int | None
    calibration: Calibration
    loss: Loss = Loss()
    muon: Muon = Muon()
    warm_up: float = 0.1
    cool_down: float = 0.3
    normalisation: Normalisation = "running"
    stem: Stem = "full"
    context: int = 0
    reparametrised: bool = False
    clip: tuple[float, float] | None = None
    sampling: Sampling = Sampling()
    consistency: Consistency = Consistency()
    coarse_sides: bool = False
    side_width: int = 4
    side_skips: bool = False
    date_dropout: float = 0.0
    interpolation: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    keeps_statistics: bool = True

    def __post_init__(self) -> None:
        """Check that there is a teacher where one is needed."""
        if self.consistency.own_tiles and not self.average:
            raise ValueError("consistency: own_tiles needs an average, which is the teacher")

    @property
    def architecture(self) -> Architecture:
        """The network's, with whole skips."""
        return Architecture(
            width=self.width,
            depth=self.depth,
            stem=self.stem,
            context=self.context,
            reparametrised=self.reparametrised,
            clip=self.clip,
            side_width=self.side_width,
            side_skips=self.side_skips,
        )


PAPER = Recipe(
    name="paper",
    scaling="image",
    optimizer="adam",
    learning_rate=1e-2,
    weight_decay=0.0,
    schedule="steps",
    class_weights="paper",
    initialisation="xavier",
    batch_size=4,
    crop=None,
    flips_and_turns=False,
    jitter=None,
    zoom=0.0,
    average=0.0,
    side_dropout=0.0,
    fine_tuning=1.0,
    width=32,
    depth=3,
    whole_passes=True,
    patience=None,
    calibration="none",
    interpolation=(),
    keeps_statistics=False,
)
"""Stocker and Le Bris 2020, section 2.4; the batch size is not given there."""

DEFAULT = Recipe(
    name="default",
    scaling="training",
    optimizer="muon",
    learning_rate=3e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    class_weights="square root",
    initialisation="kaiming",
    batch_size=8,
    crop=192,
    flips_and_turns=True,
    jitter=Jitter(contrast=0.1, band=0.05, gamma=0.0, noise=0.04, blur=0.25),
    zoom=0.0,
    average=0.99,
    side_dropout=0.3,
    fine_tuning=0.3,
    width=32,
    depth=3,
    whole_passes=False,
    patience=defaults.PATIENCE,
    calibration="class",
    stem="half",
    context=2,
    clip=(0.0, 1.0),
    sampling=Sampling(balance=0.5, power=0.0),
    coarse_sides=True,
    side_skips=True,
    date_dropout=0.5,
)
"""Measured against others on zones that no tile showed: see benchmarks/accuracy.md."""

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, PAPER)}
