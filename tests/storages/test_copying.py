"""Archives of objects that S3 copies into them: the bytes, what is sent, what is asked."""

from __future__ import annotations

import random
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import copy
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_stream_zip import NO_COMPRESSION_AUTO, CRC32IntegrityError, stream_zip
from django_stream_zip.members import bytes_member, storage_member
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.saving import SavedZip, save_zip
from tests.storages import servers
from tests.support import clients
from tests.support.contents import TIME

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")

MIB = 1 << 20
BUCKET = "bucket"
NAME = "saved/archive.zip"
FIRST = random.Random(1).randbytes(10 * MIB + 5000)
SECOND = random.Random(2).randbytes(10 * MIB + 9000)
SMALL = FIRST[: 6 * MIB]
TEXT = b"A text.\n" * 1000
#: What is in the stores, and in archives.
DATA = {"first.jpg": FIRST, "second.jpg": SECOND, "small.jpg": SMALL, "text.txt": TEXT}


def client_of(storage: Any) -> Any:
    """Return the client with which a storage is read and written here."""
    from django_stream_zip.members.readers.s3 import shared_client

    return shared_client(storage)


def patient(storage: Any) -> Any:
    """Return a storage that waits longer than those of tests: a store takes its time to copy."""
    from botocore.config import Config

    from django_stream_zip.members.readers.compat import s3_config, with_s3_config

    return with_s3_config(storage, s3_config(storage).merge(Config(read_timeout=60)))


def put(storage: Any, name: str, data: bytes, **options: Any) -> None:
    client_of(storage).put_object(Bucket=BUCKET, Key=name, Body=data, **options)


def got(storage: Any) -> bytes:
    with client_of(storage).get_object(Bucket=BUCKET, Key=NAME)["Body"] as body:
        data: bytes = body.read()
    return data


def photo(storage: Any, name: str, *, known: bool = True, **facts: Any) -> Any:
    data = DATA[name]
    facts = {"size": len(data), "modified_at": TIME, **facts}
    if known:
        facts.setdefault("crc_32", zlib.crc32(data))
    return storage_member(storage, name, **facts)


def text() -> Any:
    return bytes_member(TEXT, "text.txt", compress=False)


def streamed(members: Sequence[Any], unknown: Sequence[str] = ()) -> bytes:
    """Return the archive of members as it is streamed, if all CRC-32s are known but these."""
    known = []
    for name, at, mode, _, content in members:
        data = DATA[name]
        assert content.size == len(data)
        crc_32 = None if name in unknown else zlib.crc32(data)
        known.append((name, at, mode, NO_COMPRESSION_AUTO(len(data), crc_32), [data]))
    return b"".join(stream_zip(known))


@contextmanager
def requests(storage: Any) -> Iterator[Counter[str]]:
    """Count what a store is asked."""
    events, seen = client_of(storage).meta.events, Counter[str]()

    def count(model: Any, **kwargs: Any) -> None:
        seen[model.name] += 1

    events.register("before-call.s3", count)
    try:
        yield seen
    finally:
        events.unregister("before-call.s3", count)


@contextmanager
def first(storage: Any, operation: str, act: Callable[[], Any]) -> Iterator[None]:
    """Do something before the first request of a kind; what it returns is the answer, if it is."""
    events, actions = client_of(storage).meta.events, [act]

    def handle(**kwargs: Any) -> Any:
        return actions.pop()() if actions else None

    events.register(f"before-call.s3.{operation}", handle)
    try:
        yield
    finally:
        events.unregister(f"before-call.s3.{operation}", handle)


def refusal(status: int, code: str) -> tuple[Any, dict[str, Any]]:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return SimpleNamespace(status_code=status), answer


def save(storage: Any, members: Sequence[Any], **options: Any) -> SavedZip:
    return save_zip(storage, NAME, members, overwrite=True, **options)


