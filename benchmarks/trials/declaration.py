"""What a study compares: read from a TOML file, checked, and spelt out as runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lcmap.errors import DataError
from lcmap.paths import PathLike
from lcmap.toml_text import LARGEST, parse_toml
from lcmap.training.options import NetworkSize
from lcmap.training.recipe import RECIPES, Recipe
from lcmap.user_file import read_small

FORMAT_VERSION = 2
"""Of a run's result; a result of another version is not taken for a run's."""

Protocol = Literal["leave-one-zone-out", "blocks", "berlin"]
Sensor = Literal["3.6m", "30m"]

_OF_THE_RECIPE = NetworkSize()

_NAME = re.compile(r"[a-z0-9][a-z0-9.+_-]*")


@dataclass(frozen=True)
class Budget:
    """How long a run trains and validates: one of these.

    Minutes are those of a clock; processor minutes count all threads of the run, and nothing that
    runs beside it; steps count no validation.
    """

    minutes: float | None = None
    processor_minutes: float | None = None
    steps: int | None = None

    @property
    def text(self) -> str:
        """The budget in words."""
        for name, value in dataclasses.asdict(self).items():
            if value is not None:
                return f"{value:g} {name.replace('_', ' ')}"
        raise AssertionError("a budget has one of its fields")

    def check(self) -> None:
        """Check that it has one of its fields.

        Raises:
            ValueError: it has not.
        """
        given = [v for v in dataclasses.asdict(self).values() if v is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError("budget needs one of minutes, processor_minutes and steps, above 0")


@dataclass(frozen=True)
class Smp:
    """A network of segmentation_models_pytorch, not pretrained."""

    architecture: str
    encoder: str = "resnet34"


@dataclass(frozen=True)
class Contender:
    """A network and the recipe that it is trained with.

    `size` is that of lcmap's own network beyond the recipe's width and depth; `smp` takes its
    place. With `unlabelled` the images that are tested are trained on too, without their labels.
    `budget` takes the place of the study's, as where steps stand for equal processor time. `title`
    is its name in tables.
    """

    name: str
    recipe: Recipe
    size: NetworkSize = _OF_THE_RECIPE
    smp: Smp | None = None
    unlabelled: bool = False
    budget: Budget | None = None
    title: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """All that its result depends on, as JSON values."""
        recipe = _spelt_out(self.recipe)
        del recipe["name"]
        network = dataclasses.asdict(self.smp or self.size)
        identity = {"recipe": recipe, "network": network}
        return identity | {"unlabelled": True} if self.unlabelled else identity


@dataclass(frozen=True)
class Ground:
    """Images with labels, and which of them train and test.

    protocol: "leave-one-zone-out": each zone in turn is the test ground, whole; the others train
        and validate. "blocks": the spatial split of every zone, the test tiles beside those that
        train. "berlin": the spatial split of the Berlin set, for some of its sensors.
    folder: where the images are; relative to LCMAP_DATA, empty: the set's own.
    zones, gsd: fill the names of `image` and `labels`, in which `{zone}` and `{gsd}` stand.
    crosswalk: brings the labels into the classes.
    splits: seeds of the spatial splits, each a fold; not for "leave-one-zone-out".
    sensors: of Berlin.
    block: pixels along a side of the blocks that intervals draw.
    """

    name: str
    protocol: Protocol
    title: str = ""
    folder: str = ""
    zones: tuple[str, ...] = ("0", "1", "2", "4", "5")
    gsd: float | None = None
    image: str = "zone{zone}_{gsd}m_rgbn.tif"
    labels: str = "zone{zone}_{gsd}m_labels.tif"
    crosswalk: str = "flair19:flair7"
    splits: tuple[int, ...] = (0,)
    sensors: tuple[Sensor, ...] = ()
    block: int = 128

    @property
    def folds(self) -> tuple[str, ...]:
        """The names of its folds: zones left out, or splits."""
        if self.protocol == "leave-one-zone-out":
            return self.zones
        return tuple(f"split{seed}" for seed in self.splits)

    @property
    def identity(self) -> dict[str, Any]:
        """All that a result depends on, but which fold it is and where the files are."""
        apart = ["name", "title", "folder", "splits"]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
            if name not in apart
        }

    def file_names(self, zone: str) -> tuple[str, str]:
        """Return the names of a zone's image and labels."""
        gsd = "" if self.gsd is None else f"{self.gsd:g}"
        return tuple(name.format(zone=zone, gsd=gsd) for name in (self.image, self.labels))


