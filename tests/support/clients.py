"""Storages of django-storages that talk to a server of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.storages.servers import require_packages


@contextmanager
def s3(url: str, bucket: str, **options: Any) -> Iterator[Any]:
    """Yield an S3Storage, and close its connections at the end."""
    require_packages("storages", "boto3")
    from botocore.config import Config
    from storages.backends import s3 as backend

    config = Config(
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        retries={"max_attempts": 0},
    )
    storage = backend.S3Storage(
        bucket_name=bucket,
        endpoint_url=url,
        region_name="us-east-1",
        **{
            "access_key": "test:tester",
            "secret_key": "testing",
            "client_config": config,
            "file_overwrite": True,
            **options,
        },
    )
    try:
        yield storage
    finally:
        storage.connection.meta.client.close()


@contextmanager
def google(url: str, bucket: str) -> Iterator[Any]:
    """Yield a GoogleCloudStorage, and close its connections at the end."""
    require_packages("storages", "google.cloud.storage")
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client
    from storages.backends import gcloud as backend

    storage = backend.GoogleCloudStorage(bucket_name=bucket, file_overwrite=True)
    storage._client = Client(
        project="tests",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )
    try:
        yield storage
    finally:
        storage._client.close()


# What Microsoft made public for its emulator.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@contextmanager
def azure(
    url: str, container: str, account: str = AZURITE_ACCOUNT, key: str = AZURITE_KEY
) -> Iterator[Any]:
    """Yield an AzureStorage, and close its connections at the end."""
    require_packages("storages", "azure.storage.blob")
    from azure.storage.blob import BlobServiceClient
    from storages.backends import azure_storage as backend

    storage = backend.AzureStorage(
        account_name=account, account_key=key, azure_container=container, overwrite_files=True
    )
    storage._service_client = BlobServiceClient(f"{url}/{account}", credential=key, retry_total=0)
    try:
        yield storage
    finally:
        storage._service_client.close()
