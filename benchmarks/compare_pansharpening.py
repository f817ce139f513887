"""How much of an image pansharpening gives back, beside other methods.

    python benchmarks/compare_pansharpening.py [--optics none|bands|both] [--weights R G B NIR]

Wald's protocol (Wald, Ranchin, Mangolini, 1997) on the real zones beside the project (LCMAP_DATA,
else ../shared/data): bands of 3.2 m and a panchromatic image of 0.8 m are made of the 0.8 m bands.
Each method gives 0.8 m bands, which are compared with the true ones. The panchromatic image is a
weighted sum of bands, with weights that no method is told, in a radiometry of its own (16 bits,
x 7.3 + 210). `--optics` says through what the ground is seen:

none:  the bands are means of pixels, the panchromatic image is sharp.
bands: a blur, 0.3 at the Nyquist frequency, comes before the bands' means.
both:  the bands' transfer is 0.3 at the Nyquist frequency, that of the panchromatic image 0.15 at
       its own, and both have noise.

ERGAS (relative error, 0 is best), SAM (angle between spectra in degrees, 0 is best), Q (universal
image quality index of Wang and Bovik, 2002, over windows of 32 pixels, mean of bands, 1 is best),
edges (correlation of what a Laplacian leaves, mean of bands, 1 is best) and the correlation of each
band, over all zones; and for how many zones a method is better than cubic upsampling in all these.
GDAL's weighted Brovey runs with equal weights, its default, and with the weights of the
regression that lcmap makes; it takes a panchromatic image in the bands' radiometry only, so it gets
one of 8 bits without the offset. The pyramids matched to the modulation transfer function (MTF-GLP)
are told the bands' blur; lcmap has to find it.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lcmap.imagery.options import PrepareOutputs, StackOptions
from lcmap.imagery.pan_response import Moments, response
from lcmap.imagery.prepare import prepare

PROJECT = Path(__file__).resolve().parent.parent
FLAIR = Path(os.environ.get("LCMAP_DATA", PROJECT.parent / "shared" / "data")) / "flair"
ZONES = (0, 1, 2, 4, 5)
RATIO = 4
GAIN, OFFSET = 7.3, 210
MTF_AT_NYQUIST = 0.3

PAN_MTF_AT_NYQUIST = 0.15
NOISE, PAN_NOISE = 0.5, 1.0
"""Standard deviations in the bands' units; the whole range is 255."""

WINDOW = 32

Image = NDArray[np.float64]
Reduce = Callable[[Image], Image]
Method = Callable[[Path, Image, Image], Image]


