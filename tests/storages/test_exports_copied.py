"""Exports of objects that the store has itself: it copies them, and the bytes are the same."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import storages

from django_stream_zip.exports import State
from tests.models import Document
from tests.storages.test_copying import BUCKET, client_of, requests
from tests.support import exports as support
from tests.support.counting import TIME
from tests.support.exports import again, requested, run_all

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),
]

MIB = 1 << 20
SIZES = {"film0": 12 * MIB, "film1": 100, "film2": 11 * MIB + 1, "film3": 10 * MIB + 77}
DATA = {title: random.Random(title).randbytes(size) for title, size in SIZES.items()}


class ExportsContract:
    """What is so at every store."""

    @pytest.fixture
    def store(self, storage: Any, settings: Any) -> Iterator[Any]:
        """Have the store be that of uploads and of exports, and nothing left at the end."""
        from botocore.config import Config

        options = {
            "bucket_name": BUCKET,
            "endpoint_url": storage.endpoint_url,
            "region_name": storage.region_name,
            "access_key": storage.access_key,
            "secret_key": storage.secret_key,
            "client_config": Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
        }
        s3 = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "default": s3, "exports": s3}
        settings.DJANGO_STREAM_ZIP = {
            "ENQUEUE": "tests.support.exports.keep",
            "EXPORT_STORAGE": "exports",
        }
        support.queue.clear()
        for title, data in DATA.items():
            storages["default"].save(f"{title}.pdf", _file(data))
            known = {"size": len(data), "crc_32": zlib.crc32(data), "uploaded_at": TIME}
            Document.objects.create(title=title, file=f"{title}.pdf", **known)
        client = client_of(storages["exports"])
        yield storages["exports"]
        for title in DATA:
            storages["default"].delete(f"{title}.pdf")
        assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads") is None
        assert _names(storages["exports"]) == []
        for alias in ("default", "exports"):
            client_of(storages[alias]).close()
            storages[alias].connection.meta.client.close()

    def test_an_export_is_copied_inside_of_the_store(self, store: Any) -> None:
        export = requested(title="film")
        with requests(store) as seen:
            assert run_all() == 1
        ready = again(export)
        assert ready.state == State.READY
        assert seen["UploadPartCopy"] >= 3
        assert seen["CompleteMultipartUpload"] == 1
        assert _stored(store, ready) == support.streamed(export)
        assert (ready.members, ready.bytes_done) == (4, ready.length)
        ready.delete()

    def test_who_was_killed_while_it_was_copied_leaves_nothing(self, store: Any) -> None:
        """What is begun again is the same archive, and the first upload is removed."""
        export = requested(title="film")
        _killed_at(store, "UploadPartCopy", 2)
        assert (again(export).state, again(export).attempts) == (State.BUILDING, 1)
        assert len(client_of(store).list_multipart_uploads(Bucket=BUCKET)["Uploads"]) == 1
        support.queue.append(("build_export", str(export.pk)))
        run_all()
        assert again(export).state == State.READY
        assert _stored(store, again(export)) == support.streamed(export)
        again(export).delete()

    def test_a_source_that_is_replaced_is_planned_anew(self, store: Any) -> None:
        export = requested(title="film")
        data = DATA["film0"][::-1]
        _killed_at(store, "UploadPartCopy", 1)
        storages["default"].delete("film0.pdf")
        storages["default"].save("film0.pdf", _file(data))
        support.queue.append(("build_export", str(export.pk)))
        Document.objects.filter(title="film0").update(crc_32=zlib.crc32(data))
        run_all()
        assert (again(export).state, again(export).plans) == (State.READY, 1)
        assert _stored(store, again(export)) == support.streamed(export)
        again(export).delete()


class TestMoto(ExportsContract):
    """A store that copies whatever version there is."""

    @pytest.fixture
    def storage(self, moto: Any) -> Any:
        return moto


class TestSwift(ExportsContract):
    """A store that is careful, and computes no checksums."""

    @pytest.fixture
    def storage(self, swift: Any) -> Any:
        return swift


class Killed(BaseException):
    """What is raised in place of a signal that kills."""


def _killed_at(store: Any, operation: str, number: int) -> None:
    """Run what is enqueued; at the nth request of a kind, the worker is gone."""
    events, left = client_of(store).meta.events, [number]

    def handle(**kwargs: Any) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Killed

    events.register(f"before-call.s3.{operation}", handle)
    # A process that is killed aborts no upload.
    events.register("before-call.s3.AbortMultipartUpload", handle)
    try:
        with pytest.raises(Killed):
            run_all()
    finally:
        events.unregister(f"before-call.s3.{operation}", handle)
        events.unregister("before-call.s3.AbortMultipartUpload", handle)


def _file(data: bytes) -> Any:
    from django.core.files.base import ContentFile

    return ContentFile(data)


def _stored(store: Any, export: Any) -> bytes:
    with store.open(export.file) as file:
        data: bytes = file.read()
    return data


def _names(store: Any) -> list[str]:
    """Return the names of what exports have left."""
    found = client_of(store).list_objects_v2(Bucket=BUCKET, Prefix="zip_exports/")
    return [each["Key"] for each in found.get("Contents", ())]