@dataclass(frozen=True)
class Run:
    """One network to be trained and tested."""

    contender: Contender
    ground: Ground
    fold: str
    seed: int
    budget: Budget
    threads: int

    @property
    def name(self) -> str:
        """Contender, ground, fold and seed, which patterns are held against."""
        return f"{self.contender.name}/{self.ground.name}/{self.fold}/{self.seed}"

    @property
    def identity(self) -> dict[str, Any]:
        """All that its result depends on, apart from the code and the machine, as JSON values."""
        return {
            "format": FORMAT_VERSION,
            "contender": self.contender.identity,
            "ground": self.ground.identity,
            "fold": self.fold,
            "seed": self.seed,
            "budget": dataclasses.asdict(self.budget),
            "threads": self.threads,
        }

    @property
    def digest(self) -> str:
        """A digest of `identity`."""
        return digest(self.identity)


@dataclass(frozen=True)
class Study:
    """Contenders on grounds with seeds; differences are from `baseline`."""

    name: str
    baseline: str
    contenders: tuple[Contender, ...]
    grounds: tuple[Ground, ...]
    seeds: tuple[int, ...]
    budget: Budget
    threads: int = 1

    @property
    def runs(self) -> Iterator[Run]:
        """All runs: the first seed of all first, and what is compared side by side."""
        for seed in self.seeds:
            for ground in self.grounds:
                for fold in ground.folds:
                    for contender in self.contenders:
                        budget = contender.budget or self.budget
                        yield Run(contender, ground, fold, seed, budget, self.threads)


def _spelt_out(value: Any) -> Any:
    """Return a recipe as JSON values, without what it leaves as it is by default.

    So a result counts further where recipes get a field.
    """
    if isinstance(value, tuple):
        return list(value)
    if not dataclasses.is_dataclass(value):
        return value
    items = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {field.name: _spelt_out(item) for field, item in items if item != field.default}


