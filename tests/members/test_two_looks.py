"""Contents are one state of their file: they look when they open it, and after its last byte."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.deconstruct import deconstructible

from django_stream_zip import stream_zip
from django_stream_zip.engine.methods import Coding
from django_stream_zip.members import file_member, files, storage_member
from django_stream_zip.members.build import ContentMember
from django_stream_zip.members.collect import Collector, StoredFile
from django_stream_zip.members.files import CHUNK_LENGTH
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from django_stream_zip.response import zip_response
from tests.support.contents import open_files

OLD = bytes(range(256)) * 1024  # some chunks
NEW = OLD[::-1]
TIME = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class Opening(FileSystemStorage):
    """Read through its own `open()`."""

    def _open(self, name: str, mode: str = "rb") -> File:
        return super()._open(name, mode)


class Streaming(FileSystemStorage):
    """Read through what django-storages may have one day."""

    def open_stream(self, name: str, start: int = 0, length: int | None = None) -> Any:
        stream = self.open(name)
        stream.seek(start)
        return stream


class Sizeless(InMemoryStorage):
    """Has no `size()`, as Django allows."""

    def size(self, name: str) -> int:
        raise NotImplementedError


class TenantStorage(FileSystemStorage):
    """Keeps the files of each tenant apart."""

    @property
    def location(self) -> str:  # type: ignore[override]
        return os.path.join(os.path.abspath(self._location), tenant.get())


class TenantPaths(FileSystemStorage):
    def path(self, name: str) -> str:
        return os.path.join(self.location, tenant.get(), name)


class OpeningTenantStorage(TenantStorage):
    def _open(self, name: str, mode: str = "rb") -> File:
        return super()._open(name, mode)


class StreamingTenantStorage(TenantStorage):
    open_stream = Streaming.open_stream


@deconstructible
class Containers(Storage):
    def __init__(self, container: Any = None, key: str = "secret") -> None:
        self.container = container


class Bare(Storage):
    """Has nothing that could be otherwise."""


class Unknown(Storage):
    def __init__(self, container: str = "a") -> None:
        self.container = container


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    write(path, OLD, TIME.timestamp())
    return path


def write(path: Path, data: bytes, at: float | None = None) -> None:
    """Write into a file where it is, which a rename would not."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(data)
        file.truncate()
    if at is not None:
        os.utime(path, (at, at))


BUILDERS: dict[str, Callable[[Path], ContentMember]] = {
    "file": lambda path: file_member(path),
    "known file": lambda path: file_member(path, size=len(OLD), modified_at=TIME),
    "stored file": lambda path: storage_member(FileSystemStorage(path.parent), path.name),
    "generic": lambda path: storage_member(Opening(path.parent), path.name),
    "stream": lambda path: storage_member(Streaming(path.parent), path.name),
}
EVERY_BUILDER = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def members_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def wsgi(members: Any, change: Callable[[], object]) -> bytes:
    response: Any = zip_response(RequestFactory().get("/"), members)
    change()
    try:
        return b"".join(response)
    finally:
        response.close()


def asgi(members: Any, change: Callable[[], object]) -> bytes:
    async def download() -> bytes:
        response: Any = zip_response(AsyncRequestFactory().get("/"), members)
        change()
        return b"".join([block async for block in response])

    return asyncio.run(download())


# Before it is opened.


@pytest.mark.parametrize("download", [wsgi, asgi])
@EVERY_BUILDER
def test_a_member_without_promises_is_read_as_it_is_when_its_turn_comes(
    build: Callable[[Path], ContentMember], download: Any, path: Path
) -> None:
    archive = download([build(path)], lambda: write(path, OLD + b"one more line\n"))
    assert members_of(archive) == {"app.log": OLD + b"one more line\n"}


@pytest.mark.parametrize("download", [wsgi, asgi])
@EVERY_BUILDER
def test_a_touched_member_without_promises_is_read(
    build: Callable[[Path], ContentMember], download: Any, path: Path
) -> None:
    assert members_of(download([build(path)], lambda: os.utime(path))) == {"app.log": OLD}


