"""An image that a model was not made for is refused in one line that says what differs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from lcmap.errors import GsdMismatchError, InputMismatchError
from lcmap.model_file import ModelInput, ModelMetadata, check_image

MakeImage = Callable[..., Any]


@pytest.fixture
def model_input(metadata: ModelMetadata) -> ModelInput:
    return metadata.inputs[0]


@pytest.fixture
def image(tmp_path: Path) -> MakeImage:
    @contextmanager
    def make(
        names: tuple[str, ...] = ("red", "green", "blue", "nir"),
        dtype: str = "uint8",
        gsd: float = 0.8,
        crs: str | None = "EPSG:2154",
    ) -> Iterator[Any]:
        path = tmp_path / "image.tif"
        profile = {
            "driver": "GTiff",
            "count": len(names),
            "dtype": dtype,
            "crs": crs,
            "height": 5,
            "width": 6,
            "transform": Affine(gsd, 0, 700_000, 0, -gsd, 6_600_000),
        }
        with rasterio.open(path, "w", **profile) as target:
            target.write(np.zeros((len(names), 5, 6), dtype))
            for band, name in enumerate(names, 1):
                if name:
                    target.set_band_description(band, name)
        with rasterio.open(path) as dataset:
            yield dataset

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"names": ("Red", "GREEN", "blue ", "NIR")},
        {"names": ("", "", "", "")},
        {"gsd": 0.86},
        {"gsd": 0.73},
    ],
)
def test_a_fitting_image_passes(
    model_input: ModelInput,
    image: MakeImage,
    changes: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with image(**changes) as dataset:
        check_image(model_input, dataset)
    assert not caplog.messages


def test_a_model_without_band_names_takes_any(model_input: ModelInput, image: MakeImage) -> None:
    nameless = dataclasses.replace(model_input, bands=tuple(f"band {i}" for i in range(1, 5)))
    with image() as dataset:
        check_image(nameless, dataset)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("red", "green", "blue"), r"image\.tif: has 3 band\(s\), the model takes 4 \(red, "),
        (("blue", "green", "red", "nir"), r"its bands are blue, .* takes red, .*; put them in"),
        (("B2", "B3", "B4", "B8"), r"its bands are B2, .*; give the bands that"),
    ],
)
def test_other_bands(
    model_input: ModelInput, image: MakeImage, names: tuple[str, ...], message: str
) -> None:
    with image(names) as dataset, pytest.raises(InputMismatchError, match=message):
        check_image(model_input, dataset, force=True)


def test_another_data_type(model_input: ModelInput, image: MakeImage) -> None:
    with (
        image(dtype="uint16") as dataset,
        pytest.raises(InputMismatchError, match=r"is uint16, the model was trained on uint8"),
    ):
        check_image(model_input, dataset, force=True)


@pytest.mark.parametrize("gsd", [0.5, 0.71, 0.89, 10.0])
def test_another_gsd_needs_force(
    model_input: ModelInput, image: MakeImage, gsd: float, caplog: pytest.LogCaptureFixture
) -> None:
    with image(gsd=gsd) as dataset:
        with pytest.raises(GsdMismatchError, match=r"trained on 0\.8 m; `force` to predict"):
            check_image(model_input, dataset)
        check_image(model_input, dataset, subject="standard input", force=True)
    assert caplog.messages[0].startswith("standard input: has ")


@pytest.mark.parametrize("gsd", [0.73, 0.8, 1.2, 1.6, 1.75])
def test_every_gsd_between_those_of_training_passes(
    model_input: ModelInput, image: MakeImage, gsd: float
) -> None:
    several = dataclasses.replace(model_input, gsd=1.2, gsd_range=(0.8, 1.6))
    with image(gsd=gsd) as dataset:
        check_image(several, dataset)


@pytest.mark.parametrize("gsd", [0.71, 1.77])
def test_a_gsd_outside_those_of_training_needs_force(
    model_input: ModelInput, image: MakeImage, gsd: float
) -> None:
    several = dataclasses.replace(model_input, gsd=1.2, gsd_range=(0.8, 1.6))
    with (
        image(gsd=gsd) as dataset,
        pytest.raises(GsdMismatchError, match=r"was trained on 0\.8 to 1\.6 m; `force`"),
    ):
        check_image(several, dataset)


def test_without_a_crs_the_gsd_is_not_checked_and_that_is_said(
    model_input: ModelInput, image: MakeImage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with image(gsd=100.0, crs=None) as dataset:
        check_image(model_input, dataset)
    assert "no CRS" in caplog.messages[0]


def test_a_model_that_does_not_know_its_gsd_takes_any(
    model_input: ModelInput, image: MakeImage
) -> None:
    with image(gsd=100.0) as dataset:
        check_image(dataclasses.replace(model_input, gsd=None), dataset)
