"""Late fusion: both rules against slow references, and the maps made of files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import write_raster

from lcmap.dataset.probabilities import LEAST_PROBABILITY
from lcmap.errors import (
    InputMismatchError,
    LcmapError,
    NoCrsError,
    NomenclatureError,
    NomenclatureMismatchError,
    OutputExistsError,
    OverlapError,
    UsageError,
)
from lcmap.inference.late_fusion import (
    LateFusion,
    late_fusion,
    mean_rule,
    product_rule,
)
from lcmap.inference.options import AlignedInputOptions, MapOutputs
from lcmap.nomenclature import load_nomenclature
from lcmap.nomenclature.tag import NOMENCLATURE_JSON_TAG, nomenclature_tag, read_nomenclature
from lcmap.raster.classes import read_class_table

CLASSES = load_nomenclature("flair7")
K = len(CLASSES)
SHAPE = (70, 50)


def slow_product(
    pixel: Sequence[Sequence[float]], valid: Sequence[bool], weights: Sequence[float]
) -> list[float]:
    """One pixel in exact logarithms of the definition."""
    logs = [0.0] * len(pixel[0])
    for probabilities, here, weight in zip(pixel, valid, weights, strict=True):
        if here:
            logs = [
                log + weight * math.log(max(p, LEAST_PROBABILITY))
                for log, p in zip(logs, probabilities, strict=True)
            ]
    likelihoods = [math.exp(log - max(logs)) for log in logs]
    return [likelihood / math.fsum(likelihoods) for likelihood in likelihoods]


def slow_mean(
    pixel: Sequence[Sequence[float]], valid: Sequence[bool], weights: Sequence[float]
) -> list[float]:
    shares = [weight * here for weight, here in zip(weights, valid, strict=True)]
    if not any(shares):
        return [0.0] * len(pixel[0])
    return [
        math.fsum(share * p for share, p in zip(shares, band, strict=True)) / math.fsum(shares)
        for band in zip(*pixel, strict=True)
    ]


@st.composite
def pixels(draw: st.DrawFn) -> tuple[list[list[float]], list[bool], list[float]]:
    """Probabilities of a few files for one pixel, zeros among them; validity; weights."""
    files, classes = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    parts = st.lists(st.floats(0, 1, width=32), min_size=classes, max_size=classes)
    probabilities = []
    for _ in range(files):
        values = np.array(draw(parts.filter(lambda part: sum(part) > 0.01)), np.float32)
        probabilities.append((values / values.sum()).tolist())
    valid = draw(st.lists(st.booleans(), min_size=files, max_size=files))
    weights = draw(st.lists(st.floats(0.01, 9), min_size=files, max_size=files))
    return probabilities, valid, weights


Pixel = tuple[list[list[float]], list[bool], list[float]]


def arrays(pixel: Pixel) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]], list[float]]:
    probabilities, valid, weights = pixel
    values = [np.array(p, np.float32)[:, None, None] for p in probabilities]
    return values, [np.array([[here]]) for here in valid], weights


@settings(deadline=None)
@given(pixels())
def test_product_is_the_slow_one(pixel: Pixel) -> None:
    found = product_rule(*arrays(pixel))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0, 0], slow_product(*pixel), rtol=1e-5, atol=1e-30)
    assert found.sum() == pytest.approx(1, abs=1e-6)


@settings(deadline=None)
@given(pixels())
def test_mean_is_the_slow_one(pixel: Pixel) -> None:
    found = mean_rule(*arrays(pixel))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0, 0], slow_mean(*pixel), rtol=1e-5, atol=1e-30)


def test_bayes_by_hand() -> None:
    """Two files of 0.8 to 0.2 each: 0.64 to 0.04."""
    one = np.array([0.8, 0.2], np.float32)[:, None, None]
    here = np.ones((1, 1), bool)
    found = product_rule([one, one], [here, here], [1, 1])[:, 0, 0]
    np.testing.assert_allclose(found, [16 / 17, 1 / 17], rtol=1e-6)
    np.testing.assert_allclose(mean_rule([one, one], [here, here], [1, 1])[:, 0, 0], [0.8, 0.2])


def test_zero_is_no_veto() -> None:
    sure = np.array([0.0, 1.0], np.float32)[:, None, None]
    surer = np.array([1.0 - 1e-7, 1e-7], np.float32)[:, None, None]
    here = np.ones((1, 1), bool)
    found = product_rule([sure, surer, surer], [here] * 3, [1, 1, 1])[:, 0, 0]
    assert found[0] > found[1] > 0


def test_one_weight_of_two_is_the_file_twice() -> None:
    a, b = softmax(1), softmax(2)
    here = np.ones(SHAPE, bool)
    for rule in (product_rule, mean_rule):
        np.testing.assert_allclose(
            rule([a, b], [here] * 2, [2, 1]), rule([a, a, b], [here] * 3, [1, 1, 1]), rtol=1e-6
        )


def softmax(seed: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    logits = np.random.default_rng(seed).normal(0, 2, (K, *shape))
    likelihood = np.exp(logits)
    result: NDArray[np.float32] = (likelihood / likelihood.sum(axis=0)).astype(np.float32)
    return result


def write_probabilities(
    path: Path, image: NDArray[Any], nomenclature: str | None = "flair7", **options: Any
) -> Path:
    write_raster(path, image, **({"nodata": np.nan} | options))
    if nomenclature is not None:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(**nomenclature_tag(load_nomenclature(nomenclature)))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files, each without data at its own border."""
    one, two = softmax(1), softmax(2)
    one[:, :5] = np.nan
    two[:, :, :7] = np.nan
    return [
        write_probabilities(tmp_path / "a.tif", one),
        write_probabilities(tmp_path / "b.tif", two),
    ]


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


