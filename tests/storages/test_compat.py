"""What is used of storages' packages beyond their public names is there, and means what it should.

A contract with whichever versions are installed; the lowest django-storages is 1.14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.storages.servers import require_packages

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def _storages() -> None:
    require_packages("storages")


def s3(**options: Any) -> Any:
    require_packages("boto3")
    from storages.backends.s3 import S3Storage

    return S3Storage(
        bucket_name="b", access_key="k", secret_key="s", region_name="eu-north-1", **options
    )


def google(**options: Any) -> Any:
    require_packages("google.cloud.storage")
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client
    from storages.backends.gcloud import GoogleCloudStorage

    storage = GoogleCloudStorage(bucket_name="b", **options)
    storage._client = Client(
        project="tests",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": "http://127.0.0.1:9"},
    )
    return storage


def azure(**options: Any) -> Any:
    require_packages("azure.storage.blob")
    from storages.backends.azure_storage import AzureStorage

    return AzureStorage(account_name="a", account_key="aw==", azure_container="c", **options)


def sftp(**options: Any) -> Any:
    require_packages("paramiko")
    from storages.backends.sftpstorage import SFTPStorage

    return SFTPStorage(host="127.0.0.1", **{"root_path": "/srv", **options})


CONNECTIONS = [
    (s3, "S3_CONNECTIONS"),
    (google, "GOOGLE_CONNECTIONS"),
    (azure, "AZURE_CONNECTIONS"),
    (sftp, "SFTP_CONNECTIONS"),
]


def named(value: Any) -> str:
    return getattr(value, "__name__", None) or str(value)


@pytest.mark.parametrize(("make", "name"), CONNECTIONS, ids=named)
def test_a_new_storage_has_these_attributes_and_values(make: Callable[[], Any], name: str) -> None:
    storage = make()
    from django_stream_zip.members.readers import compat

    new = type(storage)(**{"bucket_name": "b"} if make in (s3, google) else {})
    for attribute, first in getattr(compat, name).items():
        assert attribute in vars(new) or hasattr(type(new), attribute)
        assert type(getattr(new, attribute)) is type(first())


@pytest.mark.parametrize("make", [s3, google], ids=named)
@pytest.mark.parametrize("name", ["a.jpg", "folder/a b.jpg", "./a.jpg", "a/../b.jpg"])
def test_the_key_is_the_one_under_which_it_is_stored(make: Callable[..., Any], name: str) -> None:
    storage = make(location="media", querystring_auth=False)
    from django_stream_zip.members.readers.compat import object_key

    found = object_key(storage, name)
    assert found == f"media/{name.replace('./', '').replace('a/../', '').replace('a/.', '')}"
    # Its public URL ends with the key.
    assert storage.url(name).endswith("/" + found.replace(" ", "%20"))


@pytest.mark.parametrize("name", ["a.jpg", "folder/a b.jpg", "./a.jpg"])
def test_the_blob_is_the_one_under_which_it_is_stored(name: str) -> None:
    storage = azure(location="media")
    from django_stream_zip.members.readers.compat import blob_name

    found = blob_name(storage, name)
    assert found == f"media/{name.removeprefix('./')}"
    assert storage.url(name).endswith("/c/" + found.replace(" ", "%20"))


def test_the_path_is_the_one_on_the_server() -> None:
    storage = sftp()
    from django_stream_zip.members.readers.compat import remote_path

    assert remote_path(storage, "folder/a.jpg") == "/srv/folder/a.jpg"


def test_a_session_has_the_storages_credentials() -> None:
    storage = s3()
    from django_stream_zip.members.readers.compat import s3_session

    found = s3_session(storage).get_credentials().get_frozen_credentials()
    assert (found.access_key, found.secret_key) == ("k", "s")


def test_a_copy_of_a_storage_has_another_configuration_and_client() -> None:
    storage = s3()
    from botocore.config import Config

    from django_stream_zip.members.readers.compat import s3_config, with_s3_config

    config = s3_config(storage).merge(Config(max_pool_connections=77))
    copied = with_s3_config(storage, config)
    assert copied.connection.meta.client.meta.config.max_pool_connections == 77
    assert storage.connection.meta.client.meta.config.max_pool_connections != 77
    assert copied.connection.meta.client.meta.region_name == "eu-north-1"


def test_a_client_says_where_it_asks_and_as_whom() -> None:
    from django_stream_zip.members.readers.compat import s3_place

    client = s3().connection.meta.client
    endpoint, region, key = s3_place(client)
    assert (endpoint, region, key) == (client.meta.endpoint_url, "eu-north-1", "k")


def test_a_reader_is_made_for_each() -> None:
    require_packages("boto3", "google.cloud.storage", "azure.storage.blob")
    from django_stream_zip.members.readers import reader_for

    for make in (s3, google, azure):
        assert type(reader_for(make(), "a.jpg")).__name__ != "GenericReader"


def test_google_says_who_reads_and_where() -> None:
    storage = google()
    from google.auth.credentials import AnonymousCredentials

    from django_stream_zip.members.readers.compat import google_credentials, google_url

    assert isinstance(google_credentials(storage), AnonymousCredentials)
    assert google_url(storage) == "http://127.0.0.1:9"


# Public, but the readers couldn't do without.
USED = [
    (s3, "bucket_name gzip location region_name endpoint_url verify connection"),
    (s3, "get_object_parameters"),
    (google, "client bucket"),
    (azure, "client service_client connection_string account_name account_key sas_token"),
    (azure, "token_credential timeout"),
    (sftp, "params host"),
]


@pytest.mark.parametrize(("make", "names"), USED, ids=named)
def test_what_else_the_readers_use_is_there(make: Callable[[], Any], names: str) -> None:
    storage = make()
    assert [name for name in names.split() if not hasattr(storage, name)] == []


@pytest.mark.parametrize(("make", "name"), [(google, "google_session"), (azure, "azure_session")])
def test_a_client_can_keep_more_connections_than_requests_does(
    make: Callable[[], Any], name: str
) -> None:
    from django_stream_zip.members.readers import compat

    session = getattr(compat, name)(make())
    compat.widen_pools(session, 32)
    pools = [adapter.poolmanager for adapter in session.adapters.values()]
    assert pools
    for pool in pools:
        assert pool.connection_from_url("https://example.com").pool.maxsize == 32
    compat.widen_pools(session, 8)
    assert [adapter.poolmanager for adapter in session.adapters.values()] == pools
