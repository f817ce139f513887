"""The parameters that the library names, as the options of the command line."""

from __future__ import annotations

import re

OPTIONS = {
    "as_csv": "--csv",
    "as_json": "--json",
    "codes": "--output",
    "confidences": "--confidence",
    "crosswalks": "--crosswalk",
    "initial_model": "--init-from",
    "names": "--name",
    "only": "--classes",
    "oso_classes": "--oso",
    "references": "--reference",
    "replicates": "--bootstrap",
    "sides": "--side",
}
"""The options whose names are not those of the parameters that they set."""

_PARAMETER = re.compile(r"`([a-z]+(?:_[a-z]+)*)(?:=([^`]*))?`")


def as_options(message: str) -> str:
    """Return a message of the library with each parameter shown as the option that sets it.

    A message names a parameter in backticks, with or without a value: `allow_vrt` becomes
    --allow-vrt, `precision=int8` becomes --precision int8.
    """

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        text = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        return f"{text} {value}" if value else text

    return _PARAMETER.sub(option, message)