class CopyContract:
    """What is so at every store."""

    computes_crc_32 = False

    @pytest.fixture
    def store(self, storage: Any) -> Iterator[Any]:
        """Have two objects in a store, and nothing left behind at the end."""
        storage = patient(storage)
        if not storage.exists("second.jpg"):
            put(storage, "first.jpg", FIRST)
            put(storage, "second.jpg", SECOND)
        yield storage
        client = client_of(storage)
        client.delete_object(Bucket=BUCKET, Key=NAME)
        uploads = client.list_multipart_uploads(Bucket=BUCKET, Prefix=NAME).get("Uploads")
        client.close()
        assert not uploads

    def test_what_the_store_copies_is_not_sent(self, store: Any, tmp_path: Path) -> None:
        members = [
            photo(store, "first.jpg"),
            text(),
            photo(store, "second.jpg"),
        ]
        save(store, members)  # and from now on it is known whether the store is careful
        with requests(store) as seen:
            saved = save(store, members)
        whole = got(store)
        assert whole == streamed(members)
        assert saved.bytes_copied + saved.bytes_sent == saved.length == len(whole)
        assert saved.bytes_copied > len(FIRST) + len(SECOND) - 10 * MIB
        assert saved.entity_tag is not None
        written = seen["CreateMultipartUpload"] + seen["CompleteMultipartUpload"]
        assert written + seen["UploadPart"] + seen["UploadPartCopy"] <= 2 * 2 + 3
        assert seen["GetObject"] == 2
        (tmp_path / "archive.zip").write_bytes(whole)
        for command in ("unzip -qt", "7z t", "python3 -m zipfile -t"):
            if servers.program(command.split()[0]):
                subprocess.run([*command.split(), "archive.zip"], cwd=tmp_path, check=True)

    def test_a_crc_32_that_nobody_knows_is_learned_or_the_object_is_sent(self, store: Any) -> None:
        members = [
            photo(store, "first.jpg"),
            photo(store, "second.jpg", known=False),
            text(),
        ]
        saved = save(store, members)
        assert got(store) == streamed(members, [] if self.computes_crc_32 else ["second.jpg"])
        assert (saved.bytes_copied > 6 * MIB) == self.computes_crc_32
        assert (saved.entity_tag is None) == self.computes_crc_32

    def replaced(self, store: Any, at: str) -> None:
        """Replace a source before a request of that kind, after the plan was made."""
        members = [photo(store, "first.jpg"), photo(store, "second.jpg")]
        try:
            with (
                first(store, at, lambda: put(store, "second.jpg", SECOND[::-1])),
                pytest.raises(ContentChangedError),
            ):
                save(store, members)
        finally:
            put(store, "second.jpg", SECOND)

    def test_a_source_that_is_replaced_before_it_is_copied_is_an_error(self, store: Any) -> None:
        put(store, NAME, TEXT)
        self.replaced(store, "UploadPartCopy")
        assert got(store) == TEXT  # as it was

    def test_a_wrong_size_is_an_error(self, store: Any) -> None:
        members = [photo(store, "first.jpg", size=10 * MIB), text()]
        with pytest.raises(ContentChangedError):
            save(store, members)
        assert not store.exists(NAME)

    def test_an_object_that_may_not_be_copied_is_sent(self, store: Any) -> None:
        members = [photo(store, "first.jpg"), photo(store, "second.jpg")]
        with first(store, "UploadPartCopy", lambda: refusal(403, "AccessDenied")):
            saved = save(store, members)
        assert got(store) == streamed(members)
        assert (saved.bytes_copied, saved.bytes_sent) == (0, saved.length)


