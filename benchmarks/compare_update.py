"""False changes and true ones of lcmap update, by margin, on two dates made from real imagery.

    python benchmarks/compare_update.py model.onnx --data ../shared/data/flair --work /tmp/update

The first date is three FLAIR zones at 0.8 m. In the second, objects from elsewhere (buildings,
fields, woods, water: components of the labels, at most 80 px across) stand in known places on
ground of other classes. Then all of it is altered: displaced by up to 1 px, smoothly varying; a
gain, a gamma and an offset for each band and light that varies over the image; a little blur;
noise. --strength is a common factor of all that.

Both dates are mapped with the model. A pixel has truly changed where an object was put on another
class. Everywhere else each change is false. The ground that the model of examples/ was trained on
is not counted. What a run has made stays in --work and is not made again; update.svg there is the
plot, zoneN.png shows the maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
import rasterio
from compare_oso import made
from scipy import ndimage

from lcmap import defaults
from lcmap.nomenclature import load_crosswalk, load_nomenclature
from lcmap.products.update import update
from lcmap.products.update_options import UpdateOutputs, UpdateRule

SEEN = {0: np.s_[460:1100, :], 1: np.s_[:, 700:1340], 2: np.s_[520:1160, :]}
"""The ground in examples/data."""

KINDS = {1: "building", 3: "bare soil", 4: "water", 5: "wood", 6: "vineyard", 7: "field, grass"}
LARGEST = 80
SMALLEST = 120
PLACES = 400
MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
DIFFERENCES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Zone:
    """Two dates of a zone: flair7 labels of the first, where objects were put, by number."""

    number: int
    labels: np.ndarray
    labels_after: np.ndarray
    objects: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """Where both dates have a label, on ground that the model has not seen."""
        mask = (self.labels != 0) & (self.labels_after != 0)
        mask[SEEN[self.number]] = False
        return mask

    @property
    def changed(self) -> np.ndarray:
        """Where the class is truly another."""
        return self.scored & (self.labels != self.labels_after)


Curve = tuple[tuple[float, ...], list["Tally"]]
"""Steps of a rule, and what each gives."""


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def cut_objects(
    images: dict[int, np.ndarray], labels: dict[int, np.ndarray], rng: np.random.Generator
) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Return for each class pixels [bands, h, w] and masks [h, w] of objects of it."""
    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {code: [] for code in KINDS}
    for number, codes in labels.items():
        for code in KINDS:
            parts, _ = ndimage.label(codes == code)
            for part, where in enumerate(ndimage.find_objects(parts), start=1):
                rows, cols = (
                    slice(s.start, min(s.stop, s.start + LARGEST)) if s.stop - s.start <= LARGEST
                    else slice(at := int(rng.integers(s.start, s.stop - LARGEST)), at + LARGEST)
                    for s in where
                )  # fmt: skip
                mask = parts[rows, cols] == part
                if mask.sum() >= SMALLEST:
                    found[code].append((images[number][:, rows, cols], mask))
    return found


