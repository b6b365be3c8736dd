"""The readers of object stores against stores that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from django_stream_zip.members.readers.compat import s3_config, with_s3_config
from tests.storages.servers import require_packages
from tests.support import clients
from tests.support.contract import DATA, MIB, FaultContract, Faulty, Place
from tests.support.object_store import (
    BUCKET,
    AzureHandler,
    GoogleHandler,
    S3Handler,
    Store,
    serving,
)

# django-storages asks for the time in a way that Python 3.12 finds old.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


def emptied(storage: Any, store: Store) -> Faulty:
    store.reset()
    return Faulty(storage, store)


class TestS3(FaultContract):
    reader_class = "S3Reader"
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls) -> Iterator[tuple[Any, Store]]:
        with serving(S3Handler) as (store, url), clients.s3(url, BUCKET, **cls.options) as storage:
            yield storage, store

    @pytest.fixture
    def place(self, served: tuple[Any, Store]) -> Faulty:
        return emptied(*served)

    def test_the_whole_is_one_request(self, place: Faulty, reader: Any) -> None:
        reader.describe()
        assert b"".join(reader.chunks()) == DATA
        assert place.store.asked == ["head", "get"]

    def test_a_range_is_one_request_of_its_bytes(self, place: Faulty, reader: Any) -> None:
        reader.describe()
        list(reader.chunks(MIB, MIB + 1000))
        assert place.store.asked == ["head", "get"]
        assert place.store.sent == 1000
        assert place.store.headers[-1]["range"] == f"bytes={MIB}-{MIB + 999}"
        assert "if-match" in place.store.headers[-1]

    def test_a_store_that_falls_silent_is_asked_again(self, place: Faulty, name: str) -> None:
        from botocore.config import Config

        place.put(name, DATA)
        hasty = with_s3_config(
            place.storage, s3_config(place.storage).merge(Config(read_timeout=1))
        )
        place.faults.stall = 60
        assert b"".join(Place(hasty).reader(name).chunks()) == DATA
        # Once at least: a machine that is busy may be taken for a silent one, too.
        assert place.store.asked.count("get") == len(place.store.asked) >= 2

    def test_the_right_to_read_and_the_key_are_sent_along(self, place: Faulty, name: str) -> None:
        place.put(name, DATA)
        place.storage.object_parameters = {
            "RequestPayer": "requester",
            "CacheControl": "max-age=86400",  # of uploads only
            "ChecksumAlgorithm": "CRC32",
        }
        try:
            reader = place.reader(name)
        finally:
            place.storage.object_parameters = {}
        reader.describe()
        list(reader.chunks())
        assert [sent.get("x-amz-request-payer") for sent in place.store.headers] == [
            "requester"
        ] * 2

    def test_one_client_is_for_all_threads(self, place: Faulty, reader: Any) -> None:
        from threading import Thread

        made: list[Any] = []
        thread = Thread(target=lambda: made.append(place.reader("other")))
        thread.start()
        thread.join()
        assert made[0].client is reader.client

    def test_after_much_progress_patience_begins_anew(self, place: Faulty, reader: Any) -> None:
        place.faults.break_after = [10, 10, MIB + 10, 10, 10, MIB + 10, 10]
        assert b"".join(reader.chunks()) == DATA


class TestS3ThatUnpacks(TestS3):
    options: ClassVar[dict[str, Any]] = {"gzip": True}


class TestGoogleCloud(FaultContract):
    reader_class = "GoogleCloudReader"
    streams = tells_size = False

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls) -> Iterator[tuple[Any, Store]]:
        with serving(GoogleHandler) as (store, url), clients.google(url, BUCKET) as storage:
            yield storage, store

    @pytest.fixture
    def place(self, served: tuple[Any, Store], monkeypatch: pytest.MonkeyPatch) -> Faulty:
        from django_stream_zip.members.readers import gcloud

        monkeypatch.setattr(gcloud, "_RETRY", gcloud._RETRY.with_delay(0.01).with_timeout(2))
        return emptied(*served)

    def test_pieces_grow(self, place: Faulty, reader: Any) -> None:
        reader.describe()
        list(reader.chunks())
        assert place.store.asked == ["head"] + ["get"] * 5


class TestAzure(FaultContract):
    reader_class = "AzureReader"
    streams = False

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls) -> Iterator[tuple[Any, Store]]:
        with (
            serving(AzureHandler) as (store, url),
            clients.azure(url, BUCKET, account="account") as storage,
        ):
            yield storage, store

    @pytest.fixture
    def place(self, served: tuple[Any, Store], monkeypatch: pytest.MonkeyPatch) -> Faulty:
        from azure.storage.blob import _download

        class Hasty:
            """Azure's package sleeps a second before it asks again."""

            sleep = staticmethod(lambda seconds: None)

        monkeypatch.setattr(_download, "time", Hasty)
        return emptied(*served)


FORKS = """
import os
from storages.backends.s3 import S3Storage
from storages.backends.azure_storage import AzureStorage
from django_stream_zip.members.readers.s3 import S3Reader
from django_stream_zip.members.readers.azure import AzureReader
s3 = S3Storage(bucket_name="b", access_key="k", secret_key="s", endpoint_url="http://127.0.0.1:9")
azure = AzureStorage(account_name="a", account_key="aw==", azure_container="c")
of_s3, of_azure = S3Reader(s3, "x").client, azure.service_client
AzureReader(azure, "x")
assert S3Reader(s3, "x").client is of_s3 and azure.service_client is of_azure
pid = os.fork()
if pid == 0:
    try:
        assert S3Reader(s3, "x").client is not of_s3
        assert S3Reader(s3, "x").client is S3Reader(s3, "y").client
        AzureReader(azure, "x")
        assert azure.service_client is not of_azure
    except BaseException:
        os._exit(1)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_process_has_connections_of_its_own() -> None:
    require_packages("storages", "boto3", "azure.storage.blob")
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], env=environment, check=True)
