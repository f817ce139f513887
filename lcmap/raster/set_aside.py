"""What has the names that other files are about to get goes aside first, all or none of it.

So files of two runs never stand beside each other under their names: a new map beside an old style,
a new stack beside an old index. Whoever looks in between finds a file missing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from lcmap.raster.old_sidecars import replaced_sidecars

Aside = list[tuple[Path, Path]]
"""Files that were moved, each with the name that it had."""


def set_aside(moves: Sequence[tuple[Path, Path]], keep: Collection[Path] = ()) -> Aside:
    """Move what has the second name of each move beside the first, with its old sidecars.

    Those to `keep` stay, unless they are named themselves. What is on another disk is removed.

    Raises:
        OSError: the system refuses; then all is where it was.
    """
    aside: Aside = []
    try:
        for source, name in moves:
            kept = {*keep, *(other for _, other in moves)}
            for old in [*replaced_sidecars(source, name, kept), name]:
                if os.path.lexists(old):
                    aside += _moved(old, source.with_name(f"before-{len(aside)}-{old.name}"))
    except OSError:
        put_back(aside)
        raise
    return aside


def put_back(aside: Aside) -> None:
    """Give files that were set aside their names again.

    Raises:
        OSError: the system refuses.
    """
    for path, name in reversed(aside):
        os.replace(path, name)


def _moved(old: Path, path: Path) -> Aside:
    try:
        os.replace(old, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        old.unlink()
        return []
    return [(path, old)]