def test_in_memory_it_is_read_as_it_is_then(path: Path) -> None:
    storage = InMemoryStorage()
    storage.save("app.log", ContentFile(OLD))
    member = storage_member(storage, "app.log")
    storage.delete("app.log")
    storage.save("app.log", ContentFile(NEW + b"more"))
    assert members_of(b"".join(stream_zip([member]))) == {"app.log": NEW + b"more"}
    with pytest.raises(ContentChangedError):
        list(member[4].chunks())


@pytest.mark.parametrize("kind", ["file", "stored file", "generic", "stream"])
def test_what_was_described_is_read_or_nothing(kind: str, path: Path) -> None:
    content = BUILDERS[kind](path)[4]
    write(path, NEW, TIME.timestamp() + 5)
    with pytest.raises(ContentChangedError, match=r"app\.log was modified after"):
        next(iter(content.chunks()))


# While it is read.


def in_place(path: Path) -> None:
    write(path, NEW)


def with_its_time_put_back(path: Path) -> None:
    write(path, NEW, TIME.timestamp())


def shorter(path: Path) -> None:
    write(path, NEW[:1000])


def longer(path: Path) -> None:
    write(path, NEW + NEW)


def halved(path: Path) -> None:
    write(path, OLD[: len(OLD) // 2])


@pytest.mark.parametrize("change", [in_place, with_its_time_put_back, shorter, longer, halved])
@pytest.mark.parametrize("as_described", [True, False])
@pytest.mark.parametrize("kind", ["file", "known file", "stored file"])
def test_a_file_that_is_written_to_while_it_is_read_is_no_mixture(
    kind: str, as_described: bool, change: Callable[[Path], None], path: Path
) -> None:
    content, before = BUILDERS[kind](path)[4], open_files()
    chunks = iter(content.chunks()) if as_described else iter(content)
    next(chunks)
    change(path)
    with pytest.raises(ContentChangedError, match=r"app\.log was modified while"):
        list(chunks)
    assert open_files() == before


@pytest.mark.parametrize("kind", ["generic", "stream"])
@pytest.mark.parametrize("change", [in_place, shorter, halved, Path.unlink])
def test_any_storage_is_asked_again_after_the_last_byte(
    kind: str, change: Callable[[Path], None], path: Path
) -> None:
    for ask in (lambda content: iter(content), lambda content: iter(content.chunks())):
        write(path, OLD, TIME.timestamp())
        chunks = ask(BUILDERS[kind](path)[4])
        next(chunks)
        change(path)
        with pytest.raises(ContentChangedError, match=r"app\.log was modified while"):
            list(chunks)


@pytest.mark.parametrize("as_described", [True, False])
@pytest.mark.parametrize("kind", ["generic", "stream"])
def test_a_file_of_any_storage_is_looked_at_itself(
    kind: str, as_described: bool, path: Path
) -> None:
    for change in (with_its_time_put_back, longer):
        write(path, OLD, TIME.timestamp())
        content, before = BUILDERS[kind](path)[4], open_files()
        chunks = iter(content.chunks()) if as_described else iter(content)
        next(chunks)
        change(path)
        with pytest.raises(ContentChangedError, match=r"app\.log was modified while"):
            list(chunks)
        assert open_files() == before


@pytest.mark.parametrize("kind", ["file", "known file", "stored file", "generic", "stream"])
def test_what_grew_may_have_been_written_to_as_well(kind: str, path: Path) -> None:
    chunks = iter(BUILDERS[kind](path)[4])
    for _ in range(2):
        next(chunks)
    with path.open("r+b") as file:  # not where it begins; where it was read, and where it wasn't
        file.seek(CHUNK_LENGTH + 1000)
        file.write(NEW[: CHUNK_LENGTH * 2])
        file.seek(0, os.SEEK_END)
        file.write(b"one more line\n")
    with pytest.raises(ContentChangedError, match=r"app\.log was modified while"):
        list(chunks)


@pytest.mark.parametrize("kind", ["generic", "stream"])
def test_a_file_of_any_storage_may_grow(kind: str, path: Path) -> None:
    for start, stop in ((0, None), (10, None), (10, CHUNK_LENGTH + 20)):
        write(path, OLD, TIME.timestamp())
        chunks = iter(BUILDERS[kind](path)[4].chunks(start, stop))
        first = next(chunks)
        appended(path)
        assert first + b"".join(chunks) == OLD[start:stop]


def replaced(path: Path) -> None:
    path.with_suffix(".new").write_bytes(NEW)
    path.with_suffix(".new").replace(path)


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more line\n")


def linked(path: Path) -> None:
    os.link(path, path.with_suffix(".link"))


# Short files, which are read at once.


@pytest.mark.parametrize("kind", ["file", "known file", "stored file"])
def test_a_short_file_comes_at_once(kind: str, path: Path) -> None:
    for length in (1, 1000, CHUNK_LENGTH):
        write(path, OLD[:length], TIME.timestamp())
        content: Any = file_member(path)[4]
        if kind == "stored file":
            content = storage_member(FileSystemStorage(path.parent), path.name)[4]
        elif kind == "known file":
            content = file_member(path, size=length, modified_at=TIME)[4]
        before = open_files()
        assert content.whole() == OLD[:length] == b"".join(content.chunks()) == b"".join(content)
        write(path, NEW[: length + 1], TIME.timestamp() + 5)
        with pytest.raises(ContentChangedError):
            content.whole()
        assert open_files() == before


def test_what_is_long_or_of_unknown_length_does_not_come_at_once(path: Path) -> None:
    assert file_member(path)[4].whole() is None
    assert file_member(Path("/proc/self/status"))[4].whole() is None
    empty = path.with_name("empty")
    empty.touch()
    assert file_member(empty)[4].whole() is None
    declared_short = file_member(path, size=1000, modified_at=TIME)[4]
    with pytest.raises(ContentChangedError):
        declared_short.whole()
    assert storage_member(Opening(path.parent), path.name)[4].whole() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda path: write(path, NEW[:2000]),
        lambda path: write(path, NEW[:2000], TIME.timestamp()),
        shorter,
    ],
    ids=["in place", "time put back", "shorter"],
)
def test_a_short_file_that_is_written_to_while_it_is_read_is_no_mixture(
    change: Callable[[Path], None], path: Path
) -> None:
    write(path, OLD[:2000], TIME.timestamp())
    with path.open("rb") as file:
        opened = os.fstat(file.fileno())
        change(path)
        with pytest.raises(ContentChangedError, match=r"app\.log was modified while"):
            files._read_at_once("app.log", file.fileno(), opened)