class TestMoto(CopyContract):
    """A store that copies whatever version there is."""

    @pytest.fixture
    def storage(self, moto: Any) -> Any:
        return moto

    @pytest.mark.parametrize("at", ["CreateMultipartUpload", "UploadPart"])
    def test_so_is_one_that_is_replaced_at_another_time(self, at: str, store: Any) -> None:
        self.replaced(store, at)
        assert not store.exists(NAME)

    def test_only_some_are_copied(self, store: Any) -> None:
        """What is too small, of another account, or asked for with more than its key, is sent."""
        put(store, "small.jpg", SMALL)
        payer = copy(store)
        payer.object_parameters = {"RequestPayer": "requester"}
        with clients.s3(store.endpoint_url, BUCKET, access_key="other") as other:
            members = [
                photo(store, "small.jpg"),
                photo(other, "first.jpg"),
                photo(payer, "second.jpg"),
            ]
            assert save(store, members).bytes_copied == 0
            client_of(other).close()
            client_of(payer).close()

    def test_what_a_reader_of_ones_own_reads_is_not_copied(self, store: Any) -> None:
        from django_stream_zip.members.readers.reader import Metadata
        from django_stream_zip.members.readers.s3 import S3Reader
        from django_stream_zip.members.storage import described, reader_member

        class Decrypting(S3Reader):
            pass

        reader = Decrypting(store, "first.jpg")
        known = Metadata(len(FIRST), zlib.crc32(FIRST), TIME)
        assert save(store, [reader_member(reader, described(reader, known))]).bytes_copied == 0

    def test_what_is_decoded_is_not_copied(self, store: Any) -> None:
        from gzip import compress

        packed = compress(FIRST, 0, mtime=0)
        put(store, "packed.jpg", packed, ContentEncoding="gzip")
        facts = {"modified_at": TIME, "size": len(FIRST), "crc_32": zlib.crc32(FIRST)}
        member = storage_member(store, "packed.jpg", "first.jpg", decode=True, **facts)
        members = [member, photo(store, "second.jpg")]
        saved = save(store, members)
        assert saved.bytes_copied == len(SECOND)
        assert got(store) == streamed(members)

    @pytest.mark.parametrize("options", [{"copy": False}, {"password": "a password"}], ids=str)
    def test_not_everything_is_copied(self, options: Any, store: Any) -> None:
        saved = save(store, [photo(store, "first.jpg")], **options)
        assert (saved.bytes_copied, saved.bytes_sent) == (0, saved.length)


class TestSwift(CopyContract):
    """A store that is careful, and computes no checksums."""

    @pytest.fixture
    def storage(self, swift: Any) -> Any:
        return swift


@pytest.mark.slow
class TestLocalStack(CopyContract):
    """A store that does all that AWS does."""

    computes_crc_32 = True

    @pytest.fixture
    def storage(self, localstack: Any) -> Any:
        return localstack

    def test_a_wrong_crc_32_is_an_error(self, store: Any) -> None:
        members = [photo(store, "first.jpg"), photo(store, "second.jpg", crc_32=1)]
        with pytest.raises(CRC32IntegrityError, match=r"second\.jpg"):
            save(store, members)
        assert not store.exists(NAME)

    def test_the_store_has_the_last_word(self, store: Any) -> None:
        """The whole is completed with its CRC-32, and another one is refused."""
        from botocore.exceptions import ClientError

        members = [photo(store, "first.jpg"), photo(store, "second.jpg")]
        saved = save(store, members)
        assert saved.crc_32 == zlib.crc32(got(store))
        store.delete(NAME)
        events = client_of(store).meta.events

        def spoil(params: Any, **kwargs: Any) -> None:
            params["ChecksumCRC32"] = "AAAAAA=="

        events.register("before-parameter-build.s3.CompleteMultipartUpload", spoil)
        try:
            with pytest.raises(ClientError, match="BadDigest"):
                save(store, members)
        finally:
            events.unregister("before-parameter-build.s3.CompleteMultipartUpload", spoil)
        assert not store.exists(NAME)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["swift", "localstack"])
def test_three_videos(kind: str, request: pytest.FixtureRequest) -> None:
    """Of three times 210 MB, 2.6 % are sent, in two requests a member and three more."""
    storage = patient(request.getfixturevalue(kind))
    members, expected, found = [], sha256(), sha256()
    for number in range(3):
        data = random.Random(number).randbytes(210_000_000)
        put(storage, f"{number}.mp4", data)
        facts = {"size": len(data), "crc_32": zlib.crc32(data), "modified_at": TIME}
        members.append(storage_member(storage, f"{number}.mp4", **facts))
    for block in stream_zip(members):
        expected.update(block)
    save(storage, members)
    with requests(storage) as seen:
        saved = save(storage, members)
    assert saved.bytes_sent <= 0.026 * saved.length
    reads = {"HeadObject", "GetObject", "ListMultipartUploads"}
    assert sum(number for name, number in seen.items() if name not in reads) <= 2 * 3 + 3
    with closing(client_of(storage).get_object(Bucket=BUCKET, Key=NAME)["Body"]) as body:
        for chunk in body.iter_chunks(MIB):
            found.update(chunk)
    assert found.digest() == expected.digest()
    for name in (NAME, "0.mp4", "1.mp4", "2.mp4"):
        storage.delete(name)
    client_of(storage).close()