RULES = {"product": product_rule, "mean": mean_rule}


@pytest.mark.parametrize("method", ["product", "mean"])
@pytest.mark.parametrize("allow_missing", [False, True])
def test_map_is_the_most_probable_class(
    files: list[Path], tmp_path: Path, method: Any, allow_missing: bool
) -> None:
    out, confidence, fused = (tmp_path / name for name in ("m.tif", "c.tif", "p.tif"))
    report = late_fusion(
        files,
        MapOutputs(out, confidence, fused, margin=tmp_path / "margin.tif", qml=True),
        LateFusion(method, [2, 1]),
        AlignedInputOptions(allow_missing=allow_missing),
    )
    images = [read(path) for path in files]
    valid = [np.isfinite(image).all(axis=0) for image in images]
    known = valid[0] | valid[1] if allow_missing else valid[0] & valid[1]
    expected = RULES[method](images, valid, [2, 1])
    assert (report.pixels, report.mapped) == (known.size, known.sum())
    with rasterio.open(out) as dataset:
        codes = dataset.read(1)
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), 0)
        assert read_class_table(dataset) == CLASSES.class_table()
        assert dataset.tags()["LCMAP_LATE_FUSION"] == method
    assert np.array_equal(codes, np.where(known, CLASSES.index_to_code[expected.argmax(0)], 0))
    assert np.array_equal(read(fused)[:, known], expected[:, known])
    assert np.isnan(read(fused)[:, ~known]).all()
    percent = np.rint(100 * expected.max(axis=0))
    assert np.array_equal(read(confidence)[0], np.where(known, percent, 0))
    second, first = np.sort(expected, axis=0)[-2:]
    apart = np.where(known, np.rint(100 * (first - second)), 255)
    assert np.array_equal(read(tmp_path / "margin.tif")[0], apart)
    with rasterio.open(fused) as dataset:
        assert read_nomenclature(dataset, fused) == CLASSES
        assert dataset.descriptions == tuple(item.name for item in CLASSES.classes)
    assert (tmp_path / "m.qml").exists()


