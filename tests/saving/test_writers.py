"""The writers of this machine's storages, and of those of which nothing is known."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from django_stream_zip.saving import NameRefusedError, SaveError, save_zip, sweep
from django_stream_zip.saving.writers.local import LocalFolder
from tests.support.kills import kill_again_and_again
from tests.support.saving import AT_ONCE, PartsContract, WriterContract


class TestFiles(PartsContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return FileSystemStorage(tmp_path)

    def left_over(self, store: Any) -> Any:
        files = [name for _, _, names in os.walk(store.location) for name in names]
        return [name for name in files if not name.endswith(".zip")]

    def test_permissions_are_those_of_the_storage(self, tmp_path: Path) -> None:
        store = FileSystemStorage(
            tmp_path, file_permissions_mode=0o640, directory_permissions_mode=0o750
        )
        save_zip(store, "a/b/c.zip", self.members())
        assert (tmp_path / "a/b/c.zip").stat().st_mode & 0o777 == 0o640
        assert [(tmp_path / path).stat().st_mode & 0o777 for path in ("a", "a/b")] == [0o750] * 2

    def test_a_long_name_leaves_room_for_a_temporary_one(self, store: Any) -> None:
        name = "ü" * 125 + ".zip"
        save_zip(store, name, self.members())
        assert store.exists(name)

    def test_a_file_in_place_of_a_folder_is_an_error(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(b"")
        with pytest.raises(OSError, match=r"a\.zip"):
            save_zip(store, "a.zip/b.zip", self.members())
        assert not self.left_over(store)

    @pytest.mark.parametrize("name", ["x" * 256, "\ud800.zip"])
    def test_a_name_that_no_file_can_have_is_refused_before_anything_is_read(
        self, store: Any, name: str
    ) -> None:
        members = self.members()
        for overwrite in (False, True):
            with pytest.raises(NameRefusedError, match=r"too long|can't be a file's name"):
                save_zip(store, name, members, overwrite=overwrite)
        assert members[0][4].opened == 0
        assert os.listdir(store.location) == []

    def test_a_directory_is_not_overwritten(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "a.zip").mkdir()
        members = self.members()
        with pytest.raises(NameRefusedError, match="directory"):
            save_zip(store, "a.zip", members, overwrite=True)
        assert members[0][4].opened == 0
        assert not self.left_over(store)

    def test_uploads_to_a_name_that_begins_like_it_are_not_swept(self, store: Any) -> None:
        parts = self.begun(store, "a.zip")
        assert sweep(store, "a", older_than=AT_ONCE) == 0
        assert sweep(store, "a.zip", older_than=AT_ONCE) == 1
        parts.abort()

    @pytest.mark.parametrize("call", ["create", "write", "sync", "rename"])
    def test_where_nobody_may_write_nothing_is_left(
        self, call: str, store: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Said for the system, as tests may run as root, who may write anywhere."""

        def refused(folder: LocalFolder, name: str, *args: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", name)

        monkeypatch.setattr(LocalFolder, call, refused)
        for workers in (1, 2):
            with pytest.raises(PermissionError):
                save_zip(store, name, self.members(), workers=workers, part_size=self.part_size)
        assert not self.left_over(store)

    def test_a_disk_without_room_for_the_marks_leaves_nothing(
        self, store: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = LocalFolder.create

        def refused(folder: LocalFolder, name: str) -> None:
            if ".parts." in name:
                raise OSError(errno.ENOSPC, "No space left on device", name)
            create(folder, name)

        monkeypatch.setattr(LocalFolder, "create", refused)
        with pytest.raises(OSError, match="No space"):
            self.begun(store, name)
        assert not self.left_over(store)

    def test_where_there_are_no_links_a_file_is_renamed(
        self, store: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def link(*args: Any, **kwargs: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
        save_zip(store, name, self.members())
        assert store.exists(name)
        assert not self.left_over(store)


class TestMemory(PartsContract):
    sweeps = False

    @pytest.fixture
    def store(self) -> Any:
        return InMemoryStorage()


class OwnStorage(FileSystemStorage):
    """Saves in a way of its own, so no writer knows how."""

    def _save(self, name: str, content: File[bytes]) -> str:
        return super()._save(name, content)


class TestAnyStorage(WriterContract):
    part_size = None
    overwrites = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return OwnStorage(tmp_path)

    def test_what_it_does_not_overwrite_stays(self, store: Any, name: str) -> None:
        save_zip(store, name, self.members())
        with pytest.raises(NameRefusedError, match="would save"):
            save_zip(store, name, self.members()[:1], overwrite=True)

    def test_a_storage_that_overwrites_may(self, tmp_path: Path, name: str) -> None:
        store = OwnStorage(tmp_path, allow_overwrite=True)
        save_zip(store, name, self.members())
        saved = save_zip(store, name, self.members()[:1], overwrite=True)
        assert store.size(name) == saved.length


class Renaming(InMemoryStorage):
    def _save(self, name: str, content: File[bytes]) -> str:
        return super()._save(f"renamed-{name}", content)


class Short(InMemoryStorage):
    def _save(self, name: str, content: File[bytes]) -> str:
        return super()._save(name, File(__import__("io").BytesIO(content.read(10)), name))


class Lossy(InMemoryStorage):
    def _save(self, name: str, content: File[bytes]) -> str:
        return super()._save(name, File(__import__("io").BytesIO(content.read()[:-1]), name))


@pytest.mark.parametrize(
    ("store", "error"),
    [(Renaming(), NameRefusedError), (Short(), SaveError), (Lossy(), SaveError)],
    ids=["renaming", "short", "lossy"],
)
def test_what_a_storage_did_not_save_as_it_was_told_is_deleted(
    store: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        save_zip(store, "a.zip", WriterContract().members())
    assert store.listdir("") == ([], [])


@pytest.mark.slow
def test_what_is_killed_leaves_what_can_be_swept_or_resumed(tmp_path: Path) -> None:
    store = FileSystemStorage(tmp_path / "files")
    kill_again_and_again(
        store,
        "django.core.files.storage.FileSystemStorage",
        {"location": str(store.location)},
        lambda: TestFiles().left_over(store),
        tmp_path,
    )


def test_a_file_that_becomes_too_long_leaves_nothing(tmp_path: Path) -> None:
    """As on a disk that is full: the operating system refuses to write on."""
    program = f"""
import resource, signal, os, django
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
django.setup()
from django.core.files.storage import FileSystemStorage
from tests.support.saving import stored
from django_stream_zip.saving import save_zip
for workers in (1, 2):
    try:
        members = [stored("a", bytes(300_000))]
        save_zip(FileSystemStorage({str(tmp_path)!r}), "a.zip", members, workers=workers,
                 part_size=50_000)
    except OSError as error:
        print(error.errno, os.listdir({str(tmp_path)!r}))
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert found.stdout.splitlines() == ["27 []"] * 2  # EFBIG
