"""What is asked for of images of several dates, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lcmap import defaults
from lcmap.errors import UsageError
from lcmap.imagery.compositing import Composite, Method
from lcmap.imagery.options import PrepareOutputs
from lcmap.imagery.product_folders import is_product
from lcmap.imagery.stack import GridImage
from lcmap.paths import PathLike
from lcmap.raster.period import parse_period
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.writing import check_raster_output


@dataclass(frozen=True)
class CompositeOptions:
    """How images of several dates become one.

    period: YYYY, YYYY-MM, YYYY-MM-DD or an interval A/B of two; None: there is no composite. Beside
        a series it chooses the series' dates instead.
    method: how a pixel is made from its clear dates; None: the default.
    strict: leave pixels that are clear on no date of the period nodata; else they are filled from
        the dates around it.
    clear_dates: a raster to write of how many dates of the period are clear at each pixel.
    dates: those of the images, in order; None: those in their tags or names.
    """

    period: str | None = None
    method: Method | None = None
    strict: bool = False
    clear_dates: PathLike | None = None
    dates: Sequence[str] | None = None

    @property
    def actual_method(self) -> Method:
        """The method, given or by default."""
        return self.method or defaults.COMPOSITE_METHOD

    def check(self, images: Sequence[PathLike], outputs: PrepareOutputs) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other or the images.
            OutputExistsError, CannotWriteError: the clear dates cannot be written.
        """
        products = [is_product(image) for image in images]
        if any(products) and not all(products):
            raise UsageError(
                images[products.index(False)],
                "is not a folder, and products and other images do not mix",
                "prepare the products first, then stack",
            )
        if self.period is None:
            self._check_without_period()
            return
        parse_period(self.period)
        if self.dates is not None and any(products):
            raise UsageError("`dates`", "are in the products' metadata", "leave it out")
        if self.dates is not None and len(self.dates) != len(images):
            raise UsageError(
                "`dates`",
                f"names {len(self.dates)} date(s) for {len(images)} image(s)",
                "give one for each, in the same order",
            )
        if self.clear_dates is not None:
            if os.fspath(self.clear_dates) == STANDARD_STREAM:
                raise UsageError("`clear_dates`", "goes to a file", "name one")
            check_raster_output(self.clear_dates, overwrite=outputs.overwrite)

    def of_images(self, *, beside_series: bool) -> CompositeOptions:
        """Return what holds of the images: beside a series the period is that of its dates.

        Raises:
            UsageError: it is no period, or something else is said of the dates of images too.
        """
        if not beside_series or self.period is None:
            return self
        parse_period(self.period)
        for name, value in self._about_dates():
            if value:
                raise UsageError(
                    f"`{name}`",
                    "is about an image of a period, and `period` chooses dates of a series here",
                    "make that image first, and give it beside the series",
                )
        return replace(self, period=None)

    def _check_without_period(self) -> None:
        for name, value in self._about_dates():
            if value:
                raise UsageError(f"`{name}`", "is about the dates of a period", "give `period`")

    def _about_dates(self) -> tuple[tuple[str, object], ...]:
        return (
            ("method", self.method),
            ("strict", self.strict),
            ("clear_dates", self.clear_dates),
            ("dates", self.dates),
        )


@dataclass(frozen=True)
class CompositeReport:
    """What became of a composite: the dates given and those in the period, and the pixels filled.

    Filled pixels are clear on no date of the period, and come from the dates around it.
    """

    period: str
    method: Method
    days: int
    days_inside: int
    filled: int
    filled_share: float
    clear_dates: str | None


def has_dates(images: Sequence[PathLike], options: CompositeOptions) -> bool:
    """Tell whether images are to be read by their dates: products, or any for a period."""
    return options.period is not None or any(is_product(image) for image in images)


def report_of(image: GridImage, options: CompositeOptions) -> CompositeReport | None:
    """Return what became of a composite once all of it is computed; None for another image."""
    if not isinstance(image, Composite) or options.period is None:
        return None
    filled = sum(image.filled.values())
    return CompositeReport(
        period=options.period,
        method=image.method,
        days=len(image.days),
        days_inside=sum(image.inside),
        filled=filled,
        filled_share=filled / (image.grid.height * image.grid.width),
        clear_dates=None if options.clear_dates is None else os.fspath(options.clear_dates),
    )
