"""Every default that a command and the library share, each written once and here.

Nothing is imported, so that the command line can show them without loading the library.
"""

from __future__ import annotations

MEMORY = 2 << 30
"""Bytes that a mapping command may use."""

SEED = 0
