"""TOML that anybody may have written."""

from __future__ import annotations

import pytest

from lcmap.toml_text import parse_toml


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_toml(b"\xef\xbb\xbfa = 1") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = \xff", "is not UTF-8 text"),
        (b"a = ", "is not valid TOML"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"{b = " * 100_000, "nested too deeply"),
        (b"a = " + b"1" * 10_000, "is not valid TOML"),
        (b"a = 2018-02-31", "is not valid TOML"),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_toml(content)
