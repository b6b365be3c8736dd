"""The oracle: every state that a file was ever in, and what an archive holds of them."""

from __future__ import annotations

import io
import random
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyzipper

BLOCK = 64  # bytes by which a mixture is explained


@dataclass
class State:
    """The bytes of a file, and when it stopped having them."""

    label: str
    data: bytes
    until: float = float("inf")


@dataclass
class File:
    """A file, with all states that it was in. Each version has bytes that no other one has."""

    name: str
    states: list[State] = field(default_factory=list)

    @property
    def now(self) -> bytes:
        """The bytes of its last state."""
        return self.states[-1].data

    def fresh(self, size: int) -> bytes:
        """Make the bytes of another version."""
        return random.Random(f"{self.name} version {len(self.states)}").randbytes(size)

    def change(self, label: str, data: bytes, write: Callable[[], object]) -> None:
        """Write another state: until that is done either may be seen."""
        before = self.states[-1:]
        self.states.append(State(f"{len(self.states)} ({label})", data))
        try:
            write()
        finally:
            for state in before:
                state.until = min(state.until, time.monotonic())

    def was(self, data: bytes, since: float) -> bool:
        """Return whether these are the bytes of a state that wasn't over by then."""
        return any(data == state.data for state in self.states if state.until >= since)

    def explain(self, data: bytes) -> str:
        """Return which blocks of the data are of which states."""
        runs: list[tuple[str, int]] = []
        for at in range(0, len(data), BLOCK):
            block = data[at : at + BLOCK]
            # The latest first: a state that was made from another one shares blocks with it.
            labels = [
                s.label for s in reversed(self.states) if s.data[at : at + len(block)] == block
            ]
            same = runs and runs[-1][0] in labels
            label = runs[-1][0] if same else labels[0] if labels else "no state"
            if not runs or runs[-1][0] != label:
                runs.append((label, at))
        sizes = [len(state.data) for state in self.states]
        return f"{self.name} ({len(data)} bytes; states of {sizes}): " + ", ".join(
            f"from {at} state {label}" for label, at in runs
        )


class Damaged(Exception):
    """A reader refuses the archive; it may be for the bytes of one `member`, which is at `at`."""

    def __init__(self, why: str, member: str | None = None, at: int = 0) -> None:
        super().__init__(why)
        self.member = member
        self.at = at


class Wrong(Exception):
    """A reader takes an archive whose members are no states of their files."""


def check(data: bytes, files: list[File], password: str | None, since: float = 0.0) -> None:
    """Raise Damaged or Wrong unless each file is there, as it was at a time since then."""
    found = contents(data, password)
    wanted = {file.name: file for file in files}
    if found.keys() != wanted.keys():
        raise Wrong(f"members {sorted(found)} instead of {sorted(wanted)}")
    for name, content in found.items():
        if not wanted[name].was(content, since):
            raise Wrong(wanted[name].explain(content))


def contents(data: bytes, password: str | None) -> dict[str, bytes]:
    """Read all members, with their CRC-32s checked; raise Damaged if that fails."""
    try:
        with opened(data, password) as archive:
            infos = archive.infolist()
            found = {info.filename: read(archive, info) for info in infos}
            check_records(data, infos, found, password)
    except Damaged:
        raise
    except Exception as error:  # pyzipper and zlib have many ways to say it
        raise Damaged(f"{type(error).__name__}: {error}") from error
    if len(found) != len(infos):
        raise Damaged("two members of one name")
    return found


def read(archive: Any, info: Any) -> bytes:
    """Read a member; say which one it is if its CRC-32 isn't that of its bytes."""
    try:
        content: bytes = archive.read(info)
    except zipfile.BadZipFile as error:
        member = info.filename if "Bad CRC-32" in str(error) else None
        raise Damaged(f"{type(error).__name__}: {error}", member, info.header_offset) from error
    return content


def opened(data: bytes, password: str | None) -> Any:
    """Open an archive by a reader that knows its encryption."""
    if password is None:
        return zipfile.ZipFile(io.BytesIO(data))
    archive = pyzipper.AESZipFile(io.BytesIO(data))
    archive.setpassword(password.encode())
    return archive


def check_records(
    data: bytes, infos: list[Any], found: dict[str, bytes], password: str | None
) -> None:
    """Compare what the local header or descriptor and the directory say; with what is there."""
    for info, stop in zip(infos, [*(i.header_offset for i in infos[1:]), None], strict=True):
        local = data[info.header_offset : info.header_offset + 30]
        flags, crc_32 = int.from_bytes(local[6:8], "little"), local[14:18]
        if password is not None:  # AE-2 has none
            continue
        expected = zlib.crc32(found[info.filename]).to_bytes(4, "little")
        if info.CRC.to_bytes(4, "little") != expected:
            raise Damaged(f"{info.filename}: the directory's CRC-32")
        if flags & 8 and stop is not None:
            crc_32 = descriptor_crc_32(data[:stop][-24:])
        if (not flags & 8 or stop is not None) and crc_32 != expected:
            raise Damaged(f"{info.filename}: the CRC-32 in its own records")


def descriptor_crc_32(tail: bytes) -> bytes:
    """Take the CRC-32 out of a data descriptor, which is 16 or 24 bytes long."""
    for length in (16, 24):
        if tail[-length:].startswith(b"PK\x07\x08"):
            return tail[-length + 4 : -length + 8 or None]
    raise Damaged("no data descriptor where one belongs")
