"""The readers themselves: each reads what zipfile wrote, and refuses what is damaged."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyzipper

from tests.support import readers
from tests.support.readers import (
    BY_NAME,
    ReaderError,
    assert_reads,
    is_plain,
    pieces,
    verify_stream,
)

LONG = bytes(range(256)) * 500

FILES = {
    "hello.txt": b"Hello, archive.\n" * 1000,
    "folder/": b"",
    "folder/gr\u00fc\u00dfe \u6587\u4ef6 \U0001f600.txt": LONG,
    "[odd] *?;1": b"a pattern to some",
    "-dash @at": b"an option to some",
    "empty": b"",
    "last.bin": LONG[::-1],
}
ODD_FILES = {
    "/absolute": b"1",
    "../up": b"22",
    "back\\slash": b"333",
    "line\nbreak": b"4444",
    "a": b"55555",
    "a/b": b"666666",
    "long" * 100: b"7777777",
}
METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}

EVERY = pytest.mark.parametrize("name", BY_NAME)
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
EVERY_STREAM = pytest.mark.parametrize("name", [r.name for r in readers.READERS if r.verify])
EVERY_POUR = pytest.mark.parametrize("name", [r.name for r in readers.READERS if r.pour])
EVERY_AES = pytest.mark.parametrize("name", [r.name for r in readers.READERS if r.aes])


class Unseekable(io.RawIOBase):
    """A place to write to that makes zipfile write data descriptors."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)


def made(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return place.getvalue()


def encrypted(files: dict[str, bytes], password: str) -> bytes:
    place = io.BytesIO()
    with pyzipper.AESZipFile(
        place, "w", zipfile.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setpassword(password.encode())
        for name, content in files.items():
            archive.writestr(name, content)
    return place.getvalue()


def infos(data: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.infolist()


def flipped(data: bytes, name: str) -> bytes:
    """Change a bit in the middle of a member's compressed content."""
    info = next(info for info in infos(data) if info.filename == name)
    at = info.header_offset + 30 + len(name.encode()) + info.compress_size // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@EVERY
@EVERY_METHOD
def test_reads_what_zipfile_wrote(name: str, method: int) -> None:
    readers.require(name)
    assert_reads(made(FILES, method), FILES, only=[name])


@EVERY
def test_reads_data_descriptors(name: str) -> None:
    readers.require(name)
    place = Unseekable()
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in FILES.items():
            archive.writestr(member, content)
    assert_reads(bytes(place.written), FILES, only=[name])


@EVERY
@EVERY_METHOD
def test_refuses_a_cut_member(name: str, method: int) -> None:
    reader, data = readers.require(name), made(FILES, method)
    last = infos(data)[-1]
    with pytest.raises(ReaderError):
        reader.read(data[: last.header_offset + last.compress_size // 2], None)


@EVERY
@EVERY_METHOD
def test_refuses_a_missing_directory(name: str, method: int) -> None:
    reader, data = readers.require(name), made(FILES, method)
    without = data[: data.index(b"PK\x01\x02")]
    if name == "java":  # As the table says: it does not notice.
        assert reader.read(without, None) == FILES
        return
    with pytest.raises(ReaderError):
        reader.read(without, None)


@EVERY
@EVERY_METHOD
def test_refuses_a_changed_bit(name: str, method: int) -> None:
    reader = readers.require(name)
    with pytest.raises(ReaderError):
        reader.read(flipped(made(FILES, method), "hello.txt"), None)


@EVERY_POUR
def test_pours_out_odd_names(name: str) -> None:
    reader, data = readers.require(name), made(ODD_FILES)
    assert not is_plain(ODD_FILES)
    assert_reads(data, ODD_FILES, only=[name])
    with pytest.raises(ReaderError):
        reader.pour(flipped(made(FILES), "hello.txt"), None)


@pytest.mark.parametrize("name", readers.PYTHON_READERS)
def test_python_readers_give_odd_names(name: str) -> None:
    assert_reads(made(ODD_FILES), ODD_FILES, only=[name])


def test_all_read_an_archive_without_members() -> None:
    assert_reads(made({}), {})


@EVERY_AES
def test_reads_aes(name: str) -> None:
    reader = readers.require(name)
    data = encrypted(FILES, "p\u00e4ss {word} \u6587")
    assert_reads(data, FILES, "p\u00e4ss {word} \u6587", only=[name])
    for wrong in ("other", None):
        with pytest.raises(ReaderError):
            reader.read(data, wrong)


@EVERY_STREAM
def test_verifies_a_stream(name: str) -> None:
    data = made(FILES)
    assert verify_stream(pieces(data), name) == readers.summary_of(FILES)
    with pytest.raises(ReaderError):
        verify_stream(pieces(data[: len(data) // 2]), name)


@EVERY_STREAM
def test_a_stream_that_fails_says_so(name: str) -> None:
    readers.require(name)

    def failing() -> Iterator[bytes]:
        yield made(FILES)[:1000]
        raise RuntimeError("the source")

    with pytest.raises(RuntimeError, match="the source"):
        verify_stream(failing(), name)


@EVERY
def test_a_difference_is_an_error(name: str) -> None:
    readers.require(name)
    others = [FILES | {"hello.txt": b"other"}, FILES | {"new": b""}, dict(list(FILES.items())[1:])]
    for other in others:
        with pytest.raises(AssertionError, match="reads otherwise"):
            assert_reads(made(FILES), other, only=[name])


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@EVERY
def test_refuses_two_members_of_one_name(name: str) -> None:
    reader = readers.require(name)
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("same", b"1")
        archive.writestr("same", b"1")
    with pytest.raises(ReaderError):
        reader.read(place.getvalue(), None)


def test_a_missing_program_fails_on_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="7z needs 7z"):
        readers.require("7z")
    with pytest.raises(pytest.fail.Exception):
        readers.available()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="java needs java and javac"):
        readers.require("java")
    assert {reader.name for reader in readers.available()} >= set(readers.PYTHON_READERS)
