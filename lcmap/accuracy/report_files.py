"""A report as a file, in the form that the file's ending says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lcmap.accuracy.report import Report
from lcmap.accuracy.tables import plain_text
from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.raster.writing import atomic_path, check_output

_FORMS: dict[str, Callable[[Report], str]] = {
    ".json": Report.to_json,
    ".csv": Report.to_csv,
    ".txt": plain_text,
}


def check_report_path(path: PathLike, *, overwrite: bool) -> None:
    """Check, before the work, that a report can be written there.

    Raises:
        UsageError: the ending says no form.
        OutputExistsError, CannotWriteError: as check_output.
    """
    if Path(path).suffix.lower() not in _FORMS:
        raise UsageError(path, "no form has this ending", f"end it in {', '.join(_FORMS)}")
    check_output(path, overwrite=overwrite)


def write_report(report: Report, path: PathLike, *, overwrite: bool) -> None:
    """Write a report as JSON, CSV or text, all at once or not at all.

    Raises:
        OutputExistsError, CannotWriteError: as atomic_path.
    """
    text = _FORMS[Path(path).suffix.lower()](report)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
