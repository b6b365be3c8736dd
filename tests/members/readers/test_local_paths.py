"""Where a FileReader looks for a file: always where `storage.path()` says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from hypothesis import example, given
from hypothesis import strategies as st

from django_stream_zip.members.readers.local import FileReader


class Relative(FileSystemStorage):
    location = "media"  # type: ignore[assignment]


class Typed(FileSystemStorage):
    location = Path("/srv/media")  # type: ignore[assignment]


class Moved(FileSystemStorage):
    def path(self, name: str) -> str:
        return f"/moved/{name}"


def patched() -> FileSystemStorage:
    storage = FileSystemStorage("/srv/media")
    storage.path = lambda name: f"/patched/{name}"  # type: ignore[method-assign]
    return storage


STORAGES = {
    "usual": FileSystemStorage("/srv/media"),
    "root": FileSystemStorage("/"),
    "unusual": FileSystemStorage("//srv/./media//x/../"),
    "relative": Relative(),
    "pathlib": Typed(),
    "moved": Moved("/srv/media"),
    "patched": patched(),
}
PIECES = ["a", "b.jpg", "/", "/", ".", "..", "\\", ":", " ", "\n", "é", "../../srv/media/", "media"]
NAMES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


def outcome(path: Callable[[], str]) -> str | type[Exception]:
    try:
        return path()
    except SuspiciousFileOperation as error:
        return type(error)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@given(name=NAMES)
@example(name="")
@example(name="photos/IMG_1.jpg")
@example(name="../media/a")
@example(name="..a/.b")
def test_the_path_is_the_storages(storage: FileSystemStorage, name: str) -> None:
    found = outcome(lambda: FileReader(storage, name)._path)
    assert found == outcome(lambda: storage.path(name))


def test_a_relative_location_is_of_where_the_process_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert FileReader(Relative(), "a")._path == os.path.join(tmp_path, name, "media", "a")


def test_a_location_is_asked_for_each_file(tmp_path: Path) -> None:
    storage = FileSystemStorage(tmp_path / "one")
    before = FileReader(storage, "a")
    storage.location = str(tmp_path / "two")
    assert before._path == str(tmp_path / "one" / "a")
    assert FileReader(storage, "a")._path == str(tmp_path / "two" / "a")
