"""Outputs that one process finishes in the name of others, which did the work: see `making`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lcmap.paths import PathLike
from lcmap.raster.making import Making, Request


@dataclass(frozen=True)
class _EarlierRequest(Request):
    """A request by what `Making.account` says of it."""

    compared: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        return dict(self.compared)

    @property
    def settings_digest(self) -> str:
        return self.digest


class _EarlierMaking(Making):
    """A making whose inputs another process has read."""

    def __init__(self, account: Mapping[str, Any], output: PathLike, *, overwrite: bool) -> None:
        compared = account["request"]
        request = _EarlierRequest(
            compared["command"], compared["sources"], compared["given"], {}, account["words"],
            compared=compared, digest=account["settings"],
        )  # fmt: skip
        super().__init__(request, output, overwrite=overwrite)
        self._account = dict(account)

    def account(self) -> dict[str, Any]:
        return self._account

    def digest(self) -> str:
        return str(self._account["digest"])


@contextmanager
def earlier_making(
    account: Mapping[str, Any] | None, output: PathLike, *, overwrite: bool
) -> Iterator[Callable[[], None]]:
    """Let outputs belong to the making of which this is the account; None is of none.

    Yields what puts on record that the making has ended well, and raises CannotWriteError where no
    space is left.
    """
    if account is None:
        yield lambda: None
        return
    making = _EarlierMaking(account, output, overwrite=overwrite)
    with making.begun():
        yield partial(making.finish, quiet=True)
