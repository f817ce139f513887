"""How much of an image pansharpening gives back, beside other methods.

    python benchmarks/bench_pansharpening.py [--weights 0.35 0.35 0.2 0.1] [--mtf]

Wald's protocol (Wald, Ranchin, Mangolini, 1997) on the real zones beside the project (LCMAP_DATA,
else ../shared/data): the 0.8 m bands are averaged to 3.2 m, and a panchromatic image of 0.8 m is
made of them by weights that no method is told, in a radiometry of its own (16 bits, × 7.3 + 210).
Each method gives 0.8 m bands, which are compared with the true ones. `--mtf` blurs the bands before
they are averaged, as optics do (0.3 at the Nyquist frequency), of which no method is told either.

ERGAS (relative error, 0 is best), SAM (angle between spectra in degrees, 0 is best) and the bands'
correlations, over all zones; and for how many zones a method is better than plain cubic upsampling
in every one of the six. GDAL's weighted Brovey runs with equal weights, its default, and with the
weights of the regression that lcmap makes; it takes a panchromatic image in the bands' radiometry
only, so it gets one of 8 bits without the offset.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

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

Image = NDArray[np.float64]
Method = Callable[[Path, Image, Image], Image]


def averaged(image: Image) -> Image:
    """Return the means of RATIO × RATIO pixels."""
    bands, height, width = image.shape
    shape = (bands, height // RATIO, RATIO, width // RATIO, RATIO)
    means: Image = image.reshape(shape).mean(axis=(2, 4))
    return means


def blurred(image: Image) -> Image:
    """Return the image seen through optics whose transfer function is Gaussian."""
    sigma = RATIO * math.sqrt(-2 * math.log(MTF_AT_NYQUIST)) / math.pi
    reach = math.ceil(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    rows, cols = image.shape[1:]
    padded = sum(weight * padded[:, i : i + rows] for i, weight in enumerate(kernel))
    result: Image = sum(weight * padded[:, :, i : i + cols] for i, weight in enumerate(kernel))
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


def prepared(folder: Path, **options: Path) -> Image:
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


def gram_schmidt_adaptive(folder: Path, bands: Image, pan: Image) -> Image:
    """Aiazzi, Baronti, Selva (2007): gains by the bands' covariance with the fitted intensity."""
    flat = bands.reshape(len(bands), -1)
    design = np.column_stack([flat.T, np.ones(flat.shape[1])])
    fit = np.linalg.lstsq(design, averaged(pan).ravel(), rcond=None)[0]
    covariance = np.cov(np.concatenate([flat, (design @ fit)[None]]))
    gains = covariance[:-1, -1] / covariance[-1, -1]
    up = upsampled(bands)
    return up + gains[:, None, None] * (pan - np.tensordot(fit[:-1], up, 1) - fit[-1])


def smoothing_filter(folder: Path, bands: Image, pan: Image) -> Image:
    """Liu (2000): bands times the panchromatic image over itself reduced."""
    return upsampled(bands) * pan / upsampled(averaged(pan))


METHODS: dict[str, Method] = {
    "cubic upsampling": cubic,
    "lcmap prepare --pan": lcmap,
    "GDAL Brovey, equal weights": gdal_equal,
    "GDAL Brovey, regressed weights": gdal_regressed,
    "Gram-Schmidt adaptive": gram_schmidt_adaptive,
    "smoothing-filter modulation": smoothing_filter,
}


def figures(true: Image, found: Image) -> NDArray[np.float64]:
    """Return ERGAS, SAM in degrees and the correlation of each band."""
    error = ((true - found) ** 2).mean(axis=(1, 2)) / true.mean(axis=(1, 2)) ** 2
    ergas = 100 / RATIO * math.sqrt(error.mean())
    norms = np.sqrt((true**2).sum(axis=0) * (found**2).sum(axis=0))
    cosine = (true * found).sum(axis=0) / np.maximum(norms, 1e-9)
    sam = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
    bands = zip(true, found, strict=True)
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in bands]
    return np.array([ergas, sam, *correlations])


def measure(zone: int, weights: Sequence[float], mtf: bool) -> dict[str, NDArray[np.float64]]:
    """Return the figures of each method on a zone."""
    true = read(FLAIR / f"zone{zone}_0.8m_rgbn.tif")
    true = true[:, : true.shape[1] // RATIO * RATIO, : true.shape[2] // RATIO * RATIO]
    bands = np.rint(averaged(blurred(true) if mtf else true))
    light = np.tensordot(weights, true, 1)[None]
    pan = np.rint(light * GAIN + OFFSET)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "ms.tif", bands, "uint8", 0.8 * RATIO)
        write(folder / "pan.tif", pan, "uint16", 0.8)
        write(folder / "pan8.tif", light, "uint8", 0.8)
        for method, sharpen in METHODS.items():
            found = np.clip(np.rint(sharpen(folder, bands, pan)), 0, 255)
            results[method] = figures(true, found)
    return results


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=float, nargs=4, default=[0.35, 0.35, 0.2, 0.1])
    parser.add_argument("--mtf", action="store_true")
    options = parser.parse_args()
    if not FLAIR.is_dir():
        sys.exit(f"no zones in {FLAIR}: set LCMAP_DATA")
    zones = [measure(zone, options.weights, options.mtf) for zone in ZONES]
    print(f"{'':32}ERGAS    SAM   correlation R, G, B, NIR      zones better than cubic")
    upwards = np.array([-1, -1, 1, 1, 1, 1])
    for method in METHODS:
        ergas, sam, *correlations = np.mean([zone[method] for zone in zones], axis=0)
        better = [((z[method] - z["cubic upsampling"]) * upwards > 0).all() for z in zones]
        shown = "  ".join(f"{value:.3f}" for value in correlations)
        print(f"{method:32}{ergas:5.3f}  {sam:5.3f}   {shown}    {sum(better)} of {len(zones)}")


if __name__ == "__main__":
    main()
