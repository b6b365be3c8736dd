"""The `Range` and `If-Range` headers (RFC 9110 §13.1.5 and §14). Strings and numbers only."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Range(NamedTuple):
    """The bytes from `start` to `stop` (exclusive)."""

    start: int
    stop: int


class Unsatisfiable(NamedTuple):
    """A range that begins after the last byte."""


UNSATISFIABLE: Final = Unsatisfiable()

# §14.1.1 and §14.1.2: int-range = first-pos "-" [ last-pos ], suffix-range = "-" suffix-length.
# ASCII digits only; nineteen of them are more than any archive has.
_RANGE_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)")
_MAX_DIGITS: Final = 19
# "bytes=0-1,,," has one range and empty elements (§5.6.1.2). Nobody needs more commas than that.
_MAX_COMMAS: Final = 8


def requested_range(header: str | None, length: int) -> Range | Unsatisfiable | None:
    """Return the single range that a `Range` header asks of `length` bytes.

    None where the header is to be ignored, as §14.2 allows or demands: there is none, its unit is
    not bytes, it is malformed, or it asks for several ranges.
    """
    unit, equals, range_set = (header or "").partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes" or range_set.count(",") > _MAX_COMMAS:
        return None
    specs = [spec for element in range_set.split(",") if (spec := element.strip(" \t"))]
    match = _RANGE_SPEC.fullmatch(specs[0]) if len(specs) == 1 else None
    if match is None or match.group() == "-":
        return None
    first, last = match.groups()
    if not first:
        return _suffix(_number(last), length)
    start = _number(first)
    if last and _magnitude(last) < _magnitude(first):
        return None  # §14.1.2: invalid, and so ignored
    if start >= length:
        return UNSATISFIABLE
    return Range(start, min(_number(last) + 1, length) if last else length)


def if_range_holds(header: str | None, entity_tag: str) -> bool:
    """Return whether an `If-Range` header lets the range through (§13.1.5).

    The comparison is strong. A date never matches, as there is no Last-Modified.
    """
    return header is None or header.strip(" \t") == entity_tag


def _suffix(suffix_length: int, length: int) -> Range | Unsatisfiable:
    if not suffix_length or not length:
        return UNSATISFIABLE
    return Range(max(0, length - suffix_length), length)


def _magnitude(digits: str) -> tuple[int, str]:
    """Return what compares as the number does, of any length."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant[: _MAX_DIGITS + 1] or "0")