def test_fused_probabilities_can_be_fused_again(files: list[Path], tmp_path: Path) -> None:
    late_fusion(files, MapOutputs(tmp_path / "1.tif", probabilities=tmp_path / "ab.tif"))
    late_fusion([tmp_path / "ab.tif", files[0]], MapOutputs(tmp_path / "2.tif"))
    late_fusion(files, MapOutputs(tmp_path / "3.tif"), LateFusion(weights=[2, 1]))
    assert (read(tmp_path / "2.tif") == read(tmp_path / "3.tif")).mean() > 0.999


def test_image_larger_than_a_block(tmp_path: Path) -> None:
    shape = (530, 1040)
    images = [softmax(seed, shape) for seed in (3, 4)]
    paths = [write_probabilities(tmp_path / f"{i}.tif", image) for i, image in enumerate(images)]
    fused = tmp_path / "p.tif"
    steps: list[tuple[int, int, str]] = []
    late_fusion(
        paths, MapOutputs(tmp_path / "m.tif", probabilities=fused),
        progress=lambda done, total, note="", **_: steps.append((done, total, note)),
    )  # fmt: skip
    here = np.ones(shape, bool)
    assert np.array_equal(read(fused), product_rule(images, [here, here], [1, 1]))
    assert steps[:6] == [(done, 6, "computing") for done in range(1, 7)]


def test_coarser_file_is_brought_onto_the_grid_of_the_first(tmp_path: Path) -> None:
    """Probabilities that are linear over the ground stay so between pixel centres."""
    rows, cols = np.mgrid[0:20, 0:20] + 0.5

    def plane(size: float, away: float = 0.0) -> NDArray[np.float32]:
        first = 0.02 + 0.005 * (rows * size) + 0.002 * (cols * size + away)
        rest = np.repeat(((1 - first) / (K - 1))[None], K - 1, axis=0)
        return np.concatenate([first[None], rest]).astype(np.float32)

    fine = write_probabilities(tmp_path / "fine.tif", plane(1.0), pixel=1.0)
    coarse = write_probabilities(
        tmp_path / "coarse.tif", plane(5.0, -30.0), pixel=5.0, corner=(721_104.0 - 30, 6_249_288.0)
    )
    fused = tmp_path / "p.tif"
    late_fusion(
        [fine, coarse],
        MapOutputs(tmp_path / "m.tif", probabilities=fused),
        LateFusion("mean"),
    )
    found = read(fused)
    assert found.shape == (K, 20, 20)
    np.testing.assert_allclose(found[:, 3:], plane(1.0)[:, 3:], atol=1e-6)


def test_cog(files: list[Path], tmp_path: Path) -> None:
    late_fusion(files, MapOutputs(tmp_path / "m.tif", probabilities=tmp_path / "p.tif", cog=True))
    for name in ("m.tif", "p.tif"):
        with rasterio.open(tmp_path / name) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert read_nomenclature(dataset, "p.tif") == CLASSES


def test_nothing_in_common_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = softmax(1), softmax(2)
    one[:, :40], two[:, 40:] = np.nan, np.nan
    paths = [write_probabilities(tmp_path / f"{n}.tif", i) for n, i in (("a", one), ("b", two))]
    report = late_fusion(paths, MapOutputs(tmp_path / "m.tif"))
    assert report.mapped == 0
    assert "no pixel has data in all files, so the map is all 0" in caplog.text


def refused(
    error: type[LcmapError], says: str, paths: Sequence[Path], folder: Path, **options: Any
) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(error, match=says):
        late_fusion(paths, MapOutputs(folder / "m.tif"), LateFusion(**options))
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1.0], r"`weights`: are 1 for 2 files"),
        ([1.0, 0.0], r"`weights`: 0 is not above 0"),
        ([1.0, -2.0], "-2 is not above 0"),
        ([math.nan, 1.0], "nan is not above 0"),
        ([math.inf, 1.0], "inf is not above 0"),
    ],
)
def test_weights_that_make_no_sense(
    files: list[Path], tmp_path: Path, weights: list[float], says: str
) -> None:
    refused(UsageError, says, files, tmp_path, weights=weights)


def test_one_file_is_no_fusion(files: list[Path], tmp_path: Path) -> None:
    refused(UsageError, "takes two files or more, not 1", files[:1], tmp_path)


