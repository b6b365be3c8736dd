"""What every writer has to do: a contract, for storages in memory, on disk and on servers."""

from __future__ import annotations

import errno
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from django_stream_zip import NO_COMPRESSION_AUTO, ZIP_AUTO, stream_zip
from django_stream_zip.saving import (
    ArchiveChangedError,
    IncompleteError,
    NameRefusedError,
    NameTakenError,
    SaveError,
    UploadGoneError,
    abort_upload,
    save_zip,
    sweep,
    zip_parts,
)
from tests.support.contents import (
    MODE,
    TIME,
    VALIDATOR,
    ContentMember,
    CountingContent,
    FailingContent,
)

# By hand, 200: SAVING_TRIALS=200 pytest -k fails_anywhere tests/saving tests/storages
TRIALS = int(os.environ.get("SAVING_TRIALS", "0"))

# Swift's clock is rounded up to whole seconds.
AT_ONCE = timedelta(seconds=-2)


def stored(name: str, data: bytes, *, validator: str | None = VALIDATOR) -> ContentMember:
    """Return a member of known CRC-32."""
    crc_32 = zlib.crc32(data)
    content = CountingContent(data, crc_32=crc_32, identity=name, validator=validator)
    return name, TIME, MODE, NO_COMPRESSION_AUTO(len(data), crc_32), content


def failing(name: str, data: bytes, at: int, error: BaseException) -> ContentMember:
    """Return one that raises when it is read from that position on."""
    content = FailingContent(error, at, data=data, crc_32=zlib.crc32(data), identity=name)
    return name, TIME, MODE, NO_COMPRESSION_AUTO(len(data), zlib.crc32(data)), content


class InjectedError(Exception):
    """What the tests have contents raise."""


class WriterContract:
    """To be subclassed with a fixture `store`."""

    #: A size that the storage takes; None for what takes no parts.
    part_size: ClassVar[int | None] = 5000
    #: Sizes of members.
    sizes: ClassVar[Sequence[int]] = (12_000, 0, 1, 4_000)
    trials: ClassVar[int] = 10
    overwrites: ClassVar[bool] = True

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def name(self) -> str:
        return f"folder/{random.randrange(1 << 60):x}.zip"

    def members(self) -> list[ContentMember]:
        """Return the same members each time."""
        return [
            stored(f"{number}.bin", random.Random(number).randbytes(size))
            for number, size in enumerate(self.sizes)
        ]

    def left_over(self, store: Any) -> Any:
        """Return what isn't published, if that can be found out."""
        return []

    def read(self, store: Any, name: str) -> bytes:
        with store.open(name) as file:
            data: bytes = file.read()
        return data

    # Saving.

    def test_what_is_saved_is_what_would_be_streamed(self, store: Any, name: str) -> None:
        members, progress = self.members(), []
        saved = save_zip(store, name, members, progress=lambda *numbers: progress.append(numbers))
        whole = b"".join(stream_zip(members))
        assert self.read(store, name) == whole
        assert (saved.name, saved.length, saved.members) == (name, len(whole), len(members))
        assert saved.entity_tag is not None
        assert saved.crc_32 in (None, zlib.crc32(whole))
        assert (saved.bytes_sent, saved.bytes_copied) == (len(whole), 0)
        assert progress[-1] == (len(whole), len(whole))
        assert progress == sorted(progress)
        assert not self.left_over(store)

    def test_an_archive_of_unknown_length_is_saved_too(self, store: Any, name: str) -> None:
        def members() -> Iterator[Any]:
            for number, _, _, _, content in self.members():
                yield number, TIME, MODE, ZIP_AUTO(content.size), [content.data]

        saved = save_zip(store, name, members())
        assert self.read(store, name) == b"".join(stream_zip(members()))
        assert saved.entity_tag is None
        assert saved.members == len(self.sizes)

    def test_an_archive_without_members_is_saved_too(self, store: Any, name: str) -> None:
        save_zip(store, name, [])
        assert self.read(store, name) == b"".join(stream_zip([]))

    def test_a_file_of_that_name_stays_unless_it_is_to_be_overwritten(
        self, store: Any, name: str
    ) -> None:
        first, second = self.members(), self.members()[:2]
        save_zip(store, name, first)
        with pytest.raises(NameTakenError, match="overwrite=True"):
            save_zip(store, name, second)
        assert second[0][4].opened == 0
        assert self.read(store, name) == b"".join(stream_zip(first))
        if self.overwrites:
            save_zip(store, name, second, overwrite=True)
            assert self.read(store, name) == b"".join(stream_zip(second))

    @pytest.mark.parametrize("name", ["../a.zip", "/a.zip", "", "a/", "a\0.zip"])
    def test_a_name_that_no_file_can_have_is_refused(self, store: Any, name: str) -> None:
        with pytest.raises(NameRefusedError):
            save_zip(store, name, self.members())

    # Faults.

    @pytest.mark.parametrize("has_old", [False, True], ids=["new", "old"])
    def test_a_content_that_fails_anywhere_leaves_all_as_it_was(
        self, has_old: bool, store: Any, name: str
    ) -> None:
        if has_old and not self.overwrites:
            pytest.skip("it overwrites no file")
        before = b""
        if has_old:
            save_zip(store, name, self.members()[1:])
            before = self.read(store, name)
        for trial in range(TRIALS or self.trials):
            chance = random.Random(trial)
            members = self.members()
            at = chance.randrange(self.sizes[0])
            error = chance.choice([InjectedError(), KeyboardInterrupt(), OSError("broken")])
            members[0] = failing("bad", members[0][4].data, at, error)
            chance.shuffle(members)
            workers = chance.choice([1, 2])
            with pytest.raises(type(error)):
                save_zip(
                    store,
                    name,
                    chance.choice([list, iter])(members),
                    overwrite=has_old,
                    workers=workers,
                    part_size=self.part_size,
                )
            assert store.exists(name) == has_old
            assert not self.left_over(store)
            assert not any(content.is_open for *_, content in members)
        if has_old:
            assert self.read(store, name) == before

    @pytest.mark.parametrize("wrong", ["size", "crc_32"])
    def test_members_that_lie_are_not_saved(self, wrong: str, store: Any, name: str) -> None:
        data = random.Random(1).randbytes(self.sizes[0])
        crc_32 = zlib.crc32(data) ^ (wrong == "crc_32")
        size = len(data) - (wrong == "size")
        content = CountingContent(data, crc_32=crc_32, size=size)
        member = "a.bin", TIME, MODE, NO_COMPRESSION_AUTO(size, crc_32), content
        for workers in (1, 2):
            with pytest.raises(Exception, match=r"a\.bin|its member declares"):
                save_zip(store, name, [member], workers=workers, part_size=self.part_size)
            assert not store.exists(name)
            assert not self.left_over(store)