@pytest.mark.parametrize("change", [replaced, appended, linked, Path.unlink])
def test_one_state_of_a_short_file_is_read(change: Callable[[Path], None], path: Path) -> None:
    write(path, OLD[:2000], TIME.timestamp())
    with path.open("rb") as file:
        opened = os.fstat(file.fileno())
        change(path)
        assert files._read_at_once("app.log", file.fileno(), opened) == OLD[:2000]


def test_a_range_of_a_file_that_is_written_to_is_no_mixture(path: Path) -> None:
    chunks = iter(file_member(path)[4].chunks(10, CHUNK_LENGTH + 20))
    next(chunks)
    in_place(path)
    with pytest.raises(ContentChangedError):
        list(chunks)


class ReplacedAfterReading(files.FileContent):
    """Its file becomes another one of the same size and time, each time it was read."""

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        yield from super().chunks(start, stop)
        path = Path(self._path)
        replaced(path)
        os.utime(path, (TIME.timestamp(), TIME.timestamp()))


@pytest.mark.parametrize("factory", [RequestFactory, AsyncRequestFactory])
def test_a_member_that_is_resumed_is_no_mixture_with_a_valid_checksum(
    factory: Any, path: Path
) -> None:
    member = file_member(path, compress=False)
    plan = Plan.of([member])
    assert plan is not None
    sent = b"".join(stream_zip([member]))[: len(OLD) // 2]
    members = [(*member[:4], ReplacedAfterReading.from_stat(str(path), None, None))]

    def response() -> Any:
        request = factory().get("/", headers={"Range": f"bytes={len(sent)}-"})
        made: Any = zip_response(request, members)
        assert (made.status_code, made["ETag"]) == (206, plan.entity_tag)
        return made

    async def read() -> bytes:
        return b"".join([block async for block in response()])

    rest = b"".join(response()) if factory is RequestFactory else asyncio.run(read())
    assert members_of(sent + rest) == {"app.log": OLD}


@pytest.mark.parametrize("download", [wsgi, asgi])
def test_an_archive_of_a_mixture_breaks_off(download: Any, path: Path) -> None:
    reading = file_member(path)

    class Disturbed:
        def __iter__(self) -> Iterator[bytes]:
            for number, chunk in enumerate(reading[4]):
                yield chunk
                if number == 1:
                    in_place(path)

    with pytest.raises(Exception, match="was modified while it was read"):
        download([(*reading[:4], Disturbed())], lambda: None)


@pytest.mark.parametrize("change", [replaced, appended, linked, Path.unlink])
@pytest.mark.parametrize("kind", ["file", "known file", "stored file"])
def test_one_state_of_a_file_is_read_to_its_end(
    kind: str, change: Callable[[Path], None], path: Path
) -> None:
    for ask in (lambda content: iter(content), lambda content: iter(content.chunks())):
        write(path, OLD, TIME.timestamp())
        chunks = ask(BUILDERS[kind](path)[4])
        first = next(chunks)
        change(path)
        assert first + b"".join(chunks) == OLD
        path.with_suffix(".link").unlink(missing_ok=True)


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="Linux only")
def test_a_file_that_says_it_has_no_bytes_may_have_some() -> None:
    assert b"processor" in b"".join(file_member("/proc/cpuinfo")[4])


