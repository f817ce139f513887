"""Every error that a user can cause, with its exit code.

Messages name a parameter of the library in backticks, as in "`overwrite` to replace it", with or
without a value ("`precision=int8`"); the command line shows the option that sets it.

The exit codes follow sysexits.h where it has one: 2 usage, 65 bad data, 66 no input,
73 cannot write, 75 locked, try again.
"""

from __future__ import annotations

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


class BandChoiceError(UsageError):
    """A band that was asked for does not exist, or is not the only one of its name."""


class UnknownNomenclatureError(UsageError):
    """A nomenclature or crosswalk is neither built in nor a .toml file."""


class UnexplainedLabelsError(UsageError):
    """A label map does not say what its codes mean, and neither does the user."""


class UnknownRulesError(UsageError):
    """A name that no built-in rules of rasterize-ref have."""


class ProviderMissingError(UsageError):
    """An accelerator was asked for that is not there."""


class EngineMissingError(UsageError):
    """An inference engine was asked for that is not installed."""


class ExportError(LcmapError, RuntimeError):
    """The exported model and the trained network disagree."""


class DataError(LcmapError, ValueError):
    """An input was found, but what it holds cannot be used."""

    exit_code = 65


class NotARasterError(DataError):
    """A file is no raster that lcmap opens, or is truncated."""


class ProductError(DataError):
    """A folder is no Sentinel-2 product, or one that is not whole."""


class AcquisitionDateError(DataError):
    """An image does not say when it was taken."""


class NomenclatureMismatchError(DataError):
    """A label raster says that its classes are others than those it is read in."""


class NoCrsError(DataError):
    """A file does not say which coordinate reference system it is in."""


class CrsMismatchError(DataError):
    """Two files are in different coordinate reference systems."""


class GridMismatchError(DataError):
    """Two rasters do not share one grid."""


class NoOverlapError(DataError):
    """Two files cover no common ground."""


class UnknownLabelError(DataError):
    """A label raster holds codes that its nomenclature does not have."""


class AllNodataError(DataError):
    """An image has no valid pixel."""


class PanchromaticError(DataError):
    """An image that cannot sharpen others: several bands, too coarse, or of something else."""


class LabelBandError(DataError):
    """A label raster that does not have exactly one band."""


class NoLabelledPixelError(DataError):
    """Labels or a reference without a single labelled pixel on the ground in question."""


class TileIndexError(DataError):
    """A tile index is malformed, foreign, newer, or does not fit its rasters."""


class NomenclatureError(DataError):
    """A nomenclature or crosswalk is malformed or contradicts itself."""


class NotAModelError(DataError):
    """A file is no ONNX model, or is truncated or damaged."""


class ForeignModelError(NotAModelError):
    """An ONNX model that lcmap did not write."""


class NewerModelError(DataError):
    """A model in a format that this lcmap does not know yet."""


class ExternalDataError(DataError):
    """A model whose weights lie in another file."""


class ModelGraphError(DataError):
    """A model whose graph is not what its metadata says."""


class BandMismatchError(DataError):
    """An image whose bands are not those of the model."""


class DtypeMismatchError(DataError):
    """An image whose data type is not that of the model."""


class SideMismatchError(DataError):
    """Side inputs whose kinds, order or classes are not those wanted."""


class TooLittleOverlapError(DataError):
    """A side input that covers too small a part of the image."""


class ProbabilitiesError(DataError):
    """A raster that is not the class probabilities that a map was made from."""


class GsdMismatchError(DataError):
    """An image whose ground sampling distance is not that of the model."""


class InitialModelError(DataError):
    """A model to start training from that was made for other images, classes or sizes."""


class CalibrationError(DataError):
    """Pixels or a model that say nothing of how large the values in its network become."""


class QuantisationLossError(DataError):
    """A model that loses more accuracy in int8 than was allowed."""


class CheckpointError(DataError):
    """The checkpoint of a run is damaged, or of a run with other settings."""


class InputCountError(DataError):
    """A model that takes more images than were given."""


class VerificationError(DataError):
    """A map that depends on how it was cut into tiles."""


class RulesError(DataError):
    """A rules file of rasterize-ref is malformed or contradicts itself."""


class UnknownClassError(RulesError):
    """A rule names a class that its nomenclature does not have."""


class NotAVectorError(DataError):
    """A file is no vector database that lcmap opens, or is truncated."""


class LayerMissingError(DataError):
    """A vector database does not have the layer that was named."""


class NoRuleAppliesError(DataError):
    """No rule is about any of the layers given."""


class GeographicCrsError(DataError):
    """A grid in degrees where lengths in metres are needed."""


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
