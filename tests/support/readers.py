"""Readers of ZIP archives that this package did not make, for the tests to read archives with.

A reader gets an archive and gives the members' names and contents, or raises ReaderError.

============  ======  ====  ============  ====================================================
reader        reads   AES   names         does not notice when these are wrong
============  ======  ====  ============  ====================================================
zipfile       a file  no    up to a NUL   data descriptors; sizes and CRC in local headers
pyzipper      a file  yes   up to a NUL   the same
unzip         a file  no    plain ones    the same; sizes in the directory
7z            a file  yes   plain ones    data descriptors; names in local headers
bsdtar        a file  yes   plain ones    data descriptors; names in the directory; its end record
bsdtar-pipe   a pipe  yes   plain ones    the directory, past its first signature
java          a pipe  no    all           the directory, even when it is missing
stream-unzip  a pipe  yes   all           the directory, past its first signature
============  ======  ====  ============  ====================================================

So only readers of a pipe check data descriptors, and only readers of a file the directory.

The command line tools unpack into a folder, which works for plain names only (see is_plain): others
they rename, refuse or print otherwise. assert_reads has them pour out an archive with such names
as one stream instead, and compares that with the contents in order: it verifies all the contents,
and no names.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import pytest
import pyzipper
from stream_inflate import StreamInflateError
from stream_unzip import UnzipError, stream_unzip

# Odd on purpose: pieces begin and end anywhere in an archive's records.
PIECE = 4093

# The tools write names in the locale's encoding, and only this one is on every machine.
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}

# Stands for no password: without any, bsdtar tries for half a minute to ask for one.
NO_PASSWORD = "none"

JAVA_SOURCE = Path(__file__).parent / "java" / "ZipStreamList.java"

Files = dict[str, bytes]
Members = Iterator[tuple[str, Iterable[bytes]]]
Result = TypeVar("Result")


class ReaderError(Exception):
    """The reader does not accept the archive; says what the reader said."""


class Summary(NamedTuple):
    """What is kept of an archive too big to keep: names, and size and SHA-256 of all contents."""

    names: list[str]
    size: int
    sha256: str


def pieces(data: bytes, size: int = PIECE) -> Iterator[bytes]:
    """Cut an archive into the pieces a pipe reader gets."""
    return (data[start : start + size] for start in range(0, len(data), size))


# Members: what the readers give that read one member after another.


def _collect(members: Members) -> Files:
    files: Files = {}
    for name, content in members:
        if name in files:
            raise ReaderError(f"two members are named {name!r}")
        files[name] = b"".join(content)
    return files


def _summarise(members: Members) -> Summary:
    names, size, digest = [], 0, hashlib.sha256()
    for name, content in members:
        names.append(name)
        for piece in content:
            size += len(piece)
            digest.update(piece)
    return Summary(names, size, digest.hexdigest())


def _from_library(read: Callable[[], Result]) -> Result:
    try:
        return read()
    except ReaderError:
        raise
    except Exception as error:  # Bad archives make the libraries raise nearly anything.
        raise ReaderError(f"{type(error).__name__}: {error}") from error


def _zip_members(archive: zipfile.ZipFile) -> Members:
    bad = archive.testzip()
    if bad is not None:
        raise ReaderError(f"testzip: {bad!r} is damaged")
    for info in archive.infolist():
        yield info.filename, [archive.read(info)]


def read_zipfile(data: bytes, password: str | None = None) -> Files:
    """Read with Python's zipfile; it knows no AES."""

    def read() -> Files:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _collect(_zip_members(archive))

    return _from_library(read)


def read_pyzipper(data: bytes, password: str | None = None) -> Files:
    """Read with pyzipper, which is zipfile with AES."""

    def read() -> Files:
        with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
            if password is not None:
                archive.setpassword(password.encode())
            return _collect(_zip_members(archive))

    return _from_library(read)


def _stream_unzip(
    chunks: Iterable[bytes], password: str | None, use: Callable[[Members], Result]
) -> Result:
    secret = None if password is None else password.encode()
    members = stream_unzip(chunks, password=secret)
    with warnings.catch_warnings():
        # stream-unzip does not yet call pycryptodome 4 as that wants to be called.
        warnings.filterwarnings("ignore", "PBKDF2", DeprecationWarning, "stream_unzip")
        try:
            return use((name.decode(), content) for name, _, content in members)
        except (UnzipError, StreamInflateError, UnicodeError) as error:
            raise ReaderError(f"{type(error).__name__}: {error}") from error


def read_stream_unzip(data: bytes, password: str | None = None) -> Files:
    """Read with the package stream-unzip, as a stream."""
    return _stream_unzip(pieces(data), password, _collect)