# What can't be read.


def fifo(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [fifo, socket_file, device])
def test_what_is_no_file_is_refused_when_it_is_described(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "odd")
    with pytest.raises(PermissionError, match="odd"):
        file_member(tmp_path / "odd")
    with pytest.raises(PermissionError):
        storage_member(FileSystemStorage(tmp_path), "odd")
    # And does not block who opens it.
    with pytest.raises(OSError, match="odd"):
        list(file_member(tmp_path / "odd", size=5, modified_at=TIME)[4])


UNREADABLE = """
import os, sys
from django.conf import settings
settings.configure(USE_I18N=False)
from django.core.files.storage import FileSystemStorage
from django_stream_zip.members import file_member
from django_stream_zip.members.collect import Collector, StoredFile
folder = sys.argv[1]
storage = FileSystemStorage(folder)
# Imports what that user may not.
list(Collector(missing="report").members([StoredFile(storage, n) for n in ("open.jpg", "no")]))
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
files = [StoredFile(storage, "secret.jpg"), StoredFile(storage, "open.jpg")]
print([member[0] for member in Collector(missing="report").members(files)])
try:
    file_member(folder + "/secret.jpg")
except PermissionError as error:
    print(error.filename == folder + "/secret.jpg")
"""


def test_a_file_that_may_not_be_read_is_refused_when_it_is_described() -> None:
    # Not in `tmp_path`, which is for one user only.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("secret.jpg", "open.jpg"):
            Path(folder, name).write_bytes(b"x")
        Path(folder, "open.jpg").chmod(0o644)
        Path(folder, "secret.jpg").chmod(0)
        command = [sys.executable, "-c", UNREADABLE, folder]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["['open.jpg', 'MISSING.txt']", "True"], done.stderr


# What tells states apart on this machine only.


def test_a_file_edited_with_its_time_put_back_has_another_local_state(path: Path) -> None:
    build = BUILDERS["stored file"]
    before, same = build(path)[4], build(path)[4]
    with_its_time_put_back(path)
    after = build(path)[4]
    assert before.local_state == same.local_state  # type: ignore[attr-defined]
    assert before.local_state != after.local_state  # type: ignore[attr-defined]
    assert (before.identity, before.validator) == (after.identity, after.validator)


