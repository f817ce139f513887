"""What the charts of a report show, in words, for those who cannot see them."""

from __future__ import annotations

import numpy as np

from lcmap.accuracy.calibration import expected_calibration_error
from lcmap.accuracy.report import MapScore, Report, of_class, overall
from lcmap.accuracy.tables import percent, with_interval

OVERALL_TITLES = {"miou": "mIoU", "oa": "overall accuracy", "kappa": "κ", "mf1": "mean F1"}
_MISTAKES = 3
"""Mistakes that are named of a map."""


def present(report: Report) -> list[int]:
    """Return the indices of the classes that the reference has."""
    return [k for k in range(len(report.nomenclature)) if report.reference_pixels[k]]


def columns(report: Report, item: MapScore) -> list[int]:
    """Return the indices of the classes that the reference or a map has."""
    known = present(report)
    return [k for k in range(len(report.nomenclature)) if item.matrix[:, k].any() or k in known]


def of_overall(report: Report) -> str:
    """Return the mIoU of each map, from the highest."""
    found = [(overall(item.scores, item.interval, "miou"), item.name) for item in report.maps]
    found.sort(key=lambda one: -one[0][0])
    parts = [f"{name} {with_interval(figure)} %" for figure, name in found]
    ranked = " from the highest" if len(parts) > 1 else ""
    return f"mIoU{ranked}: {', '.join(parts)}. The table above has all figures."


def of_classes(report: Report) -> str:
    """Return between which classes the IoU of each map lies."""
    parts = []
    for item in report.maps:
        found = [(of_class(item.scores, None, "iou", k)[0], k) for k in present(report)]
        ends = [
            f"{percent(value)} % ({report.nomenclature.classes[k].name})"
            for value, k in (min(found), max(found))
        ]
        parts.append(f"{item.name}: from {ends[0]} to {ends[1]}.")
    return " ".join([*parts, "The tables below have all figures."])


def of_confusion(report: Report, item: MapScore) -> str:
    """Return how much is right, and what is taken for what most often, by pixels."""
    classes = report.nomenclature.classes
    wrong = item.matrix[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    parts = [f"{percent(overall(item.scores, None, 'oa')[0])} % of the pixels are right."]
    for place in np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]:
        row, col = np.unravel_index(place, wrong.shape)
        if wrong[row, col]:
            share = percent(wrong[row, col] / item.matrix[row].sum())
            parts.append(f"{share} % of {classes[row].name} are {classes[col].name} in the map.")
    return " ".join([*parts, "The table below has all figures."])


def of_reliability(report: Report) -> str:
    """Return how sure each map is, and how often it is right."""
    parts = []
    for item in report.maps:
        if item.reliability is not None:
            pixels, confidence, agreed = item.reliability.sum(axis=1)
            error = float(expected_calibration_error(item.reliability))
            shares = f"{percent(confidence / pixels)} % sure and {percent(agreed / pixels)} % right"
            parts.append(
                f"{item.name}: on average {shares}, expected calibration error {percent(error)} %."
            )
    return " ".join([*parts, "The table has all figures."])
