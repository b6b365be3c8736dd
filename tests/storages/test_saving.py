"""The writers against real servers, and imitations of such that others have made."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from django_stream_zip import stream_zip
from django_stream_zip.saving import PartSizeError, save_zip
from tests.storages.conftest import BUCKET
from tests.support import clients
from tests.support.kills import kill_again_and_again
from tests.support.saving import PartsContract, WriterContract

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")

MIB = 1 << 20


class S3Contract(PartsContract):
    part_size = 5 * MIB
    sizes = (5 * MIB + 1, 3, 0, 5 * MIB)
    trials = 3

    def left_over(self, store: Any) -> Any:
        client = store.connection.meta.client
        return client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])

    def test_it_says_what_it_is(self, store: Any, name: str) -> None:
        save_zip(store, name, [])
        found = store.connection.meta.client.head_object(Bucket=BUCKET, Key=name)
        assert found["ContentType"] == "application/zip"

    @pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
    def test_checksums_that_the_storage_asks_for_are_not_in_the_way(
        self, store: Any, name: str, algorithm: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parameters = {"ChecksumAlgorithm": algorithm, "CacheControl": "no-store"}
        if algorithm == "CRC32":
            parameters["ChecksumType"] = "FULL_OBJECT"
        monkeypatch.setattr(store, "object_parameters", parameters)
        save_zip(store, name, self.members())
        assert self.read(store, name) == b"".join(stream_zip(self.members()))
        found = store.connection.meta.client.head_object(Bucket=BUCKET, Key=name)
        assert found["CacheControl"] == "no-store"

    def test_part_sizes_that_it_does_not_take_are_refused(self, store: Any, name: str) -> None:
        with pytest.raises(PartSizeError, match="from 5,242,880 to"):
            save_zip(store, name, self.members(), part_size=5 * MIB - 1)
        assert not self.left_over(store)


class TestMoto(S3Contract):
    # It answers 500 for parts of what was aborted, and says that all was begun in 2010.
    tells_gone = False

    @pytest.fixture
    def store(self, moto: Any) -> Any:
        return moto


class TestSwift(S3Contract):
    trials = 1  # it is slow

    @pytest.fixture
    def store(self, swift: Any) -> Any:
        return swift

    def test_nobody_else_may_write(self, store: Any, name: str) -> None:
        with (
            clients.s3(store.endpoint_url, BUCKET, secret_key="wrong") as stranger,
            pytest.raises(PermissionError),
        ):
            save_zip(stranger, name, self.members(), overwrite=True)


class TestLocalStack(S3Contract):
    @pytest.fixture
    def store(self, localstack: Any) -> Any:
        return localstack


class TestAzure(PartsContract):
    sweeps = False
    tells_gone = False

    @pytest.fixture
    def store(self, azure: Any) -> Any:
        return azure


class TestGoogleCloud(WriterContract):
    part_size = None

    @pytest.fixture
    def store(self, google: Any) -> Any:
        return google


class TestSFTP(PartsContract):
    trials = 5

    @pytest.fixture
    def store(self, sftp: Any) -> Any:
        return sftp

    def left_over(self, store: Any) -> Any:
        path = store._remote_path("folder")
        return [name for name in store.sftp.listdir(path) if name.startswith(".")]


@pytest.mark.slow
def test_killed_on_s3(moto: Any, tmp_path: Path) -> None:
    options = {
        "bucket_name": BUCKET,
        "endpoint_url": moto.endpoint_url,
        "region_name": "us-east-1",
        "access_key": "testing",
        "secret_key": "testing",
        "addressing_style": "path",
        "file_overwrite": True,
    }
    path = "storages.backends.s3.S3Storage"
    left_over = partial(TestMoto().left_over, moto)
    kill_again_and_again(moto, path, options, left_over, tmp_path, part_size=5 * MIB, size=32 * MIB)


@pytest.mark.slow
def test_killed_over_sftp(sftp: Any, sshd: dict[str, Any], tmp_path: Path) -> None:
    path = "storages.backends.sftpstorage.SFTPStorage"
    kill_again_and_again(sftp, path, sshd, partial(TestSFTP().left_over, sftp), tmp_path)