def _verify_stream_unzip(chunks: Iterable[bytes], password: str | None) -> Summary:
    return _stream_unzip(chunks, password, _summarise)


# Command line tools, reading a file.


class Tool(NamedTuple):
    """The command lines of a tool; {archive}, {folder} and {password} are filled in."""

    test: list[str]
    names: list[str]
    unpack: list[str]
    pour: list[str]
    # Finds the names in what `names` prints.
    parse: Callable[[str], list[str]] = str.splitlines


def _names_of_7z(listing: str) -> list[str]:
    found = re.findall(r"^Path = (.*)\nFolder = ([+-])$", listing, re.MULTILINE)
    return [name + "/" * (folder == "+") for name, folder in found]


UNZIP = Tool(
    test=["unzip", "-tqq", "{archive}"],
    names=["unzip", "-Z1", "{archive}"],
    # -V: a name may end in ';1'.
    unpack=["unzip", "-qqV", "{archive}", "-d", "{folder}"],
    pour=["unzip", "-p", "{archive}"],
)
SEVEN_ZIP = Tool(
    test=["7z", "t", "-bd", "-p{password}", "{archive}"],
    names=["7z", "l", "-slt", "-ba", "-p{password}", "{archive}"],
    unpack=["7z", "x", "-bd", "-p{password}", "-o{folder}", "{archive}"],
    pour=["7z", "x", "-bd", "-so", "-p{password}", "{archive}"],
    parse=_names_of_7z,
)
BSDTAR = Tool(
    test=["bsdtar", "-tf", "{archive}"],
    names=["bsdtar", "-tf", "{archive}"],
    unpack=["bsdtar", "--passphrase={password}", "-xf", "{archive}", "-C", "{folder}"],
    pour=["bsdtar", "--passphrase={password}", "-xOf", "{archive}"],
)


def _run(command: list[str], **values: str) -> bytes:
    filled = [part.format(**values) for part in command]
    # A session of its own has no terminal, where a tool would ask for a password and wait.
    done = subprocess.run(
        filled,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=ENVIRONMENT,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout[-2000:] + done.stderr[-2000:]).decode(errors="replace")
        raise ReaderError(f"{' '.join(command)}: exit status {done.returncode}\n{said}")
    return done.stdout


def _unpacked(folder: Path, names: list[str]) -> Files:
    """Return the listed members from the folder they were unpacked to, and see it has no others."""

    def members() -> Members:
        for name in names:
            path = folder / name
            yield name, [] if name.endswith("/") and path.is_dir() else [path.read_bytes()]

    files = _from_library(lambda: _collect(members()))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if there - files.keys():
        raise ReaderError(f"unpacked, but not listed: {sorted(there - files.keys())}")
    return files


def _read_with(tool: Tool, data: bytes, password: str | None) -> Files:
    with tempfile.TemporaryDirectory() as scratch:
        archive, folder = Path(scratch, "archive.zip"), Path(scratch, "unpacked")
        archive.write_bytes(data)
        folder.mkdir()
        values = {
            "archive": str(archive),
            "folder": str(folder),
            "password": password or NO_PASSWORD,
        }
        _run(tool.test, **values)
        names = tool.parse(_run(tool.names, **values).decode())
        _run(tool.unpack, **values)
        return _unpacked(folder, names)


def _pour_with(tool: Tool, data: bytes, password: str | None) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".zip") as archive:
        archive.write(data)
        archive.flush()
        _run(tool.test, archive=archive.name, password=password or NO_PASSWORD)
        return _run(tool.pour, archive=archive.name, password=password or NO_PASSWORD)


def read_unzip(data: bytes, password: str | None = None) -> Files:
    """Test and unpack with Info-ZIP's unzip; it knows no AES."""
    return _read_with(UNZIP, data, password)


def read_7z(data: bytes, password: str | None = None) -> Files:
    """Test and unpack with 7-Zip."""
    return _read_with(SEVEN_ZIP, data, password)


def read_bsdtar(data: bytes, password: str | None = None) -> Files:
    """Unpack a file with libarchive's bsdtar."""
    return _read_with(BSDTAR, data, password)


def pour_unzip(data: bytes, password: str | None = None) -> bytes:
    """Return all contents, in order, from Info-ZIP's unzip."""
    return _pour_with(UNZIP, data, password)


def pour_7z(data: bytes, password: str | None = None) -> bytes:
    """Return all contents, in order, from 7-Zip."""
    return _pour_with(SEVEN_ZIP, data, password)


def pour_bsdtar(data: bytes, password: str | None = None) -> bytes:
    """Return all contents, in order, from bsdtar reading a file."""
    return _pour_with(BSDTAR, data, password)


# Programs, reading a pipe.


