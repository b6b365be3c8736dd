"""A task engine for the tests: tasks are kept until they are run, one by one or in threads."""

from __future__ import annotations

import random
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_stream_zip import stream_zip
from django_stream_zip.exports import State, ZipExport, request_zip, run_task
from django_stream_zip.exports.registry import recipe_of
from django_stream_zip.saving.writers.local import FileWriter, LocalFolder
from django_stream_zip.saving.writers.temporary import TemporaryUpload
from tests.models import Document
from tests.support.counting import TIME

#: What was enqueued and has not been run.
queue: deque[tuple[Any, ...]] = deque()


def keep(*task: Any) -> None:
    """Keep a task: the function of the setting ENQUEUE."""
    queue.append(task)


def run_all(number: int = 1000) -> int:
    """Run what is enqueued, and what that enqueues; return how many tasks it were."""
    for done in range(number):
        if not queue:
            return done
        run_task(*queue.popleft())
    raise AssertionError("tasks enqueue each other for ever")


def not_published() -> ZipExport:
    """Request an archive and make it, but for its end, where the worker fails."""
    export = requested()
    with (
        mock.patch.object(LocalFolder, "rename", side_effect=ConnectionError("cut")),
        pytest.raises(ConnectionError),
    ):
        run_all()
    assert again(export).state == State.FINISHING
    return export


def run_in_threads(number: int = 4) -> None:
    """Run the same with several workers.

    A database in memory doesn't wait for who has a table locked: such a task is run again.
    """
    locked: list[tuple[Any, ...]] = []

    def work() -> None:
        try:
            while queue:
                with suppress(IndexError):  # another worker was faster
                    run(queue.popleft())
        finally:
            close_connections()

    def run(task: tuple[Any, ...]) -> None:
        try:
            run_task(*task)
        except OperationalError:
            locked.append(task)

    while queue:
        with ThreadPoolExecutor(number) as pool:
            for future in [pool.submit(work) for _ in range(number)]:
                future.result()
        if locked:
            ZipExport.objects.update(heartbeat=None)
            queue.extend(locked)
            # What is only to be published is nothing for those: the sweep has it done.
            finishing = ZipExport.objects.filter(state=State.FINISHING)
            queue.extend(("build_export", str(export.pk)) for export in finishing)
            locked.clear()


def close_connections() -> None:
    """Close those of this thread; SQLite's own method keeps one that is a database in memory."""
    for connection in connections.all(initialized_only=True):
        BaseDatabaseWrapper.close(connection)


def content_of(title: str, size: int) -> bytes:
    """Return what is in a document."""
    return random.Random(title).randbytes(size)


def make_documents(storage: Any, prefix: str, sizes: list[int]) -> list[Document]:
    """Make documents of these sizes, whose rows tell all of them."""
    made = []
    for number, size in enumerate(sizes):
        title = f"{prefix}{number}"
        data = content_of(title, size)
        storage.files[f"{title}.pdf"] = data
        fields = {"size": size, "crc_32": zlib.crc32(data), "uploaded_at": TIME}
        made.append(Document.objects.create(title=title, file=f"{title}.pdf", **fields))
    return made


def make_user(name: str = "ada", **fields: Any) -> User:
    """Make a user who may have everything."""
    return User.objects.get_or_create(username=name, defaults=fields)[0]


def requested(recipe: str = "documents", /, **arguments: Any) -> ZipExport:
    """Request an archive."""
    if "owner" not in arguments:
        arguments["owner"] = make_user()
    found: Any = request_zip(recipe, **arguments)
    return found


def again(export: Any) -> ZipExport:
    """Return the row as it is now."""
    found: ZipExport = type(export).objects.get(pk=export.pk)
    return found


def streamed(export: Any) -> bytes:
    """Return the archive as a download has it."""
    members = recipe_of(export.recipe).members(**export.arguments)
    return b"".join(stream_zip(members))


def stored(export: Any, root: Path) -> bytes:
    """Return the archive as it is stored, after looking whether it can be read."""
    data = (root / export.file).read_bytes()
    with ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
    return data


def files_in(root: Path) -> list[str]:
    """Return the names of all files, also of those that are not published."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class PlainStorage(FileSystemStorage):
    """A storage that nobody has a writer for: it saves in its own way."""

    def _save(self, name: Any, content: Any) -> str:
        return super()._save(name, content)


def unreachable(*task: Any) -> None:
    """Raise what an engine does whose broker is away."""
    raise ConnectionError("no broker")


class ForgetfulStorage(FileSystemStorage):
    """A storage that keeps parts, but not their CRC-32s."""


class ForgetfulWriter(FileWriter):
    """Its writer."""

    def _begin(self, token: Any) -> Any:
        return self.reopen(super()._begin(token).token)

    def reopen(self, token: Any) -> Any:
        return ForgetfulUpload(token, self._folder())


class ForgetfulUpload(TemporaryUpload):
    """Its upload."""

    def parts(self) -> dict[int, Any]:
        return {number: part._replace(crc_32=None) for number, part in super().parts().items()}


def strict_policy(get_response: Any) -> Any:
    """Allow no script and no style but those of the site's own files: middleware."""

    def answer(request: Any) -> Any:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    return answer
