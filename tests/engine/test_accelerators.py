"""The engine with each accelerator and without: what is chosen, and that readers read all of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import stream_zip
from django_stream_zip.engine import accelerators
from django_stream_zip.engine.accelerators import FAST, ZLIB, Deflate
from django_stream_zip.engine.methods import deflated
from tests.engine.test_streams import MODE, TIME
from tests.support.readers import PYTHON_READERS, assert_reads
from tests.support.sources import chunked
from tests.support.strategies import contents

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = {"isal": "isal.isal_zlib", "zlib_ng": "zlib_ng.zlib_ng", "zlib": "zlib"}
TEXT = b"".join(b"%d;%d;some text\n" % (number, number * number) for number in range(50_000))
NOISE = random.Random(1).randbytes(600_000)


def required(package: str) -> Any:
    """Return an accelerator; without it skip the test, or fail it on CI."""
    if find_spec(package) is None:
        reason = f"{package} is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return pytest.importorskip(LIBRARIES[package])


EVERY_LIBRARY = pytest.mark.parametrize("package", LIBRARIES)

SCRIPT = """
import sys
for name in sys.argv[1].split():
    sys.modules[name] = None
import io, zipfile, zlib
from datetime import datetime
from django_stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_AUTO, ZIP_32, ZIP_AUTO, stream_zip
from django_stream_zip.engine import accelerators
from django_stream_zip.engine.methods import deflated

content = b"".join(b"%d;some text;" % number for number in range(100_000))
methods = [
    ZIP_32, ZIP_AUTO(len(content), 1), NO_COMPRESSION_32, NO_COMPRESSION_AUTO(len(content)),
    NO_COMPRESSION_AUTO(len(content), zlib.crc32(content)),
    deflated(len(content), accelerators.FAST), deflated(None, accelerators.FAST),
]
for workers in (0, 2):
    members = [
        (str(n), datetime(2024, 2, 29), 0o100644, method, [content])
        for n, method in enumerate(methods)
    ]
    archive = zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(members, workers=workers))))
    assert archive.testzip() is None
    assert [archive.read(name) == content for name in archive.namelist()] == [True] * len(methods)
print(accelerators.crc32.__module__, accelerators.FAST.library.__name__, accelerators.FAST.level)
"""


def chosen(hidden: list[str]) -> list[str]:
    """Return which CRC-32 and which deflate are chosen where some packages are hidden."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, " ".join(hidden)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("package", "hidden", "found"),
    [
        ("isal", [], ["zlib_ng.zlib_ng", "isal.isal_zlib", "2"]),
        ("isal", ["zlib_ng", "zlib_ng.zlib_ng"], [accelerators.__name__, "isal.isal_zlib", "2"]),
        ("zlib_ng", ["isal", "isal.isal_zlib"], ["zlib_ng.zlib_ng", "zlib_ng.zlib_ng", "6"]),
        ("zlib", ["isal", "zlib_ng"], ["zlib", "zlib", "6"]),
    ],
    ids=["both", "isal", "zlib-ng", "neither"],
)
def test_the_engine_takes_the_fastest_it_finds(
    package: str, hidden: list[str], found: list[str]
) -> None:
    required(package)
    assert chosen(hidden) == found


def test_what_is_documented_to_be_zlib_is_zlib() -> None:
    assert {deflate.library for deflate in ZLIB.values()} == {zlib}
    members = [("a", TIME, MODE, deflated(None, ZLIB[9]), [TEXT])]
    expected = zlib.compressobj(9, wbits=-15)
    data = b"".join(stream_zip(members))
    assert expected.compress(TEXT) + expected.flush() in data


@EVERY_LIBRARY
@given(content=contents(), start=st.integers(0, 2**32 - 1))
def test_all_have_one_crc_32(package: str, content: bytes, start: int) -> None:
    assert required(package).crc32(content, start) == zlib.crc32(content, start)


@EVERY_LIBRARY
@given(content=contents(), size=st.integers(1, 100_000), chunk_size=st.integers(1000, 100_000))
def test_blocks_make_one_stream(package: str, content: bytes, size: int, chunk_size: int) -> None:
    deflate = Deflate(required(package), 1)
    inflate = zlib.decompressobj(wbits=-15)
    starts = range(0, max(1, len(content)), max(size, len(content) // 20 + 1))
    for start in starts:
        stop = start + starts.step
        before = content[max(0, start - 32768) : start]
        block = deflate.block(content[start:stop], before, start == starts[-1])
        assert b"".join(map(inflate.decompress, chunked(block, chunk_size))) == content[start:stop]
    assert inflate.eof
    assert inflate.unused_data == b""


def levels(package: str) -> range:
    # ISA-L's level 0 is not used: it makes more of noise than the bound allows.
    return range(1, 4) if package == "isal" else range(10)


@EVERY_LIBRARY
@pytest.mark.parametrize("content", [TEXT, NOISE, b"", b"x"], ids=["text", "noise", "empty", "x"])
def test_the_bound_holds_at_any_level(package: str, content: bytes) -> None:
    library = required(package)
    for level in levels(package):
        deflate = Deflate(library, level)
        compressobj = deflate()
        data = b"".join(map(compressobj.compress, chunked(content, 5000))) + compressobj.flush()
        assert zlib.decompress(data, -15) == content
        assert len(data) <= deflate.bound(len(content))
        block = 40_000
        blocks = [
            deflate.block(content[at : at + block], b"", False)
            for at in range(0, len(content), block)
        ]
        length = len(b"".join(blocks)) + len(deflate.block(b"", b"", True))
        assert length <= accelerators.blocks_size_bound(len(content))


@EVERY_LIBRARY
@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("workers", [0, 2])
def test_readers_read_what_each_library_deflates(
    package: str, workers: int, password: str | None
) -> None:
    deflate = Deflate(required(package), 2)
    expected = {"text": TEXT, "noise": NOISE, "empty": b"", "short": TEXT[:5000]}
    members = [
        (name, TIME, MODE, deflated(size, deflate), list(chunked(content, 70_000)))
        for name, content in expected.items()
        for size in [len(content) if name != "noise" else None]
    ]
    data = b"".join(stream_zip(members, password=password, workers=workers))
    only = ["stream-unzip", "pyzipper"] if password else [*PYTHON_READERS, "pyzipper"]
    assert_reads(data, expected, password, only=only)


def test_a_dictionary_serves_every_library() -> None:
    for package in LIBRARIES:
        if find_spec(package):
            deflate = Deflate(required(package), 2)
            assert len(deflate.block(NOISE[:30_000], NOISE[:30_000], True)) < 3000


def test_a_method_shows_what_it_is_deflated_by() -> None:
    assert str(deflated(5, ZLIB[3])) == "ZIP_AUTO(5, 3)"
    assert str(deflated(None, ZLIB[3])) == "ZIP_AUTO(None, 3)"
    assert str(FAST).split()[-1] == str(FAST.level)