def _consume(stdout: IO[bytes], read: Callable[[IO[bytes]], Result]) -> Result:
    # Closed also when `read` fails: the program then ends, not waiting for its output to be read.
    with stdout:
        return read(stdout)


def _feed(stdin: IO[bytes], chunks: Iterable[bytes]) -> None:
    try:
        with stdin:
            for chunk in chunks:
                stdin.write(chunk)
    except BrokenPipeError:
        pass  # The program has ended early; its exit status says whether that is right.


def _pipe(
    command: list[str], chunks: Iterable[bytes], read: Callable[[IO[bytes]], Result]
) -> tuple[Result, str]:
    """Send chunks through a program; return what `read` makes of its output, and its messages.

    The chunks are made in the calling thread, as they may need its database connection.
    """
    with (
        tempfile.TemporaryFile() as messages,
        ThreadPoolExecutor(1) as pool,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=ENVIRONMENT,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        result = pool.submit(_consume, process.stdout, read)
        _feed(process.stdin, chunks)
        status = process.wait()
        messages.seek(0)
        said = messages.read().decode(errors="replace")
        if status:
            message = f"{command[0]}: exit status {status}\n{said[-4000:]}"
            raise ReaderError(message) from result.exception()
        return result.result(), said


def _everything(stdout: IO[bytes]) -> bytes:
    return stdout.read()


def _bsdtar(*arguments: str, password: str | None) -> list[str]:
    return ["bsdtar", f"--passphrase={password or NO_PASSWORD}", *arguments]


def read_bsdtar_pipe(data: bytes, password: str | None = None) -> Files:
    """Unpack with bsdtar, as a stream."""
    with tempfile.TemporaryDirectory() as scratch:
        command = _bsdtar("-xvf", "-", "-C", scratch, password=password)
        _, said = _pipe(command, pieces(data), _everything)
        return _unpacked(Path(scratch), _names_of_bsdtar(said))


def pour_bsdtar_pipe(data: bytes, password: str | None = None) -> bytes:
    """Return all contents, in order, from bsdtar reading a pipe."""
    return _pipe(_bsdtar("-xOf", "-", password=password), pieces(data), _everything)[0]


def _names_of_bsdtar(messages: str) -> list[str]:
    return [line.removeprefix("x ") for line in messages.splitlines()]


def _verify_bsdtar(chunks: Iterable[bytes], password: str | None) -> Summary:
    def read(stdout: IO[bytes]) -> Summary:
        return _summarise(iter([("", iter(lambda: stdout.read(1 << 20), b""))]))

    command = _bsdtar("-xvOf", "-", password=password)
    summary, said = _pipe(command, chunks, read)
    return summary._replace(names=_names_of_bsdtar(said))


@cache
def _java() -> list[str]:
    """Compile the Java program, once for all tests; return the command that runs it."""
    folder = tempfile.mkdtemp(prefix="zip-stream-list-")
    atexit.register(shutil.rmtree, folder)
    _run(["javac", "-d", folder, str(JAVA_SOURCE)])
    # Short-lived, so the optimising compiler does not pay; and little memory shows it streams.
    return ["java", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", folder, JAVA_SOURCE.stem]


def _java_members(stdout: IO[bytes]) -> Members:
    """Take apart what the Java program writes; its source says how that is framed."""

    def framed() -> bytes:
        return stdout.read(int.from_bytes(stdout.read(4), "big"))

    while length := stdout.read(4):
        name = stdout.read(int.from_bytes(length, "big")).decode()
        yield name, iter(framed, b"")


def read_java(data: bytes, password: str | None = None) -> Files:
    """Read with Java's ZipInputStream, as a stream; it knows no encryption."""
    return _pipe(_java(), pieces(data), lambda stdout: _collect(_java_members(stdout)))[0]


def _verify_java(chunks: Iterable[bytes], password: str | None) -> Summary:
    return _pipe(_java(), chunks, lambda stdout: _summarise(_java_members(stdout)))[0]


# The table of readers, and what the tests use of it.


class Reader(NamedTuple):
    """A reader, and what it can."""

    name: str
    read: Callable[[bytes, str | None], Files]
    # All contents in order, where names are not plain; None: the reader minds no names.
    pour: Callable[[bytes, str | None], bytes] | None = None
    # Does the same as `read` with chunks of an archive that may be bigger than memory.
    verify: Callable[[Iterable[bytes], str | None], Summary] | None = None
    from_pipe: bool = False
    aes: bool = False
    opens_empty: bool = True
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Return the programs the reader needs and this machine does not have."""
        return [program for program in self.needs if shutil.which(program) is None]


READERS = [
    Reader("zipfile", read_zipfile),
    Reader("pyzipper", read_pyzipper, aes=True),
    # unzip calls an archive without members an error.
    Reader("unzip", read_unzip, pour_unzip, opens_empty=False, needs=("unzip",)),
    Reader("7z", read_7z, pour_7z, aes=True, needs=("7z",)),
    Reader("bsdtar", read_bsdtar, pour_bsdtar, aes=True, needs=("bsdtar",)),
    Reader(
        "bsdtar-pipe",
        read_bsdtar_pipe,
        pour_bsdtar_pipe,
        _verify_bsdtar,
        from_pipe=True,
        aes=True,
        needs=("bsdtar",),
    ),
    Reader("java", read_java, verify=_verify_java, from_pipe=True, needs=("java", "javac")),
    Reader(
        "stream-unzip", read_stream_unzip, verify=_verify_stream_unzip, from_pipe=True, aes=True
    ),
]
BY_NAME = {reader.name: reader for reader in READERS}

# Those that start no program: quick enough for hundreds of archives.
PYTHON_READERS = ("zipfile", "stream-unzip")


def require(name: str) -> Reader:
    """Return a reader; without its programs skip the test, or fail it on CI."""
    reader = BY_NAME[name]
    if reader.missing():
        reason = f"the reader {name} needs {' and '.join(reader.missing())}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return reader


def available() -> list[Reader]:
    """Return the readers this machine has; on CI it must have all."""
    if os.environ.get("CI"):
        return [require(reader.name) for reader in READERS]
    return [reader for reader in READERS if not reader.missing()]


def is_plain(names: Iterable[str]) -> bool:
    """Return whether every tool unpacks these names, together in one folder, as they are."""
    names = list(names)
    paths = sorted(name.rstrip("/") + "/" for name in names)
    # The sorted path after 'a/' begins with it if there is any that does, so 'a' must be a folder.
    nested = {a for a, b in pairwise(paths) if b.startswith(a)}
    files = {name + "/" for name in names if not name.endswith("/")}
    return all(map(_is_plain_name, names)) and not nested & files and len(set(paths)) == len(paths)


def _is_plain_name(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    return (
        name.isprintable()
        and "\\" not in name
        and not {"", ".", ".."} & set(parts)
        and not re.match("[A-Za-z]:", name)  # A drive, which bsdtar takes off.
        and all(len(part.encode()) <= 255 for part in parts)
        and len(name.encode()) <= 2000
    )


def _selected(
    expected: Mapping[str, bytes], password: str | None, only: Iterable[str] | None, pipe_only: bool
) -> list[Reader]:
    readers = available() if only is None else [require(name) for name in only]
    return [
        reader
        for reader in readers
        if (reader.aes or password is None)
        and (reader.from_pipe or not pipe_only)
        and (reader.opens_empty or expected)
    ]


def _differences(expected: Mapping[str, bytes], found: Mapping[str, bytes]) -> Iterator[str]:
    for name in expected.keys() | found.keys():
        wanted, got = expected.get(name), found.get(name)
        if wanted is None or got is None:
            yield f"{name!r} is {'missing' if got is None else 'too much'}"
        elif wanted != got:
            same = takewhile(lambda pair: pair[0] == pair[1], zip(wanted, got, strict=False))
            at = sum(1 for _ in same)
            yield f"{name!r}: {len(got)} bytes, not {len(wanted)}; they differ at {at}"


def _check(
    reader: Reader, data: bytes, expected: Mapping[str, bytes], password: str | None
) -> list[str]:
    if reader.pour is None or is_plain(expected):
        return sorted(_differences(expected, reader.read(data, password)))
    contents = {"all contents": b"".join(expected.values())}
    return sorted(_differences(contents, {"all contents": reader.pour(data, password)}))


def assert_reads(
    data: bytes,
    expected: Mapping[str, bytes],
    password: str | None = None,
    only: Iterable[str] | None = None,
    pipe_only: bool = False,
) -> None:
    """Assert that readers get these members, in this order, from an archive.

    They are all that this machine has and that fit, or those named in `only`.
    """
    readers = _selected(expected, password, only, pipe_only)
    assert readers, "no reader fits"
    for reader in readers:
        try:
            differences = _check(reader, data, expected, password)
        except ReaderError as error:
            raise AssertionError(f"{reader.name} does not read the archive: {error}") from error
        assert not differences, f"{reader.name} reads otherwise: " + "; ".join(differences)


def verify_stream(
    chunks: Iterable[bytes], reader_name: str, password: str | None = None
) -> Summary:
    """Read an archive of any size, without keeping it, from a pipe; return what was in it."""
    verify = require(reader_name).verify
    assert verify is not None, f"{reader_name} reads no pipe"
    return verify(chunks, password)


def summary_of(expected: Mapping[str, bytes]) -> Summary:
    """Return what verify_stream finds in an archive of these members."""
    return _summarise((name, [content]) for name, content in expected.items())