def digest(value: Any) -> str:
    """Return twelve hexadecimal digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_study(path: PathLike) -> Study:
    """Read a study from a TOML file.

    Raises:
        InputMissingError, DataError: the file cannot be read, or declares no study.
    """
    try:
        document = parse_toml(read_small(path, LARGEST))
        return _study(document)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(path, str(error), "see the studies in benchmarks/studies") from error


def _study(document: Mapping[str, Any]) -> Study:
    values = dict(document)
    values["contenders"] = [
        _contender(item, f"contender {number}")
        for number, item in enumerate(_tables(values, "contenders"), 1)
    ]
    study: Study = _filled(Study, values, "the study")
    for kind, names in (
        ("contenders", [item.name for item in study.contenders]),
        ("grounds", [item.name for item in study.grounds]),
        ("seeds", list(study.seeds)),
    ):
        if not names:
            raise ValueError(f"has no {kind}")
        if len(set(names)) < len(names):
            raise ValueError(f"names one of its {kind} twice")
    for name in [item.name for item in (*study.contenders, *study.grounds)]:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: lower case, digits and -_.+ make one")
    if study.baseline not in [item.name for item in study.contenders]:
        raise ValueError(f"its baseline {study.baseline!r} is no contender")
    _checked("the study", study.budget.check)
    for contender in study.contenders:
        if contender.budget:
            _checked(f"contender {contender.name}", contender.budget.check)
    if study.threads < 1:
        raise ValueError("its threads are below 1")
    for ground in study.grounds:
        _check_ground(ground)
    return study


def _check_ground(ground: Ground) -> None:
    if ground.block < 1:
        raise ValueError(f"ground {ground.name}: block is below 1")
    if (ground.protocol == "berlin") != bool(ground.sensors):
        raise ValueError(f"ground {ground.name}: sensors go with protocol berlin, and it with them")
    if ground.protocol == "leave-one-zone-out" and len(ground.zones) < 2:
        raise ValueError(f"ground {ground.name}: leaving one zone out needs two zones or more")
    if not ground.folds or len(set(ground.folds)) < len(ground.folds):
        raise ValueError(f"ground {ground.name}: it has no fold, or one twice")
    if ground.protocol != "berlin" and ground.gsd is None and "{gsd}" in ground.image:
        raise ValueError(f"ground {ground.name}: the name of its images needs gsd")


def _contender(table: Any, where: str) -> Contender:
    """Return a contender; its recipe is a published one but for what the table says."""
    values = dict(_table(table, where))
    where = f"contender {values.get('name', where)}"
    base = values.pop("base", "default")
    if base not in RECIPES:
        raise ValueError(f"{where}: base {base!r} is none of {', '.join(RECIPES)}")
    # the budget alone ends a run, so that all have the same
    start = dataclasses.replace(RECIPES[base], patience=None)
    changes = _table(values.pop("recipe", {}), f"{where}, recipe")
    values["recipe"] = _filled(Recipe, changes, f"{where}, recipe", start)
    if "network" in values:
        values["size"] = values.pop("network")
    contender: Contender = _filled(Contender, values, where)
    if contender.smp and contender.size != _OF_THE_RECIPE:
        raise ValueError(f"{where}: network is of lcmap's own, drop it or smp")
    return contender


def _tables(values: Mapping[str, Any], name: str) -> list[Any]:
    found = values.get(name, [])
    if not isinstance(found, list):
        raise ValueError(f"{name} are to be [[{name}]] tables")
    return found


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: is no table")
    return value


def _filled(kind: type, values: Any, where: str, start: Any = None) -> Any:
    """Return a dataclass filled from a TOML table, or `start` with the table's changes."""
    values = _table(values, where)
    hints = typing.get_type_hints(kind)
    fields = [f for f in dataclasses.fields(kind) if start is None or f.name != "name"]
    names = [f.name for f in fields]
    for name in values:
        if name not in names:
            raise ValueError(f"{where}: unknown {name}; there are {', '.join(names)}")
    filled = {
        name: _value(hints[name], value, f"{where}, {name}", getattr(start, name, None))
        for name, value in values.items()
    }
    if start is not None:
        return _checked(where, dataclasses.replace, start, **filled)
    missing = [
        f.name
        for f in fields
        if f.name not in filled
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}")
    return _checked(where, kind, **filled)


def _checked(where: str, make: Callable[..., Any], *arguments: Any, **values: Any) -> Any:
    """Return what `make` does of values, and say where they are if it refuses them."""
    try:
        return make(*arguments, **values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str, start: Any = None) -> Any:
    """Return a TOML value as a field's type; `false` stands for None, which TOML lacks.

    A table changes `start`, where that is of its kind.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is False and types.NoneType in arguments and bool not in arguments:
            return None
        (other,) = [item for item in arguments if item is not types.NoneType]
        return _value(other, value, where, start)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where}: {value!r} is none of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: is no array")
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        if len(value) != len(arguments):
            raise ValueError(f"{where}: has {len(value)} values, not {len(arguments)}")
        return tuple(_value(hint, item, where) for hint, item in zip(arguments, value, strict=True))
    if isinstance(value, hint):  # tables that are read already
        if hint is int and isinstance(value, bool):
            raise ValueError(f"{where}: {value!r} is no int")
        return value
    if dataclasses.is_dataclass(hint):
        kind = typing.cast(type, hint)
        return _filled(kind, value, where, start if isinstance(start, kind) else None)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{where}: {value!r} is no {hint.__name__}")


def data_folder(ground: Ground, data: Path) -> Path:
    """Return where a ground's files are; `data` is the folder of all sets."""
    own = "berlin" if ground.protocol == "berlin" else "flair"
    return data / (ground.folder or own)