class PartsContract(WriterContract):
    """The same for a storage that takes parts."""

    #: Whether it shows that an upload was aborted.
    tells_gone: ClassVar[bool] = True
    sweeps: ClassVar[bool] = True

    def begun(self, store: Any, name: str, **options: Any) -> Any:
        return zip_parts(store, name, self.members(), part_size=self.part_size, **options)

    def test_parts_are_made_in_any_order_by_anybody(self, store: Any, name: str) -> None:
        token = self.begun(store, name).token
        numbers = self.begun(store, name, token=token).missing()
        assert len(numbers) > 2
        assert not store.exists(name)
        for number in [*reversed(numbers), numbers[1]]:
            self.begun(store, name, token=token).save(number)
        assert not store.exists(name)
        parts = self.begun(store, name, token=token)
        assert parts.missing() == []
        saved = parts.complete()
        assert self.read(store, name) == b"".join(stream_zip(self.members()))
        assert saved.bytes_sent == 0
        assert not self.left_over(store)
        # Whoever comes later finds that it is done.
        again = self.begun(store, name, token=token).complete()
        assert (again.name, again.length) == (saved.name, saved.length)

    def test_threads_save_the_same(self, store: Any, name: str) -> None:
        members = self.members()
        save_zip(store, name, members, workers=3, part_size=self.part_size)
        assert self.read(store, name) == b"".join(stream_zip(self.members()))

    def test_what_is_not_complete_is_not_published(self, store: Any, name: str) -> None:
        parts = self.begun(store, name)
        parts.save(2)
        with pytest.raises(IncompleteError, match=r"missing .*: 1, 3"):
            parts.complete()
        assert not store.exists(name)
        parts.abort()
        assert not self.left_over(store)

    def test_other_members_are_not_those_it_was_begun_with(self, store: Any, name: str) -> None:
        token = self.begun(store, name).token
        with pytest.raises(ArchiveChangedError):
            zip_parts(store, name, self.members()[1:], token=token)
        abort_upload(store, token)
        assert not self.left_over(store)

    def test_only_what_is_missing_is_made_when_it_is_resumed(self, store: Any, name: str) -> None:
        tokens: list[str] = []
        members = self.members()
        members[0] = failing("0.bin", members[0][4].data, self.sizes[0] - 1, InjectedError())
        with pytest.raises(InjectedError):
            save_zip(store, name, members, begun=tokens.append, part_size=self.part_size)
        assert not store.exists(name)
        done: list[int] = []
        saved = save_zip(
            store,
            name,
            self.members(),
            resume=tokens[0],
            progress=lambda bytes_done, total: done.append(bytes_done),
        )
        assert self.read(store, name) == b"".join(stream_zip(self.members()))
        assert saved.bytes_sent == saved.length - done[0]
        assert done[0] > 0
        # Done is done.
        assert save_zip(store, name, self.members(), resume=tokens[0]).length == saved.length

    @pytest.mark.parametrize("error", [InjectedError(), KeyboardInterrupt()], ids=repr)
    def test_an_upload_whose_token_nobody_keeps_is_removed(
        self, error: BaseException, store: Any, name: str
    ) -> None:
        def begun(token: str) -> None:
            raise error

        with pytest.raises(type(error)):
            save_zip(store, name, self.members(), begun=begun, part_size=self.part_size)
        assert not self.left_over(store)

    def test_a_part_that_is_refused_leaves_nothing(
        self, store: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts = self.begun(store, name)
        upload = type(parts._upload)
        parts.abort()
        write = upload.write_part

        def refused(self: Any, number: int, data: Any, crc_32: int) -> None:
            if number == 2:
                raise PermissionError(errno.EACCES, "Permission denied", name)
            write(self, number, data, crc_32)

        monkeypatch.setattr(upload, "write_part", refused)
        for workers in (1, 2):
            with pytest.raises(PermissionError):
                save_zip(store, name, self.members(), workers=workers, part_size=self.part_size)
            assert not store.exists(name)
            assert not self.left_over(store)

    def test_an_answer_that_is_lost_is_asked_for(
        self, store: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts = self.begun(store, name)
        upload = type(parts._upload)
        parts.abort()
        publish = upload._publish

        def lost(self: Any, written: Any) -> Any:
            publish(self, written)
            raise ConnectionError("no answer came")

        monkeypatch.setattr(upload, "_publish", lost)
        for workers in (1, 2):
            saved = save_zip(
                store,
                name,
                self.members(),
                workers=workers,
                part_size=self.part_size,
                overwrite=workers > 1,
            )
            assert saved.length == len(self.read(store, name))
        assert not self.left_over(store)

    def test_a_file_that_comes_meanwhile_stays(self, store: Any, name: str) -> None:
        parts = self.begun(store, name)
        for number in parts.missing():
            parts.save(number)
        # As long, which is all that some storages know of a file.
        other = [
            stored(f"{number}.bin", random.Random(-number).randbytes(size))
            for number, size in enumerate(self.sizes, 1)
        ]
        save_zip(store, name, other)
        with pytest.raises(NameTakenError):
            parts.complete()
        assert self.read(store, name) == b"".join(stream_zip(other))
        parts.abort()
        assert not self.left_over(store)

    def test_what_nobody_completed_is_swept(self, store: Any, name: str) -> None:
        parts = self.begun(store, name)
        parts.save(1)
        assert sweep(store, name) == 0 or not self.tells_gone
        found = sweep(store, name, older_than=AT_ONCE)
        assert found == self.sweeps or not self.tells_gone
        if self.sweeps and self.tells_gone:
            assert not self.left_over(store)
            with pytest.raises(UploadGoneError):
                parts.save(2)
            with pytest.raises(SaveError):
                parts.complete()
        with suppress(SaveError):
            parts.abort()

    def test_whoever_begins_sweeps_what_is_old(
        self, store: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not (self.sweeps and self.tells_gone):
            pytest.skip("it sweeps by itself, or says nothing of it")
        self.begun(store, name)
        monkeypatch.setattr("django_stream_zip.saving.parts.ABANDONED_AFTER", AT_ONCE)
        self.begun(store, name).abort()
        assert not self.left_over(store)
