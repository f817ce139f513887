"""Simulated seasons: what they say of the ground, and that lcmap reads them as dates."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from seasons import (
    PIXEL,
    Season,
    clear_reflectance,
    days_of,
    ground_of,
    parcels_of,
    shares,
    write_season,
)
from trials.phenology import (
    BANDS,
    COVERS,
    OF_FLAIR,
    SPECTRA,
    Parcels,
    green_share,
    reflectance_of_parcels,
)

from lcmap.nomenclature import load_nomenclature

DAYS = [date(2018, 4, 20), date(2018, 6, 21), date(2018, 7, 30)]


def write_labels(path: Path, codes: np.ndarray) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=codes.shape[0],
        width=codes.shape[1], crs="EPSG:2154", transform=Affine(2, 0, 700_000, 0, -2, 6_300_000),
    ) as dataset:  # fmt: skip
        dataset.write(codes, 1)
    return path


def fields() -> np.ndarray:
    """Labels of 2 m: agricultural land, herbaceous vegetation, a wood, and what has no class."""
    codes = np.full((150, 203), 11, np.uint8)
    codes[:, 70:120] = 10
    codes[:, 120:160] = 7
    codes[100:, 160:] = 19
    return codes


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    folder = tmp_path_factory.mktemp("season")
    labels = write_labels(folder / "zone9_labels_given.tif", fields())
    return write_season(labels, folder / "out", days=DAYS, seed=3)


def test_each_date_is_a_sentinel2_image_of_its_day_and_says_that_it_is_simulated(
    season: Season,
) -> None:
    for path, day in zip(season.dates, DAYS, strict=True):
        with rasterio.open(path) as dataset:
            assert dataset.descriptions == BANDS
            assert dataset.tags()["ACQUISITION_DATE"] == day.isoformat()
            assert "simulated" in dataset.tags()["SIMULATED"]
            assert (dataset.dtypes[0], dataset.nodata, dataset.res) == ("uint16", 0, (10, 10))
            assert (dataset.height, dataset.width) == (30, 41)
            values = dataset.read()
        valid = (values > 0).all(axis=0)
        assert valid.any()
        assert ((values == 0).all(axis=0) | valid).all()
        assert np.median(values[:, valid]) < 5000
        # the corner without a class has no reflectance
        assert not valid[21:, 33:].any()


def test_labels_are_of_the_classes_that_flairs_are_split_into(season: Season) -> None:
    with rasterio.open(season.labels) as dataset:
        codes = dataset.read(1)
        assert "simulated" in dataset.tags()["SIMULATED"]
    given_codes = fields()
    for flair, allowed in ((7, {7}), (10, set(OF_FLAIR[10])), (11, set(OF_FLAIR[11])), (19, {0})):
        assert set(np.unique(codes[given_codes == flair])) <= allowed
    nomenclature = load_nomenclature(season.nomenclature)
    assert nomenclature.codes == tuple(COVERS)


def test_prepare_makes_a_composite_of_the_dates(season: Season, lcmap: Any, tmp_path: Path) -> None:
    output = tmp_path / "s2.tif"
    lcmap("prepare", *season.dates, "--period", "2018", "-o", output)
    with rasterio.open(output) as dataset:
        assert dataset.descriptions == BANDS
        composite, valid = dataset.read(), dataset.dataset_mask() > 0
    dates = [rasterio.open(path).read().astype(float) for path in season.dates]
    stack = np.stack([np.where(values > 0, values, np.nan) for values in dates])
    clear = np.isfinite(stack).all(axis=(0, 1))
    assert (valid == np.isfinite(stack).all(axis=1).any(axis=0)).all()
    np.testing.assert_allclose(composite[:, clear], np.median(stack, axis=0)[:, clear], atol=0.5)


def test_a_seed_gives_the_same_files_and_another_seed_others(
    season: Season, tmp_path: Path
) -> None:
    labels = write_labels(tmp_path / "zone9_again.tif", fields())
    same = write_season(labels, tmp_path / "same", days=DAYS, seed=3)
    other = write_season(labels, tmp_path / "other", days=DAYS, seed=4)

    def pixels(of: Season) -> list[np.ndarray]:
        return [rasterio.open(path).read() for path in (*of.dates, of.labels)]

    for first, again in zip(pixels(season), pixels(same), strict=True):
        np.testing.assert_array_equal(again, first)
    assert any((a != b).any() for a, b in zip(pixels(season), pixels(other), strict=True))


@given(st.integers(1, 40), st.integers(0, 99))
def test_dates_are_spread_over_the_year(dates: int, seed: int) -> None:
    days = [day.timetuple().tm_yday - 1 for day in days_of(dates, seed)]
    assert [int(day // (365 / dates)) for day in days] == pytest.approx(range(dates), abs=1)
    assert days == sorted(days)


@given(st.integers(1, 60), st.sampled_from([0.8, 1.6, 2.0, 5.0]))
def test_pixels_share_out_their_area(length: int, pixel: float) -> None:
    found = shares(length, pixel)
    np.testing.assert_allclose(found.sum(axis=0), 1)
    np.testing.assert_allclose(found[:-1].sum(axis=1), PIXEL / pixel)
    middles = ((np.arange(length) + 0.5) * pixel // PIXEL).astype(int)
    assert (found[middles, np.arange(length)] >= 0.5 - 1e-9).all()


@given(st.sampled_from(sorted(COVERS)), st.floats(1, 366), st.floats(-20, 20))
def test_green_shares_are_shares_and_go_round_with_the_year(
    code: int, day: float, shift: float
) -> None:
    cover = COVERS[code]
    (share,) = green_share(cover, day, np.array([shift]))
    assert 0 <= share <= cover.peak + 1e-9
    (begun,), (ended,) = (
        green_share(cover._replace(mown=()), at, np.array([shift])) for at in (0.0, 365.25)
    )
    assert begun == pytest.approx(ended, abs=1e-3)


def ndvi(code: int, day: float) -> float:
    one = Parcels(np.array([code], np.uint8), np.zeros(1), np.ones(1), np.zeros(1))
    (values,) = reflectance_of_parcels(one, day)
    red, nir = values[BANDS.index("B4")], values[BANDS.index("B8")]
    return float((nir - red) / (nir + red))


def test_crops_are_told_apart_by_the_season_and_not_by_one_date() -> None:
    winter, summer, meadow = 12, 13, 10
    april, july = 110, 205
    assert ndvi(winter, april) == pytest.approx(ndvi(meadow, april), abs=0.05)
    assert ndvi(summer, july) == pytest.approx(ndvi(meadow, july), abs=0.1)
    assert ndvi(winter, april) - ndvi(winter, july) > 0.3
    assert ndvi(summer, july) - ndvi(summer, april) > 0.3


def test_a_pixel_of_10_m_mixes_what_it_covers_by_area() -> None:
    flair = np.full((10, 20), 5, np.uint8)  # water, of one parcel's parameters everywhere
    flair[:, 5:] = 3
    ground = ground_of(flair, 2.0, np.random.default_rng(0))
    parcels = ground.parcels
    plain = parcels._replace(
        shift=parcels.shift * 0, vigour=np.ones(len(parcels.codes)), wet=parcels.wet * 0
    )
    ground = ground._replace(parcels=plain, vigour=np.ones_like(ground.vigour))
    found = clear_reflectance(ground, 15)
    assert found.shape == (len(BANDS), 2, 4)
    low = {code: COVERS[code].low for code in (3, 5)}
    blue = {
        code: low[code] * SPECTRA["grass"][0] + (1 - low[code]) * SPECTRA[name][0]
        for code, name in ((3, "asphalt"), (5, "water"))
    }
    np.testing.assert_allclose(found[0, :, 0], blue[5], atol=2e-4)
    np.testing.assert_allclose(found[0, :, 1:], blue[3], atol=2e-3)
    # a band of 20 m has one value for four pixels
    for band in (BANDS.index("B5"), BANDS.index("B12")):
        assert np.ptp(found[band, :, :2]) == pytest.approx(0, abs=1e-12)
        assert found[band, 0, 0] != pytest.approx(found[band, 0, 2], abs=1e-3)


def test_a_parcel_is_of_one_class_and_in_one_piece() -> None:
    from scipy import ndimage

    flair = fields()
    found = parcels_of(flair, 2.0, np.random.default_rng(1))
    for number in np.unique(found):
        assert len(np.unique(flair[found == number])) == 1
        assert ndimage.label(found == number)[1] == 1