def put_objects(
    image: np.ndarray,
    labels: np.ndarray,
    number: int,
    objects: dict[int, list[tuple[np.ndarray, np.ndarray]]],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put objects on ground of other classes, apart from each other."""
    image, after, numbers = image.copy(), labels.copy(), np.zeros(labels.shape, int)
    free = np.ones(labels.shape, bool)
    free[SEEN[number]] = False
    count = 0
    for _ in range(PLACES):
        code = int(rng.choice([code for code in KINDS if objects[code]]))
        pixels, mask = objects[code][rng.integers(len(objects[code]))]
        height, width = mask.shape
        row = int(rng.integers(0, labels.shape[0] - height))
        col = int(rng.integers(0, labels.shape[1] - width))
        here = np.s_[row : row + height, col : col + width]
        under = labels[here][mask]
        if not free[here].all() or ((under == code) | (under == 0)).mean() > 0.2:
            continue
        count += 1
        image[:, here[0], here[1]][:, mask] = pixels[:, mask]
        after[here][mask] = code
        numbers[here][mask] = count
        around = np.s_[max(row - 24, 0) : row + height + 24, max(col - 24, 0) : col + width + 24]
        free[around] = False
    return image, after, numbers


def smooth(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a field that varies from -1 to 1 over some 200 px."""
    coarse = rng.normal(size=(shape[0] // 200 + 4, shape[1] // 200 + 4))
    field = ndimage.zoom(coarse, 200, order=3)[: shape[0], : shape[1]]
    return 2 * (field - field.min()) / (field.max() - field.min()) - 1


def altered(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image as another flight would show it."""
    few, some = 0.15 * strength, 0.2 * strength
    _, height, width = image.shape
    rows, cols = np.mgrid[:height, :width].astype(float)
    rows += strength * (0.5 + 0.5 * smooth((height, width), rng))
    cols -= strength * (0.5 + 0.5 * smooth((height, width), rng))
    light = 1 + 0.1 * strength * smooth((height, width), rng)
    result = np.empty_like(image)
    for band, pixels in enumerate(image.astype(float)):
        moved = ndimage.map_coordinates(pixels, (rows, cols), order=3, mode="mirror")
        moved = ndimage.gaussian_filter(np.clip(moved, 0, 255), 0.4 * strength)
        seen = 255 * (moved / 255) ** rng.uniform(1 - few, 1 + few)
        seen *= rng.uniform(1 - some, 1 + some) * light
        seen += strength * (rng.uniform(-8, 8) + rng.normal(0, 4, seen.shape))
        result[band] = np.clip(np.rint(seen), 0, 255)
    return result


def make_zones(data: Path, work: Path, strength: float) -> list[Zone]:
    """Write both dates of each zone; return what is known of them."""
    crosswalk = load_crosswalk("flair19:flair7")
    images = {n: read(data / f"zone{n}_0.8m_rgbn.tif") for n in SEEN}
    labels = {n: crosswalk.apply(read(data / f"zone{n}_0.8m_labels.tif")[0]) for n in SEEN}
    rng = np.random.default_rng(0)
    objects = cut_objects(images, labels, rng)
    zones = []
    for number, image in images.items():
        new, after, numbers = put_objects(image, labels[number], number, objects, rng)
        new = altered(new, strength, rng)
        zones.append(Zone(number, labels[number], after, numbers))
        with rasterio.open(data / f"zone{number}_0.8m_rgbn.tif") as source:
            profile, names = source.profile, source.descriptions
        for date, pixels in ((1, image), (2, new)):
            with rasterio.open(work / f"zone{number}.{date}.tif", "w", **profile) as dataset:
                dataset.write(pixels)
                dataset.descriptions = names
    return zones


@dataclass
class Tally:
    """Pixels of the scored ground, and objects, over all zones."""

    unchanged: int = 0
    false: int = 0
    true: int = 0
    found: int = 0
    right: int = 0
    objects: int = 0
    objects_found: int = 0

    def add(self, zone: Zone, last: np.ndarray, now: np.ndarray) -> None:
        """Count a zone by the maps of both years."""
        mapped = (last != now) & zone.scored
        self.unchanged += int((zone.scored & ~zone.changed).sum())
        self.false += int((mapped & ~zone.changed).sum())
        self.true += int(zone.changed.sum())
        self.found += int((mapped & zone.changed).sum())
        right = mapped & zone.changed & (now == zone.labels_after)
        self.right += int(right.sum())
        of_objects = np.bincount(zone.objects[zone.changed], minlength=zone.objects.max() + 1)[1:]
        found = np.bincount(zone.objects[right], minlength=zone.objects.max() + 1)[1:]
        self.objects += int((of_objects > 0).sum())
        self.objects_found += int((2 * found >= of_objects)[of_objects > 0].sum())


def updated(
    work: Path, zones: list[Zone], rule: UpdateRule
) -> Iterator[tuple[Zone, np.ndarray, np.ndarray]]:
    for zone in zones:
        stem = f"zone{zone.number}"
        name = f"{stem}.m{rule.margin:g}" + (f".c{rule.min_change:g}" if rule.min_change else "")
        update(
            work / f"{stem}.1.map.tif", work / f"{stem}.2.map.tif", work / f"{stem}.2.p.tif",
            UpdateOutputs(work / f"{name}.tif", work / f"{name}.changes.tif", overwrite=True),
            rule,
        )  # fmt: skip
        yield zone, read(work / f"{stem}.1.map.tif")[0], read(work / f"{name}.tif")[0]


def by_difference(work: Path, zones: list[Zone]) -> list[Tally]:
    """Return what another rule gives: p(new class) - p(last class) above a threshold."""
    tallies = []
    maps = [
        read(work / f"zone{zone.number}.{date}.map.tif")[0] for zone in zones for date in (1, 2)
    ]
    gains = []
    for zone, last, new in zip(zones, maps[::2], maps[1::2], strict=True):
        p = read(work / f"zone{zone.number}.2.p.tif")
        own = (np.take_along_axis(p, codes[None] - np.uint8(1), 0)[0] for codes in (new, last))
        gains.append(np.subtract(*own))
    for threshold in DIFFERENCES:
        tallies.append(Tally())
        for zone, last, new, gain in zip(zones, maps[::2], maps[1::2], gains, strict=True):
            tallies[-1].add(zone, last, np.where(gain > threshold, new, last))
    return tallies


def draw(work: Path, zone: Zone, margin: float, min_change: float) -> None:
    """Draw both dates, both maps, the plain difference, the change map and what is true."""
    stem = work / f"zone{zone.number}"
    palette = {0: "#000000", **{i.code: i.color for i in load_nomenclature("flair7").classes}}
    colors = np.array([matplotlib.colors.to_rgb(palette[code]) for code in sorted(palette)])
    last, new = (read(stem.with_suffix(f".{date}.map.tif"))[0] for date in (1, 2))
    with rasterio.open(stem.with_suffix(f".m{margin:g}.c{min_change:g}.changes.tif")) as dataset:
        table = dataset.colormap(1)
        changes = np.array([table[code][:3] for code in range(256)])[dataset.read(1)] / 255
    mixed = np.array([table[1][:3]]) / 255
    pictures = {
        "first date": np.moveaxis(read(stem.with_suffix(".1.tif"))[:3], 0, -1),
        "second date": np.moveaxis(read(stem.with_suffix(".2.tif"))[:3], 0, -1),
        "its map": colors[new],
        "plain difference": np.where((last != new)[..., None], colors[new], mixed),
        f"changes, margin {margin:g}, {min_change:g} ha": changes,
        "true changes": np.where(
            (zone.labels != zone.labels_after)[..., None], colors[zone.labels_after], mixed
        ),
    }
    figure, axes = plt.subplots(1, len(pictures), figsize=(16, 8.5), layout="constrained")
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        if picture.shape[1] > picture.shape[0]:
            picture = np.rot90(picture)
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    figure.savefig(stem.with_suffix(".png"), dpi=110)
    plt.close(figure)


def plot(curves: dict[str, Curve], plain: Tally, path: Path) -> None:
    plt.rcParams["svg.hashsalt"] = "lcmap"
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    offsets = (5, -8), (-14, 4), (5, -8)
    for (name, (steps, tallies)), offset in zip(curves.items(), offsets, strict=True):
        false = [100 * tally.false / tally.unchanged for tally in tallies]
        kept = [100 * tally.right / plain.right for tally in tallies]
        (line,) = axes.plot(false, kept, "o-", markersize=4, label=name)
        for step, x, y in zip(steps, false, kept, strict=True):
            axes.annotate(
                f"{step:g}", (x, y), offset,
                textcoords="offset points", fontsize=7, color=line.get_color(),
            )  # fmt: skip
    axes.set(
        xlabel="false changes, % of unchanged ground",
        ylabel="true changes kept, % of those of plain differencing",
    )
    axes.set_xlim(left=0)
    axes.set_ylim(0, 105)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--min-change", type=float, default=0.01)
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    zones = make_zones(arguments.data, work, arguments.strength)
    for zone in zones:
        for date in (1, 2):
            stem = work / f"zone{zone.number}.{date}"
            made(
                stem.with_suffix(f".{date}.map.tif"), "predict", stem.with_suffix(f".{date}.tif"),
                "-m", arguments.model, "--probabilities", stem.with_suffix(f".{date}.p.tif"),
            )  # fmt: skip
    curves: dict[str, Curve] = {}
    plain = None
    for smallest in (None, arguments.min_change):
        title = "every change" if smallest is None else f"changes of at least {smallest:g} ha"
        curves[title] = MARGINS, []
        print(f"{title}\nmargin  false %  of differencing  true kept %  objects  precision %")
        for margin in MARGINS:
            tally = Tally()
            for zone, last, now in updated(work, zones, UpdateRule(margin, smallest)):
                tally.add(zone, last, now)
            curves[title][1].append(tally)
            plain = plain or tally
            print(
                f"{margin:6.1f}  {100 * tally.false / tally.unchanged:7.2f}"
                f"  {tally.false / plain.false:15.3f}  {100 * tally.right / plain.right:11.1f}"
                f"  {tally.objects_found:3d}/{tally.objects}"
                f"  {100 * tally.found / (tally.found + tally.false):11.1f}"
            )
    print(f"true changes: {plain.true} px, of which plain differencing maps {plain.found} as "
          f"changed, {plain.right} to the right class")  # fmt: skip
    curves["every change, by difference"] = DIFFERENCES, by_difference(work, zones)
    plot(curves, plain, work / "update.svg")
    for zone in zones:
        draw(work, zone, defaults.MARGIN, arguments.min_change)


if __name__ == "__main__":
    main()
