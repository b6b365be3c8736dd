"""Every method, with sizes around those of blocks, is read by every reader this machine has."""

from __future__ import annotations

import base64
import json
import os
import random
import stat
import subprocess
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from django_stream_zip import NO_COMPRESSION_AUTO, ZIP_32, Method, stream_zip
from django_stream_zip.engine.accelerators import FAST
from django_stream_zip.engine.methods import deflated
from tests.support import npm, readers
from tests.support.readers import BY_NAME, ReaderError, assert_reads, require
from tests.support.strategies import METHODS

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
FILE, FOLDER = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755
SIZES = (0, 1, 65535, 65536, 300000)
PASSWORD = "pässword {5} 文"

# What readers say of methods that they can't read, though the format allows them.
LIMITS = {
    # JDK-8303866: older ones expect a descriptor of 64 bits behind 4 GiB only.
    ("java", "ZIP_64"): "invalid entry size",
}

# One small member of Zip64 with a descriptor, made by hand: what LIMITS is about.
SMALL_ZIP64 = bytes.fromhex(
    """
    504b0304 2d00 0800 0800 0000 2100 00000000 ffffffff ffffffff 0100 1400 61
    0100 1000 0000000000000000 0000000000000000
    010100feff78
    504b0708 8316dc8c 0600000000000000 0100000000000000
    """
)


NOISE = random.Random(1)
# Half noise and half text, so that deflate has both.
FILES = {
    f"folder {size}/{size}.bin": NOISE.randbytes(size // 2) + b"t" * (size - size // 2)
    for size in SIZES
}


def written(method: str, password: str | None, chunk: int = 8000) -> bytes:
    members = (
        (
            name,
            TIME,
            FILE,
            METHODS[method](content),
            [content[start : start + chunk] for start in range(0, len(content), chunk)],
        )
        for name, content in FILES.items()
    )
    return b"".join(stream_zip(members, password=password))


def refusal(reader: str, data: bytes) -> str:
    """Return what the reader says against an archive."""
    try:
        BY_NAME[reader].read(data, None)
    except ReaderError as error:
        return str(error)
    return ""


@cache
def is_limited(reader: str, method: str) -> bool:
    """Return whether this version of the reader refuses such members, whoever has made them."""
    said = LIMITS.get((reader, method))
    return said is not None and said in refusal(reader, SMALL_ZIP64)


def test_the_sizes_are_those_of_the_table() -> None:
    assert tuple(map(len, FILES.values())) == SIZES


@pytest.mark.parametrize("reader", BY_NAME)
@pytest.mark.parametrize("method", METHODS)
def test_every_reader_reads_every_method(method: str, reader: str) -> None:
    require(reader)
    if is_limited(reader, method):
        member = ("a", TIME, FILE, METHODS[method](b"x"), [b"x"])
        assert LIMITS[reader, method] in refusal(reader, b"".join(stream_zip([member])))
        return
    assert_reads(written(method, None), FILES, only=[reader])


@pytest.mark.parametrize("reader", [reader.name for reader in readers.READERS if reader.aes])
@pytest.mark.parametrize("method", METHODS)
def test_every_reader_that_knows_aes_decrypts_every_method(method: str, reader: str) -> None:
    require(reader)
    assert_reads(written(method, PASSWORD), FILES, PASSWORD, only=[reader])


@pytest.mark.parametrize("reader", [reader.name for reader in readers.READERS if reader.aes])
@pytest.mark.parametrize("password", ["x" * 99, "文" * 33], ids=["x", "文"])
def test_the_longest_password_opens(password: str, reader: str) -> None:
    require(reader)
    assert_reads(written("ZIP_32", password), FILES, password, only=[reader])


@pytest.mark.parametrize("reader", [reader.name for reader in readers.READERS if reader.aes])
def test_a_wrong_password_opens_nothing(reader: str) -> None:
    require(reader)
    with pytest.raises(ReaderError):
        BY_NAME[reader].read(written("ZIP_32", PASSWORD), "wrong")


@pytest.mark.parametrize("reader", BY_NAME)
def test_every_reader_reads_all_methods_in_one_archive(reader: str) -> None:
    require(reader)
    methods = {name: make for name, make in METHODS.items() if not is_limited(reader, name)}
    contents = {f"{number}.txt": b"content " * number * 999 for number in range(len(methods))}
    members = (
        (name, TIME, FILE, make(content), [content])
        for (name, content), make in zip(contents.items(), methods.values(), strict=True)
    )
    assert_reads(b"".join(stream_zip(members)), contents, only=[reader])


@pytest.mark.parametrize("password", [None, PASSWORD], ids=["plain", "encrypted"])
@pytest.mark.parametrize("method", ["ZIP_32", "NO_COMPRESSION_32", "NO_COMPRESSION_AUTO(size)"])
def test_every_reader_knows_folders_and_names(method: str, password: str | None) -> None:
    files = {
        "folder/": b"",
        "folder/grüße 文件 😀.txt": b"hello",
        "empty folder/": b"",
        "a" * 255: b"a long name",
        "/".join(["deep"] * 30): b"a long path",
    }
    members = [
        (name, TIME, FOLDER if name.endswith("/") else FILE, METHODS[method](content), [content])
        for name, content in files.items()
    ]
    assert_reads(b"".join(stream_zip(members, password=password)), files, password)


def test_every_reader_reads_an_archive_without_members() -> None:
    assert_reads(b"".join(stream_zip([])), {})


@pytest.mark.parametrize("year", [1, 1970, 1979, 1980, 2038, 2040, 2107, 2108, 9999])
def test_every_reader_reads_any_time(year: int) -> None:
    member = ("a", datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC), 0o100644, ZIP_32, [b"x"])
    data = b"".join(stream_zip([member]))
    assert_reads(data, {"a": b"x"}, only=["zipfile", "stream-unzip", "unzip", "bsdtar"])


# What builders make is read from a pipe by all who read pipes, npm's unzipper among them.

BUILT: dict[str, Callable[[bytes], Method]] = {
    "stored": lambda content: NO_COMPRESSION_AUTO(len(content), zlib.crc32(content)),
    "stored blocks": lambda content: NO_COMPRESSION_AUTO(len(content)),
    "deflated": lambda content: deflated(len(content), FAST),
    "deflated of unknown size": lambda content: deflated(None, FAST),
}


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.node_modules("unzipper", tmp_path_factory.mktemp("node"))


def built(kind: str) -> tuple[bytes, dict[str, bytes]]:
    files = {"folder/": b"", **FILES, "last.txt": b"the last"}
    members = [
        (name, TIME, FOLDER if name.endswith("/") else FILE, BUILT[kind](content), [content])
        for name, content in files.items()
    ]
    return b"".join(stream_zip(members)), files


@pytest.mark.parametrize("kind", BUILT)
def test_what_builders_make_is_read_by_unzipper(kind: str, node_modules: Path) -> None:
    data, files = built(kind)
    script = readers.JAVA_SOURCE.parents[1] / "node" / "unzipper.js"
    environment = {**os.environ, "NODE_PATH": str(node_modules)}
    done = subprocess.run(
        ["node", str(script)], input=data, capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = {name: base64.b64decode(content) for name, content in json.loads(done.stdout).items()}
    assert {name: found.get(name, b"") for name in files} == files


@pytest.mark.parametrize("reader", [reader.name for reader in readers.READERS])
@pytest.mark.parametrize("kind", BUILT)
def test_what_builders_make_is_read_by_every_reader(kind: str, reader: str) -> None:
    require(reader)
    data, files = built(kind)
    assert_reads(data, files, only=[reader])
