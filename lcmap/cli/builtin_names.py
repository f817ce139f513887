"""What the shell completes where an option takes a built-in name or a file.

With no name that fits, shells complete the names of files. The names are read when they are asked
for, so that a command that completes nothing does not load the library.
"""

from __future__ import annotations

import logging
import os

import typer

_NO_CROSSWALK = "none"
_LABEL_MAPS = "oso"


def nomenclatures() -> list[str]:
    """Return the names of the built-in nomenclatures."""
    from lcmap.nomenclature.library import builtin_names

    return list(builtin_names())


def label_map_nomenclatures() -> list[str]:
    """Return the built-in nomenclatures of OSO label maps as they are delivered."""
    from lcmap.nomenclature.crosswalk import builtin_crosswalks

    sources = {name.split(":")[0] for name in builtin_crosswalks()}
    return sorted(name for name in sources if name.startswith(_LABEL_MAPS))


def crosswalks() -> list[str]:
    """Return the built-in crosswalks, as in flair19:flair7."""
    from lcmap.nomenclature.crosswalk import builtin_crosswalks

    return list(builtin_crosswalks())


def crosswalks_or_none() -> list[str]:
    """Return the built-in crosswalks, and the word for none."""
    return [*crosswalks(), _NO_CROSSWALK]


def rules() -> list[str]:
    """Return the names of the built-in rules of rasterize-ref."""
    from lcmap.reference.rules_file import builtin_rules

    return list(builtin_rules())


def quantiles() -> list[str]:
    """Return what images are scaled by, where it is not a file."""
    return ["image", "model"]


def training_quantiles() -> list[str]:
    """Return what the images of tiles are scaled by, where it is not a file."""
    return ["image", "training", "model"]


def stack_quantiles() -> list[str]:
    """Return what a stack's quantiles are, where they are not in a file."""
    return ["image"]


def bands(context: typer.Context, incomplete: str) -> list[str]:
    """Return the bands of the images on the command line that a list of bands may go on with."""
    from lcmap.imagery.images import offered_bands

    # what the parser had read when it came upon the option without its value
    given = [*(context.params.get("images") or ()), *context.args]
    # a shell completes a line before it expands it
    paths = map(os.path.expanduser, given)
    images = [image for image in paths if os.path.exists(image)]
    logging.getLogger("lcmap").addHandler(logging.NullHandler())  # not into the line that is typed
    try:
        offered = offered_bands(images)
    except Exception:  # whatever it is, the shell would print it into the line
        return []
    before, comma, _ = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in offered if name not in before.split(",")]


def meanings(incomplete: str) -> list[str]:
    """Return FILE:MEANING with each built-in meaning, once the file and its colon are there."""
    file, colon, _ = incomplete.rpartition(":")
    return (
        [f"{file}:{name}" for name in (*nomenclatures(), "probabilities", "series")]
        if colon
        else []
    )
