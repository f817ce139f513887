"""Valid documents, damaged: bytes, numbers, texts and structure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

_NUMBERS = (
    "0", "-1", "-5", "1", "NaN", "nan", "inf", "-inf", "Infinity", "1e999", "-1e300", "1e-300",
    "1e5", "0.5", "255", "65536", "4294967296", "99999999999999999999999", "1" * 5000, "0x10",
    "1_000", "٣", "true", '""', "",
)  # fmt: skip
_TEXTS = (
    "", "\0", "é", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "..",
    "../../etc/passwd", "/dev/zero", "/", "a" * 10_000, "%s", "{0}", "[", "*" * 50, "\u202e", "\n",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, -5, 1.5, 10**30, float("nan"), float("inf"), -float("inf"), 1e300, "",
    "x", "\0", "\ud800", [], [[]], [None], {}, {"a": 1}, "/dev/zero", "1", "nan",
)  # fmt: skip
_TOKEN = re.compile(rb"[-+]?\d+(?:\.\d+)?|\"[^\"\n]*\"|>[^<>\n]+<")
_PIECE = re.compile(rb"<[^<>]*>|[^\s\"=,<>{}\[\]:]+|[{}\[\],=:\"]")


@st.composite
def damaged(draw: Callable[..., Any], documents: tuple[bytes, ...]) -> bytes:
    """Draw one of some documents with some of its tokens, pieces and bytes changed."""
    content = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from([_token, _token, _token, _piece, _bytes, _cut, _nest]))
        content = change(draw, content)
    return bytes(content)


@st.composite
def damaged_json(draw: Callable[..., Any], documents: tuple[bytes, ...]) -> bytes:
    """Draw one of some JSON documents with some of its values replaced, removed or moved."""
    if draw(st.integers(0, 3)) == 0:
        return bytes(draw(damaged(documents)))
    value = json.loads(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        value = _change(draw, value)
    return json.dumps(value).encode()


def _change(draw: Callable[..., Any], value: Any) -> Any:
    """Return a JSON value with one place in it changed."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(
        value, list
    ) else []  # fmt: skip
    if not keys or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(_VALUES))
    copy = value.copy()
    key = draw(st.sampled_from(keys))
    what = draw(st.integers(0, 9))
    if what == 0:
        del copy[key]
    elif what == 1 and isinstance(copy, list):
        copy.append(copy[key])
    elif what == 1:
        copy[draw(st.sampled_from(["", "x", "\0", *keys]))] = copy[key]
    else:
        copy[key] = _change(draw, copy[key])
    return copy


def _token(draw: Callable[..., Any], content: bytes) -> bytes:
    found = list(_TOKEN.finditer(content))
    if not found:
        return content
    match = draw(st.sampled_from(found))
    text = match[0]
    if text.startswith(b'"'):
        new = b'"' + draw(st.sampled_from(_TEXTS + _NUMBERS)).encode() + b'"'
    elif text.startswith(b">"):
        new = b">" + draw(st.sampled_from(_TEXTS + _NUMBERS)).encode() + b"<"
    else:
        new = draw(st.sampled_from(_NUMBERS)).encode()
    return content[: match.start()] + new + content[match.end() :]


def _piece(draw: Callable[..., Any], content: bytes) -> bytes:
    """Remove, repeat or replace a word, a tag or a mark by another of the document."""
    found = list(_PIECE.finditer(content))
    if not found:
        return content
    match, other = draw(st.sampled_from(found)), draw(st.sampled_from(found))
    new = draw(st.sampled_from([b"", match[0] * 2, other[0]]))
    return content[: match.start()] + new + content[match.end() :]


def _bytes(draw: Callable[..., Any], content: bytes) -> bytes:
    place = draw(st.integers(0, len(content)))
    length = draw(st.integers(0, 4))
    return content[:place] + draw(st.binary(max_size=4)) + content[place + length :]


def _cut(draw: Callable[..., Any], content: bytes) -> bytes:
    start, stop = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
    rest = content[:start] + content[stop:]
    return draw(st.sampled_from([content[:start], content[start:stop], rest]))


def _nest(draw: Callable[..., Any], content: bytes) -> bytes:
    opening, closing = draw(
        st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"{a=", b"}")])
    )
    place, depth = draw(st.integers(0, len(content))), draw(st.sampled_from([1, 30, 3000]))
    return content[:place] + opening * depth + closing * depth + content[place:]
