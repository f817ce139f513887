"""Every error that a user can cause, with its exit code.

A kind has a class of its own where a caller would handle it apart from others; all else is a
`UsageError` or a `DataError`, which their messages tell apart.

Messages name a parameter of the library in backticks, as in "`overwrite` to replace it", with or
without a value ("`precision=int8`"); the command line shows the option that sets it.

The exit codes follow sysexits.h where it has one: 2 usage, 65 bad data, 66 no input,
73 cannot write, 75 locked or another process lost, try again.
"""

from __future__ import annotations

import errno
import os

from lcmap.paths import PathLike


class LcmapError(Exception):
    """An error that a user can cause and mend: one line naming the subject and the remedy."""

    exit_code = 1

    def __init__(self, subject: PathLike, problem: str, remedy: str = "") -> None:
        """Say which file or option it is about, what is wrong and what to do."""
        self.subject = os.fspath(subject)
        self.problem = problem
        self.remedy = remedy
        super().__init__(self.subject, problem, remedy)

    def __str__(self) -> str:
        """Return "subject: problem; remedy" on one line."""
        text = f"{self.subject}: {self.problem}"
        if self.remedy:
            text = f"{text}; {self.remedy}"
        return " ".join(text.split())


class UsageError(LcmapError, ValueError):
    """The command line or the arguments contradict each other."""

    exit_code = 2


class UnavailableError(UsageError):
    """An inference engine, a device or a cluster that was asked for is not there."""


class UnexplainedLabelsError(UsageError):
    """A label map does not say what its codes mean, and neither does the user."""


class DataError(LcmapError, ValueError):
    """An input was found, but what it holds cannot be used."""

    exit_code = 65


class NotARasterError(DataError):
    """A file is not a raster that lcmap opens, or is truncated."""


class InputChangedError(DataError):
    """A file was overwritten, replaced or removed while it was read."""


class InputGoneError(InputChangedError):
    """A file cannot be found any more: it was removed, or its disk is away."""


class ProductError(DataError):
    """A folder is not a Sentinel-2 product, or not a whole one."""


class NomenclatureMismatchError(DataError):
    """A raster names other classes than those it is read in."""


class NoCrsError(DataError):
    """A file does not say which coordinate reference system it is in.

    Where one may be assumed instead, `in_file` is the remedy for those who cannot say so.
    """

    in_file: str = ""


class GridMismatchError(DataError):
    """A grid, its coordinate reference system included, is not the one that is needed."""


class OverlapError(DataError):
    """Two files cover no common ground, or too little."""


class UnknownLabelError(DataError):
    """A label raster holds codes that its nomenclature does not have."""


class AllNodataError(DataError):
    """An image has no valid pixel."""


class LabelBandError(DataError):
    """A label raster does not have exactly one band."""


class NoLabelledPixelError(DataError):
    """Labels or a reference have no labelled pixel on the ground in question."""


class TileIndexError(DataError):
    """A tile index is malformed, foreign, newer, or does not fit its rasters."""


class NomenclatureError(DataError):
    """A nomenclature or crosswalk is malformed or contradicts itself."""


class NotAModelError(DataError):
    """A file is not a model that lcmap wrote, or it is truncated, damaged or not in one piece."""


class NewerModelError(DataError):
    """A model is in a format that this lcmap does not know yet."""


class InputMismatchError(DataError):
    """An input is not what is needed in its place: its bands, data type, kind, classes, number."""


class GsdMismatchError(DataError):
    """An image has another ground sampling distance than the model; it can be forced."""


class QuantisationLossError(DataError):
    """A model loses more accuracy in int8 than was allowed."""


class CheckpointError(DataError):
    """A checkpoint is damaged, or of a run with other settings."""


class VerificationError(DataError):
    """A map depends on how it was cut into tiles."""


class ShardError(DataError):
    """Shards of a map are missing, not finished, damaged, or of different runs."""


class RulesError(DataError):
    """Rules of rasterize-ref are malformed, contradict themselves or fit none of the sources."""


class NotAVectorError(DataError):
    """A file is not a vector database that lcmap opens, or is truncated."""


class InputMissingError(LcmapError, FileNotFoundError):
    """A file that was named does not exist or cannot be opened."""

    exit_code = 66


class CannotWriteError(LcmapError, OSError):
    """An output cannot be written."""

    exit_code = 73


class OutputExistsError(CannotWriteError):
    """An output exists and overwriting was not asked for."""


class LockedError(LcmapError, BlockingIOError):
    """Another run holds what this one needs."""

    exit_code = 75


class RankLostError(LcmapError, ConnectionError):
    """Another process of a run that several train together has ended."""

    exit_code = 75


def cannot_write(path: PathLike, error: OSError) -> CannotWriteError:
    """Return the error to raise for an operating system's refusal to write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CannotWriteError(path, "no space left", "free some, or choose another place")
    if error.errno == errno.EPIPE:
        return CannotWriteError(path, "closed by its reader", "see what the next command says")
    return CannotWriteError(path, os.strerror(error.errno or 0).lower(), "choose another place")
