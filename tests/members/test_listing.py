"""Members of whole folders: which files are found, how they are named, what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.test import RequestFactory

from django_stream_zip.members import (
    TooManyBytesError,
    TooManyMembersError,
    folder_members,
    storage_members,
)
from django_stream_zip.response import zip_response
from tests.support.readers import assert_reads

FILES = ["b.pdf", "a.pdf", "c/d/e.pdf", "c/f.txt", ".hidden", ".git/config", "c/.env"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "folder" / "empty").mkdir()
    return tmp_path / "folder"


def names_of(members: list[Any]) -> list[str]:
    return [member[0] for member in members]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*", ["a.pdf", "b.pdf", "c/d/e.pdf", "c/f.txt"]),
        ("**/*.pdf", ["a.pdf", "b.pdf", "c/d/e.pdf"]),
        ("*.pdf", ["a.pdf", "b.pdf"]),
        ("c/*", ["c/f.txt"]),
        ("**/.*", [".hidden", "c/.env"]),
        ("*.jpg", []),
    ],
)
def test_a_pattern_chooses_files(folder: Path, pattern: str, names: list[str]) -> None:
    assert names_of(folder_members(folder, pattern)) == names


def test_a_folder_is_an_archive_with_ranges(folder: Path) -> None:
    response: Any = zip_response(RequestFactory().get("/"), folder_members(str(folder), "**/*.pdf"))
    assert response.headers["Accept-Ranges"] == "bytes"
    data = b"".join(response.streaming_content)
    assert_reads(data, {name: name.encode() for name in ("a.pdf", "b.pdf", "c/d/e.pdf")})


def test_names_can_be_others(folder: Path, tmp_path: Path) -> None:
    members = folder_members(folder, "*.pdf", name=lambda path: f"2026/{path.upper()}")
    assert names_of(members) == ["2026/A.PDF", "2026/B.PDF"]
    storage = FileSystemStorage(tmp_path)
    assert names_of(storage_members(storage, "folder/c/d", name="x/{}".format)) == ["x/e.pdf"]


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.pdf").write_text("secret")
    (folder / "link.pdf").symlink_to(tmp_path / "secret" / "key.pdf")
    (folder / "inside.pdf").symlink_to(folder / "a.pdf")
    (folder / "secret").symlink_to(tmp_path / "secret")
    (folder / "c" / "up").symlink_to(folder)
    for members in (
        folder_members(folder, "**/*.pdf"),
        folder_members(folder, "secret/*.pdf"),
        storage_members(FileSystemStorage(folder)),
    ):
        assert not {"link.pdf", "inside.pdf", "secret/key.pdf"} & set(names_of(members))
    (tmp_path / "current").symlink_to(folder)  # the folder itself may be one
    assert names_of(folder_members(tmp_path / "current", "*.pdf")) == ["a.pdf", "b.pdf"]


def test_a_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe.pdf")
    assert names_of(folder_members(folder, "*.pdf")) == ["a.pdf", "b.pdf"]
    assert "pipe.pdf" not in names_of(storage_members(FileSystemStorage(folder)))


@pytest.mark.parametrize("pattern", ["../*", "c/../../*", "/etc/*"])
def test_a_pattern_stays_in_the_folder(folder: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="leads out of the directory"):
        folder_members(folder, pattern)


def test_what_is_no_folder_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder_members(folder / "gone")
    with pytest.raises(NotADirectoryError):
        folder_members(folder / "a.pdf")
    with pytest.raises(TypeError, match="a path"):
        folder_members(5)  # type: ignore[arg-type]


def test_limits_are_those_of_rows(folder: Path, settings: Any) -> None:
    with pytest.raises(TooManyMembersError):
        folder_members(folder, limit=3)
    with pytest.raises(TooManyBytesError):
        storage_members(FileSystemStorage(folder), max_bytes=3)
    settings.DJANGO_STREAM_ZIP = {"MAX_MEMBERS": 3}
    with pytest.raises(TooManyMembersError):
        folder_members(folder)
    assert len(folder_members(folder, limit=None)) == 4


@pytest.mark.parametrize("storage", [InMemoryStorage(), "local"], ids=["memory", "local"])
def test_a_prefix_ends_where_a_name_does(storage: Any, tmp_path: Path) -> None:
    storage = FileSystemStorage(tmp_path) if storage == "local" else storage
    for name in ("user/1/a.pdf", "user/10/b.pdf", "user/1.pdf"):
        storage.save(name, ContentFile(b"x"))
    assert names_of(storage_members(storage, "user/1")) == ["a.pdf"]
    assert names_of(storage_members(storage, "/user/1/")) == ["a.pdf"]
    assert len(storage_members(storage)) == 3


@pytest.mark.parametrize("prefix", ["..", "a/../../b", "a//b", "./a", "..\\a"])
def test_a_prefix_stays_in_the_storage(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(SuspiciousFileOperation, match="is no folder of a storage"):
        storage_members(FileSystemStorage(tmp_path), prefix)


def test_a_storage_that_cannot_list_says_so() -> None:
    with pytest.raises(NotImplementedError):
        storage_members(Storage())


def test_a_prefix_comes_second() -> None:
    with pytest.raises(TypeError, match="in this order"):
        storage_members("prefix", InMemoryStorage())  # type: ignore[arg-type]
