"""`Range` and `If-Range`, by RFC 9110 §14 and §13.1.5, and what nobody should send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.delivery.ranges import UNSATISFIABLE, Range, if_range_holds, requested_range

TAG = '"0123456789abcdef"'


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        pytest.param("bytes=0-0", 0, 1, id="first byte"),
        pytest.param("bytes=9-9", 9, 10, id="last byte"),
        pytest.param("bytes=0-9", 0, 10, id="all"),
        pytest.param("bytes=0-", 0, 10, id="from the first on"),
        pytest.param("bytes=4-", 4, 10, id="from one on"),
        pytest.param("bytes=9-", 9, 10, id="from the last on"),
        pytest.param("bytes=2-5", 2, 6, id="in the middle"),
        pytest.param("bytes=2-10", 2, 10, id="to behind the end"),
        pytest.param("bytes=2-99999", 2, 10, id="far too much"),
        pytest.param("bytes=-1", 9, 10, id="suffix of one"),
        pytest.param("bytes=-10", 0, 10, id="suffix of all"),
        pytest.param("bytes=-100", 0, 10, id="suffix of more"),
        pytest.param("bytes=0000002-05", 2, 6, id="leading zeros"),
        pytest.param("BYTES=2-5", 2, 6, id="unit in upper case"),
        pytest.param("Bytes=2-5", 2, 6, id="unit in both cases"),
        pytest.param("bytes= 2-5 ", 2, 6, id="spaces around"),
        pytest.param("bytes=\t2-5\t", 2, 6, id="tabs around"),
        pytest.param("bytes=,2-5", 2, 6, id="empty element before"),
        pytest.param("bytes=2-5, ,,", 2, 6, id="empty elements behind"),
        pytest.param(f"bytes=0-{10**18}", 0, 10, id="19 digits"),
        pytest.param(f"bytes=0-{10**30}", 0, 10, id="31 digits"),
        pytest.param(f"bytes=0-{'9' * 10_000}", 0, 10, id="10,000 digits"),
        pytest.param(f"bytes=-{'9' * 10_000}", 0, 10, id="suffix of 10,000 digits"),
        pytest.param(f"bytes={'0' * 10_000}-0", 0, 1, id="10,000 zeros"),
    ],
)
def test_a_range_is_understood(header: str, start: int, stop: int) -> None:
    assert requested_range(header, 10) == Range(start, stop)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("bytes=10-", id="behind the last byte"),
        pytest.param("bytes=10-10", id="the byte behind the last"),
        pytest.param("bytes=99-100", id="far behind"),
        pytest.param("bytes=-0", id="suffix of nothing"),
        pytest.param("bytes=-000", id="suffix of nothing in more digits"),
        pytest.param(f"bytes={2**64}-", id="beyond 64 bits"),
        pytest.param(f"bytes={10**40}-{10**41}", id="41 digits"),
        pytest.param(f"bytes={'9' * 10_000}-", id="10,000 digits"),
    ],
)
def test_a_range_without_bytes_cannot_be_satisfied(header: str) -> None:
    assert requested_range(header, 10) is UNSATISFIABLE


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("bytes", id="unit only"),
        pytest.param("bytes=", id="no range"),
        pytest.param("bytes=-", id="hyphen"),
        pytest.param("bytes=,", id="comma"),
        pytest.param("=0-1", id="no unit"),
        pytest.param("bytes 0-1", id="space for equals sign"),
        pytest.param("bytes=5-3", id="backwards"),
        pytest.param(f"bytes={10**30}-3", id="backwards from afar"),
        pytest.param("bytes=0-1,4-5", id="two"),
        pytest.param("bytes=0-,-1", id="two that overlap"),
        pytest.param("bytes=0-1, 5-3", id="two of which one is malformed"),
        pytest.param("bytes=0-0" + ",0-0" * 5000, id="thousands"),
        pytest.param("bytes=0-0" + "," * 5000, id="thousands of commas"),
        pytest.param("bytes=" + "," * 5000 + "0-0", id="thousands of commas before"),
        pytest.param("items=0-1", id="other unit"),
        pytest.param("bites=0-1", id="similar unit"),
        pytest.param("bytes=a-b", id="letters"),
        pytest.param("bytes=0x1-0x2", id="hexadecimal"),
        pytest.param("bytes=1_0-2_0", id="underscores, which int() takes"),
        pytest.param("bytes=+1-+2", id="plus signs, which int() takes"),
        pytest.param("bytes=--1", id="minus minus"),
        pytest.param("bytes=1--2", id="negative end"),
        pytest.param("bytes=1-2-3", id="three numbers"),
        pytest.param("bytes=1 - 2", id="spaces inside"),
        pytest.param("bytes= 1 2-3", id="two numbers"),
        pytest.param("bytes=1.0-2.0", id="fractions"),
        pytest.param("bytes=1e1-2e1", id="exponents"),
        pytest.param("bytes=\u0661-\u0662", id="Arabic digits, which int() takes"),
        pytest.param("bytes=1-\uff12", id="full-width digit"),
        pytest.param("bytes=\u00b2-\u00b3", id="superscripts, which isdigit() takes"),
        pytest.param("bytes=0-1\n", id="line feed"),
        pytest.param("bytes=0-1\0", id="NUL"),
        pytest.param("bytes=0-1\xa0", id="no-break space"),
        pytest.param("bytes=0-1;q=1", id="parameter"),
        pytest.param("bytes==0-1", id="two equals signs"),
        pytest.param("bytes=bytes=0-1", id="twice the unit"),
        pytest.param('bytes="0-1"', id="quoted"),
        pytest.param("bytes=0-1/10", id="content range"),
    ],
)
def test_what_is_no_single_range_of_bytes_is_ignored(header: str | None) -> None:
    assert requested_range(header, 10) is None


@pytest.mark.parametrize(
    "header",
    [
        "x" * 2**20,
        "bytes=" + "," * 2**20,
        "bytes=" + "0-0," * 2**18,
        "bytes=" + " " * 2**20,
        "bytes=" + "-" * 2**20,
        "bytes=1-" + "0" * 2**20 + "x",
        "bytes=" + "9" * 2**19 + "-" + "1" * 2**19 + "-",
    ],
    ids=["unit", "commas", "ranges", "spaces", "hyphens", "digits", "numbers"],
)
def test_a_megabyte_of_header_is_ignored(header: str) -> None:
    assert requested_range(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])
def test_nothing_of_nothing_can_be_had(header: str) -> None:
    assert requested_range(header, 0) is UNSATISFIABLE


@given(
    length=st.integers(1, 2**63),
    first=st.integers(0, 2**64),
    last=st.none() | st.integers(0, 2**64),
)
def test_a_range_is_what_python_slices(length: int, first: int, last: int | None) -> None:
    found = requested_range(f"bytes={first}-{'' if last is None else last}", length)
    if last is not None and last < first:
        assert found is None
    elif first >= length:
        assert found is UNSATISFIABLE
    else:
        assert found == (first, length if last is None else min(last + 1, length))


@given(length=st.integers(1, 2**63), suffix=st.integers(1, 2**64))
def test_a_suffix_is_what_python_slices(length: int, suffix: int) -> None:
    assert requested_range(f"bytes=-{suffix}", length) == (max(0, length - suffix), length)


@given(header=st.text() | st.text("bytes=0123456789-, \t").map("bytes={}".format))
def test_any_text_gives_a_range_inside_or_none(header: str) -> None:
    found = requested_range(header, 100)
    if isinstance(found, Range):
        assert 0 <= found.start < found.stop <= 100
    else:
        assert found in (None, UNSATISFIABLE)


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        pytest.param(None, True, id="none"),
        pytest.param(TAG, True, id="the tag"),
        pytest.param(f" {TAG}\t", True, id="the tag with spaces"),
        pytest.param(f"W/{TAG}", False, id="weak"),
        pytest.param('"other"', False, id="other"),
        pytest.param(TAG.strip('"'), False, id="without quotes"),
        pytest.param(TAG.upper(), False, id="in upper case"),
        pytest.param(f'{TAG}, "other"', False, id="list"),
        pytest.param("*", False, id="star"),
        pytest.param("Thu, 29 Feb 2024 12:34:56 GMT", False, id="date"),
        pytest.param("", False, id="empty"),
        pytest.param('""', False, id="empty tag"),
        pytest.param("\0\xff\n", False, id="junk"),
        pytest.param(TAG * 50_000, False, id="a megabyte"),
    ],
)
def test_if_range_lets_only_the_very_tag_through(header: str | None, holds: bool) -> None:
    assert if_range_holds(header, TAG) is holds


@given(st.text().filter(lambda text: text.strip(" \t") != TAG))
def test_if_range_lets_nothing_else_through(header: str) -> None:
    assert not if_range_holds(header, TAG)