def averaged(image: Image) -> Image:
    """Return the means of RATIO × RATIO pixels."""
    bands, height, width = image.shape
    shape = (bands, height // RATIO, RATIO, width // RATIO, RATIO)
    means: Image = image.reshape(shape).mean(axis=(2, 4))
    return means


def blurred(image: Image, at_nyquist: float, pixel: int) -> Image:
    """Return the image seen through a Gaussian transfer function, given for pixels of a size."""
    sigma = pixel * math.sqrt(-2 * math.log(at_nyquist)) / math.pi
    reach = math.ceil(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    rows, cols = image.shape[1:]
    padded = sum(weight * padded[:, i : i + rows] for i, weight in enumerate(kernel))
    result: Image = sum(weight * padded[:, :, i : i + cols] for i, weight in enumerate(kernel))
    return result


def seen(image: Image) -> Image:
    """Return coarse pixels whose transfer is MTF_AT_NYQUIST in all."""
    middle = math.cos(math.pi / 2 / RATIO)  # of the mean of the two pixels in the middle
    sharp = blurred(image, MTF_AT_NYQUIST / middle, RATIO)
    first = RATIO // 2 - 1
    four = [sharp[:, i::RATIO, j::RATIO] for i in (first, first + 1) for j in (first, first + 1)]
    result: Image = np.mean(four, axis=0)
    return result


def write(path: Path, image: Image, dtype: str, pixel: float) -> Path:
    """Write an image, rounded, with its corner where all others have it."""
    with rasterio.open(
        path, "w", driver="GTiff", count=len(image), height=image.shape[1], width=image.shape[2],
        dtype=dtype, crs="EPSG:2154", transform=Affine(pixel, 0, 7e5, 0, -pixel, 6.3e6),
        photometric="MINISBLACK", alpha="NO",
    ) as dataset:  # fmt: skip
        dataset.write(np.rint(image).astype(dtype))
    return path


def read(path: str | Path) -> Image:
    with rasterio.open(path) as dataset:
        image: Image = dataset.read().astype(np.float64)
    return image


def prepared(folder: Path, **options: Any) -> Image:
    outputs = PrepareOutputs(folder / "out.tif", overwrite=True)
    prepare([folder / "ms.tif"], outputs, stacking=StackOptions(**options))
    return read(folder / "out.tif")


def cubic(folder: Path, bands: Image, pan: Image) -> Image:
    return prepared(folder, like=folder / "pan.tif")


def lcmap(folder: Path, bands: Image, pan: Image) -> Image:
    return prepared(folder, pan=folder / "pan.tif")


def gdal_equal(folder: Path, bands: Image, pan: Image) -> Image:
    return brovey(folder, np.full(len(bands), 1 / len(bands)))


def gdal_regressed(folder: Path, bands: Image, pan: Image) -> Image:
    moments = Moments(len(bands) + 1)
    moments.update(np.concatenate([bands, averaged(pan)]).reshape(len(bands) + 1, -1))
    tied = response(moments)
    assert tied is not None
    return brovey(folder, np.array(tied.weights) / GAIN)


def brovey(folder: Path, weights: NDArray[np.float64]) -> Image:
    """Return what GDAL makes of the 8-bit panchromatic image."""
    bands = "".join(
        f'<SpectralBand dstBand="{i}"><SourceFilename>{folder / "ms.tif"}</SourceFilename>'
        f"<SourceBand>{i}</SourceBand></SpectralBand>"
        for i in range(1, len(weights) + 1)
    )
    return read(
        '<VRTDataset subClass="VRTPansharpenedDataset"><PansharpeningOptions>'
        "<Algorithm>WeightedBrovey</Algorithm><AlgorithmOptions>"
        f"<Weights>{','.join(map(str, weights))}</Weights></AlgorithmOptions>"
        "<Resampling>Cubic</Resampling><PanchroBand>"
        f"<SourceFilename>{folder / 'pan8.tif'}</SourceFilename><SourceBand>1</SourceBand>"
        f"</PanchroBand>{bands}</PansharpeningOptions></VRTDataset>"
    )


def upsampled(image: Image) -> Image:
    with tempfile.TemporaryDirectory() as folder:
        write_float(Path(folder) / "a.tif", image)
        with rasterio.open(Path(folder) / "a.tif") as dataset:
            shape = (len(image), image.shape[1] * RATIO, image.shape[2] * RATIO)
            result: Image = dataset.read(out_shape=shape, resampling=Resampling.cubic)
    return result


def write_float(path: Path, image: Image) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", count=len(image), height=image.shape[1], width=image.shape[2],
        dtype="float64", crs="EPSG:2154", transform=Affine(1, 0, 7e5, 0, -1, 6.3e6),
    ) as dataset:  # fmt: skip
        dataset.write(image)


def matched(reduced: Reduce) -> dict[str, Method]:
    """Return the methods that are told how the panchromatic image becomes what the bands see."""

    def laplacian_pyramid(folder: Path, bands: Image, pan: Image) -> Image:
        """Aiazzi et al. (2006): gains by the bands' covariance with the reduced image."""
        low = reduced(pan)
        gains = slopes(bands, low)[:, None, None]
        result: Image = upsampled(bands) + gains * (pan - upsampled(low))
        return result

    def modulation(folder: Path, bands: Image, pan: Image) -> Image:
        """Vivone et al. (2014): bands times the panchromatic image over itself reduced."""
        low = reduced(pan)
        result: Image = upsampled(bands) * (pan / upsampled(low))
        return result

    return {"MTF-GLP-CBD": laplacian_pyramid, "MTF-GLP-HPM": modulation}


def slopes(bands: Image, other: Image) -> NDArray[np.float64]:
    """Return the slope of each band over another."""
    flat = np.concatenate([bands, other]).reshape(len(bands) + 1, -1)
    covariance = np.cov(flat)
    result: NDArray[np.float64] = covariance[:-1, -1] / covariance[-1, -1]
    return result


def gram_schmidt_adaptive(folder: Path, bands: Image, pan: Image) -> Image:
    """Aiazzi, Baronti, Selva (2007): gains by the bands' covariance with the fitted intensity."""
    flat = bands.reshape(len(bands), -1)
    design = np.column_stack([flat.T, np.ones(flat.shape[1])])
    fit = np.linalg.lstsq(design, averaged(pan).ravel(), rcond=None)[0]
    gains = slopes(bands, (design @ fit).reshape(1, *bands.shape[1:]))
    up = upsampled(bands)
    result: Image = up + gains[:, None, None] * (pan - np.tensordot(fit[:-1], up, 1) - fit[-1])
    return result


METHODS: dict[str, Method] = {
    "cubic upsampling": cubic,
    "lcmap prepare --pan": lcmap,
    "GDAL Brovey, equal weights": gdal_equal,
    "GDAL Brovey, regressed weights": gdal_regressed,
    "Gram-Schmidt adaptive": gram_schmidt_adaptive,
}


def figures(true: Image, found: Image) -> NDArray[np.float64]:
    """Return ERGAS, SAM in degrees, Q, edges and the correlation of each band."""
    error = ((true - found) ** 2).mean(axis=(1, 2)) / true.mean(axis=(1, 2)) ** 2
    ergas = 100 / RATIO * math.sqrt(error.mean())
    norms = np.sqrt((true**2).sum(axis=0) * (found**2).sum(axis=0))
    cosine = (true * found).sum(axis=0) / np.maximum(norms, 1e-9)
    sam = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
    edges = np.mean(correlations(laplacian(true), laplacian(found)))
    return np.array([ergas, sam, quality(true, found), edges, *correlations(true, found)])


def correlations(true: Image, found: Image) -> list[float]:
    return [
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(true, found, strict=True)
    ]


def laplacian(image: Image) -> Image:
    middle = 4 * image[:, 1:-1, 1:-1]
    across = image[:, 1:-1, :-2] + image[:, 1:-1, 2:]
    result: Image = middle - across - image[:, :-2, 1:-1] - image[:, 2:, 1:-1]
    return result


def quality(true: Image, found: Image) -> float:
    """Return Q, the mean over windows and bands."""
    bands, height, width = true.shape
    rows, cols = height // WINDOW, width // WINDOW
    a, b = (
        image[:, : rows * WINDOW, : cols * WINDOW]
        .reshape(bands, rows, WINDOW, cols, WINDOW)
        .transpose(0, 1, 3, 2, 4)
        .reshape(bands, rows * cols, -1)
        for image in (true, found)
    )
    mean_a, mean_b = a.mean(axis=2), b.mean(axis=2)
    covariance = (a * b).mean(axis=2) - mean_a * mean_b
    both = (a.var(axis=2) + b.var(axis=2)) * (mean_a**2 + mean_b**2)
    index = np.divide(
        4 * covariance * mean_a * mean_b, both, out=np.ones_like(both), where=both > 0
    )
    return float(index.mean())


def measure(zone: int, weights: Sequence[float], optics: str) -> dict[str, NDArray[np.float64]]:
    """Return the figures of each method on a zone."""
    true = read(FLAIR / f"zone{zone}_0.8m_rgbn.tif")
    true = true[:, : true.shape[1] // RATIO * RATIO, : true.shape[2] // RATIO * RATIO]
    light = np.tensordot(weights, true, 1)[None]
    random = np.random.default_rng(zone)
    if optics == "none":
        bands = averaged(true)
    elif optics == "bands":
        bands = averaged(blurred(true, MTF_AT_NYQUIST, RATIO))
    else:
        bands = seen(true)
        bands += random.normal(0, NOISE, bands.shape)
        light = blurred(light, PAN_MTF_AT_NYQUIST, 1)
        light += random.normal(0, PAN_NOISE, light.shape)
    bands, pan = np.clip(np.rint(bands), 0, 255), np.rint(light * GAIN + OFFSET)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "ms.tif", bands, "uint8", 0.8 * RATIO)
        write(folder / "pan.tif", pan, "uint16", 0.8)
        write(folder / "pan8.tif", np.clip(light, 0, 255), "uint8", 0.8)
        for method, sharpen in methods(optics).items():
            found = np.clip(np.rint(sharpen(folder, bands, pan)), 0, 255)
            results[method] = figures(true, found)
    return results


def methods(optics: str) -> dict[str, Method]:
    told: dict[str, Reduce] = {
        "none": averaged,
        "bands": lambda pan: averaged(blurred(pan, MTF_AT_NYQUIST, RATIO)),
        "both": seen,
    }
    return METHODS | matched(told[optics])


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=float, nargs=4, default=[0.35, 0.35, 0.2, 0.1])
    parser.add_argument("--optics", choices=["none", "bands", "both"], default="both")
    options = parser.parse_args()
    if not FLAIR.is_dir():
        sys.exit(f"no zones in {FLAIR}: set LCMAP_DATA")
    zones = [measure(zone, options.weights, options.optics) for zone in ZONES]
    print(f"{'':32}ERGAS    SAM      Q  edges   correlation R, G, B, NIR      better than cubic")
    upwards = np.array([-1, -1, 1, 1, 1, 1, 1, 1])
    for method in zones[0]:
        ergas, sam, q, edges, *bands = np.mean([zone[method] for zone in zones], axis=0)
        better = [((z[method] - z["cubic upsampling"]) * upwards > 0).all() for z in zones]
        shown = "  ".join(f"{value:.3f}" for value in bands)
        print(
            f"{method:32}{ergas:5.3f}  {sam:5.3f}  {q:5.3f}  {edges:5.3f}   {shown}    "
            f"{sum(better)} of {len(zones)}"
        )


if __name__ == "__main__":
    main()
