"""The archive's comment: where it is written, and what can't be one."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import NO_COMPRESSION_64, ZIP_32, ZipValueError, async_stream_zip, stream_zip
from tests.support.readers import assert_reads

MEMBERS = [("a.txt", datetime(2026, 1, 31), 0o100644, ZIP_32, (b"abc",))]
ZIP64 = [("a.txt", datetime(2026, 1, 31), 0o100644, NO_COMPRESSION_64(3, 0x352441C2), (b"abc",))]


def archive(comment: str, members: Any = MEMBERS) -> bytes:
    return b"".join(stream_zip(members, comment=comment))


def comment_of(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return opened.comment


@pytest.mark.parametrize("members", [MEMBERS, ZIP64, []], ids=["plain", "Zip64", "empty"])
def test_every_end_record_has_it(members: Any) -> None:
    data = archive("Für Zoë", members)
    assert comment_of(data) == "Für Zoë".encode()
    assert data == archive("", members)[:-2] + b"\x09\x00" + "Für Zoë".encode()


def test_readers_open_an_archive_with_the_longest_comment() -> None:
    assert_reads(archive("x" * 65535), {"a.txt": b"abc"})


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_any_text_can_be_one(comment: str) -> None:
    assert comment_of(archive(comment)) == comment.encode()


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("x" * 65536, "comment has 65,536 bytes in UTF-8, at most 65,535 fit"),
        ("ü" * 32768, "comment has 65,536 bytes"),
        ("\ud800", "comment can't be written as UTF-8"),
        ("PK\5\6", "signature of an archive's end"),
    ],
)
def test_what_cant_be_one_is_refused_before_the_first_byte(comment: str, words: str) -> None:
    with pytest.raises(ZipValueError, match=words):
        stream_zip(MEMBERS, comment=comment)


def test_bytes_are_no_text() -> None:
    with pytest.raises(TypeError, match="expected comment to be text, got bytes"):
        stream_zip(MEMBERS, comment=b"abc")  # type: ignore[arg-type]


def test_the_asynchronous_engine_writes_the_same() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    async def members() -> AsyncIterator[Any]:
        yield (*MEMBERS[0][:4], chunks())

    async def made() -> bytes:
        return b"".join([block async for block in async_stream_zip(members(), comment="Für Zoë")])

    assert asyncio.run(made()) == archive("Für Zoë")


@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip isn't installed")
def test_unzip_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive("what it is"))
    shown = subprocess.run(["unzip", "-z", path], capture_output=True, check=True, text=True)
    assert "what it is" in shown.stdout
