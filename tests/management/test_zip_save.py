"""`manage.py zip_save`: whole or not at all, and exit codes that scripts can use."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages
from django.core.management import CommandError, call_command

from tests.models import Book, Document, Folder

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _storages(settings: Any) -> None:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": memory, "exports": memory}


@pytest.fixture(autouse=True)
def documents() -> list[Document]:
    folder = Folder.objects.create(name="Owls")
    made = []
    for title in ("one", "two"):
        document = Document(title=title, folder=folder)
        document.file.save(f"{title}.jpg", ContentFile(title.encode() * 1000))
        made.append(document)
    return made


def save(*args: str, **options: Any) -> str:
    stderr = io.StringIO()
    call_command("zip_save", *args, stderr=stderr, **options)
    return stderr.getvalue()


def exit_code(*args: str, **options: Any) -> int:
    with pytest.raises(CommandError) as caught:
        save(*args, **options)
    return caught.value.returncode


def names(data: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_rows_are_saved_in_a_storage() -> None:
    assert "exports:a.zip" in save("tests.Document", "file", "--to", "exports:a.zip")
    with storages["exports"].open("a.zip") as file:
        assert names(file.read()) == ["one.jpg", "two.jpg"]
    with pytest.raises(CommandError, match="or pass --overwrite") as caught:
        save("tests.Document", "file", "--to", "exports:a.zip")
    assert caught.value.returncode == 1
    save("tests.Document", "file", "--to", "exports:a.zip", "--overwrite")


def test_rows_are_filtered_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    filters = ("--filter", "title__in=two,three", "--filter", "folder__isnull=no")
    save(
        "tests.Document",
        "file",
        "--to",
        str(path),
        *filters,
        "--name",
        "{folder.name}/{title}{ext}",
    )
    assert names(path.read_bytes()) == ["Owls/two.jpg"]
    assert [found.name for found in tmp_path.iterdir()] == ["a.zip"]


def test_a_folder_of_a_storage_is_saved(tmp_path: Path) -> None:
    store = storages["default"]
    assert isinstance(store, InMemoryStorage)
    for name in ("in/a.jpg", "in/deep/er/b.jpg", "inside.jpg"):
        store.save(name, ContentFile(b"data"))
    save("--prefix", "in/", "--to", str(tmp_path / "a.zip"))
    assert names((tmp_path / "a.zip").read_bytes()) == ["a.jpg", "deep/er/b.jpg"]


def test_an_archive_goes_to_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", output)
    save("tests.Document", "file", "--to", "-")
    assert names(output.buffer.getvalue()) == ["one.jpg", "two.jpg"]  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert exit_code("tests.Document", "file", "--to", "-") == 2


def test_a_missing_file_is_an_error_or_listed(documents: list[Document]) -> None:
    storages["default"].delete(documents[0].file.name)
    assert exit_code("tests.Document", "file", "--to", "exports:a.zip") == 1
    assert not storages["exports"].exists("a.zip")
    options = ("--missing", "report")
    assert exit_code("tests.Document", "file", "--to", "exports:a.zip", *options) == 3
    with storages["exports"].open("a.zip") as file:
        assert names(file.read()) == ["two.jpg", "MISSING.txt"]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["tests.Document", "--prefix", "in"],
        ["Document", "file"],
        ["tests.Nothing", "file"],
        ["tests.Document", "title"],
        ["tests.Document", "file", "--filter", "title"],
        ["tests.Document", "file", "--filter", "nothing=1"],
        ["tests.Document", "file", "--filter", "id=x"],
        ["--prefix", "in", "--storage", "nowhere"],
    ],
)
def test_wrong_arguments_have_an_exit_code_of_their_own(args: list[str]) -> None:
    assert exit_code(*args, "--to", "exports:a.zip") == 2


def test_what_looks_like_an_alias_has_to_be_one() -> None:
    assert exit_code("tests.Document", "file", "--to", "nowhere:a.zip") == 2


def test_what_was_interrupted_is_resumed(settings: Any, tmp_path: Path) -> None:
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    options = {"OPTIONS": {"location": tmp_path / "files"}}
    settings.STORAGES = {**settings.STORAGES, "default": files | options}
    for number, size in enumerate((9 << 20, 1000)):  # more than a part, and less
        Book().file.save(f"{number}.jpg", ContentFile(bytes(size)), save=True)
    path, token = tmp_path / "a.zip", tmp_path / "token"
    args = ("tests.Book", "file", "--to", str(path), "--resume", str(token))
    away = (tmp_path / "files/1.jpg").rename(tmp_path / "away.jpg")
    assert exit_code(*args) == 1
    assert token.exists()
    assert not path.exists()
    away.rename(tmp_path / "files/1.jpg")
    Book.objects.filter(file="1.jpg").update(title="another")
    save(*args)
    assert names(path.read_bytes()) == ["0.jpg", "1.jpg"]
    assert not token.exists()
    token.write_text("nonsense")
    assert exit_code(*args, "--overwrite") == 1


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    stderr = Terminal()
    call_command(
        "zip_save", "tests.Document", "file", "--to", str(tmp_path / "a.zip"), stderr=stderr
    )
    assert "100%" in stderr.getvalue()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--prefix", "nowhere", "--to", "exports:a.zip"], 1),
        (["--prefix", "../..", "--to", "exports:a.zip"], 2),
        (["tests.Document", "--to", "exports:a.zip", "--workers", "0"], 2),
        (["tests.Document", "--to", "-", "--resume", "token"], 2),
    ],
    ids=str,
)
def test_what_cannot_be_says_so_without_a_traceback(arguments: list[str], code: int) -> None:
    assert exit_code(*arguments) == code
    assert storages["exports"].listdir("") == ([], [])
