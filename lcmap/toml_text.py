"""TOML from files that anybody may have written."""

from __future__ import annotations

import tomllib
from typing import Any

LARGEST = 1 << 20
"""Bytes; the largest file built in has 8 kB."""


def parse_toml(content: bytes) -> dict[str, Any]:
    """Return the value of a TOML text, with or without a byte order mark.

    Raises:
        ValueError: it is not TOML, or is nested too deeply to be read; it says what and where.
    """
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("is not valid TOML: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"is not valid TOML: {error}") from None