def test_standard_input_twice(tmp_path: Path) -> None:
    refused(UsageError, "standard input: can be one input only", [Path("-"), Path("-")], tmp_path)


def test_output_that_is_an_input_or_exists(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.tif: is one of the inputs"):
        late_fusion(files, MapOutputs(files[0], overwrite=True))
    with pytest.raises(UsageError, match=r"c\.tif: is named for two outputs"):
        late_fusion(files, MapOutputs(tmp_path / "c.tif", confidence=tmp_path / "c.tif"))
    (tmp_path / "m.tif").write_text("precious")
    refused(OutputExistsError, r"m\.tif: exists already", files, tmp_path)
    assert (tmp_path / "m.tif").read_text() == "precious"


def test_file_without_a_nomenclature(files: list[Path], tmp_path: Path) -> None:
    bare = write_probabilities(tmp_path / "bare.tif", softmax(3), nomenclature=None)
    says = r"bare\.tif: does not say of which classes it is; give files that lcmap predict"
    refused(InputMismatchError, says, [files[0], bare], tmp_path)
    with rasterio.open(bare, "r+") as dataset:
        dataset.update_tags(**{NOMENCLATURE_JSON_TAG: "{"})
    refused(NomenclatureError, r"bare\.tif: its tag", [files[0], bare], tmp_path)


def test_files_of_different_classes(files: list[Path], tmp_path: Path) -> None:
    names = (tmp_path / "topo6.tif", softmax(3)[:6], "topo6")
    other = write_probabilities(*names)
    says = r"topo6\.tif: is in topo6, .*a\.tif in flair7; predict with models of one"
    refused(NomenclatureMismatchError, says, [files[0], other], tmp_path)
    values = CLASSES.to_dict()
    values["classes"].reverse()
    turned = write_probabilities(tmp_path / "turned.tif", softmax(3), nomenclature=None)
    with rasterio.open(turned, "r+") as dataset:
        dataset.update_tags(**nomenclature_tag(type(CLASSES).from_dict(values)))
    says = r"turned\.tif: has other classes of flair7 than .*a\.tif"
    refused(NomenclatureMismatchError, says, [files[0], turned], tmp_path)


def test_wrong_bands_dtype_and_values(files: list[Path], tmp_path: Path) -> None:
    few = write_probabilities(tmp_path / "few.tif", softmax(3)[:5])
    says = r"few\.tif: has 5 bands for 7 classes of flair7"
    refused(InputMismatchError, says, [files[0], few], tmp_path)
    double = write_probabilities(tmp_path / "double.tif", softmax(3).astype("float64"))
    refused(InputMismatchError, "has float64 values, not float32", [double, files[0]], tmp_path)
    percent = write_probabilities(tmp_path / "percent.tif", 100 * softmax(3))
    says = r"percent\.tif: has values from .* to .*, probabilities are between 0 and 1"
    refused(InputMismatchError, says, [files[0], percent], tmp_path)


def test_files_of_other_ground(files: list[Path], tmp_path: Path) -> None:
    far = write_probabilities(tmp_path / "far.tif", softmax(3), corner=(1e5, 6e6))
    refused(OverlapError, r"far\.tif: covers no ground of .*a\.tif", [files[0], far], tmp_path)
    nowhere = write_probabilities(tmp_path / "nowhere.tif", softmax(3), epsg=None)
    refused(NoCrsError, r"nowhere\.tif: has no coordinate", [files[0], nowhere], tmp_path)
    corner = (721_104.0 + 40 * 0.8, 6_249_288.0)
    beside = write_probabilities(tmp_path / "beside.tif", softmax(3), corner=corner)
    says = r"beside\.tif: covers 20 % of .*a\.tif"
    refused(OverlapError, says, [files[0], beside], tmp_path)
    outputs = MapOutputs(tmp_path / "m.tif")
    report = late_fusion(
        [files[0], beside], outputs, options=AlignedInputOptions(allow_missing=True)
    )
    assert report.mapped == 65 * 50 + 5 * 10