@pytest.mark.parametrize("kind", ["file", "stored file", "generic"])
def test_a_file_modified_a_moment_ago_has_not_settled(kind: str, path: Path) -> None:
    assert BUILDERS[kind](path)[4].is_settled  # type: ignore[attr-defined]
    write(path, OLD)
    assert not BUILDERS[kind](path)[4].is_settled  # type: ignore[attr-defined]


# Storages without a size.


@pytest.mark.parametrize("compress", [None, True, False])
def test_what_a_storage_does_not_know_the_size_of_is_deflated(compress: bool | None) -> None:
    storage = Sizeless()
    storage.save("photo.jpg", ContentFile(OLD))
    member = storage_member(storage, "photo.jpg", compress=compress)
    assert (member[4].size, member[4].validator) == (None, None)
    assert member[3].coding is Coding.DEFLATE
    assert members_of(b"".join(stream_zip([member]))) == {"photo.jpg": OLD}


def test_what_the_caller_knows_of_it_is_believed() -> None:
    storage = Sizeless()
    storage.save("photo.jpg", ContentFile(OLD))
    member = storage_member(storage, "photo.jpg", size=len(OLD))
    assert member[3].coding is Coding.STORE
    assert members_of(b"".join(stream_zip([member]))) == {"photo.jpg": OLD}
    (found,) = Collector().members([StoredFile(storage, "photo.jpg")])
    assert found[4].size is None


# Which file it is, is settled when the member is made.


@pytest.mark.parametrize(
    "storage_class", [TenantStorage, TenantPaths, OpeningTenantStorage, StreamingTenantStorage]
)
@pytest.mark.parametrize("known", [{}, {"size": 5, "modified_at": TIME}], ids=["asked", "known"])
def test_the_file_is_that_of_the_tenant_whose_member_it_is(
    storage_class: type[FileSystemStorage], known: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("one", "two", "nobody"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.jpg", f"{name:5.5}".encode(), TIME.timestamp())
    storage, members = storage_class(tmp_path), {}
    for name in ("one", "two"):
        token = tenant.set(name)
        members[name] = storage_member(storage, "a.jpg", f"{name}.jpg", **known)
        tenant.reset(token)
    expected = {"one.jpg": b"one  ", "two.jpg": b"two  "}
    assert members_of(wsgi([*members.values()], lambda: None)) == expected
    assert members["one"][4].identity != members["two"][4].identity
    # Two may read one content at once.
    pairs = list(zip(members["one"][4], members["one"][4].chunks(), strict=True))
    assert pairs == [(b"one  ", b"one  ")]


def tag(storage: Storage) -> str | None:
    plan = Plan.of([storage_member(storage, "a.jpg", size=5, modified_at=TIME)])
    assert plan is not None
    return plan.entity_tag


def test_storages_that_were_made_otherwise_are_told_apart() -> None:
    made = [
        Containers(),
        Containers("a"),
        Containers("b"),
        Containers("a", key="other"),
        Containers(Path("b") / "c"),
        Containers(["a", {"b": 1}]),
        Containers(Containers("a")),
        Containers(b"a"),
        Bare(),
    ]
    tags = {tag(storage) for storage in made}
    assert len(tags) == len(made)
    assert None not in tags
    assert tag(Containers("a")) == tag(Containers("a"))
    content = storage_member(Containers("a"), "a.jpg", size=5, modified_at=TIME)[4]
    assert "secret" not in content.identity


@pytest.mark.parametrize(
    "storage", [Unknown(), Containers(object()), Containers(len), Containers(Unknown())]
)
def test_of_storages_that_cannot_be_told_apart_nothing_is_promised(storage: Storage) -> None:
    assert tag(storage) is None


TAGGED = """
from django.conf import settings
settings.configure()
from tests.members.test_two_looks import Containers, tag
print(tag(Containers({"b": "x", "a": [1, None, 2.5]})))
"""


def test_a_tag_is_the_same_in_each_process() -> None:
    tags = set()
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", TAGGED],
            check=True,
            capture_output=True,
            env=environment,
        )
        tags.add(done.stdout)
    assert len(tags) == 1
    assert tags != {b"None\n"}
