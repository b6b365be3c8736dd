"""What the readers use of django-storages and of the stores' packages beyond their public names.

All of it stands here, and `tests/storages/test_compat.py` checks it against the versions that are
installed. The lowest django-storages that has it is 1.14.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from typing import Any, Final, TypeAlias

from storages.utils import clean_name

from django_stream_zip.members.readers.transfer import nothing

Attributes: TypeAlias = dict[str, Callable[[], Any]]

# The attributes in which a storage keeps connections, and what makes their first values.
S3_CONNECTIONS: Final[Attributes] = {"_connections": threading.local, "_bucket": nothing}
GOOGLE_CONNECTIONS: Final[Attributes] = {"_client": nothing, "_bucket": nothing}
AZURE_CONNECTIONS: Final[Attributes] = {"_client": nothing, "_service_client": nothing}
SFTP_CONNECTIONS: Final[Attributes] = {"_ssh": nothing, "_sftp": nothing}


def object_key(storage: Any, name: str) -> str:
    """Return the key of a file's object in an S3Storage or a GoogleCloudStorage."""
    key: str = storage._normalize_name(clean_name(name))
    return key


def blob_name(storage: Any, name: str) -> str:
    """Return the name of a file's blob in an AzureStorage."""
    blob: str = storage._get_valid_path(name)
    return blob


def remote_path(storage: Any, name: str) -> str:
    """Return the path of a file on the server of an SFTPStorage."""
    path: str = storage._remote_path(name)
    return path


def s3_config(storage: Any) -> Any:
    """Return the configuration of botocore that an S3Storage has its clients made with."""
    return getattr(storage, _config_attribute(storage))


def with_s3_config(storage: Any, config: Any) -> Any:
    """Return a copy of an S3Storage that has another configuration, and no connection yet."""
    copied = copy(storage)
    setattr(copied, _config_attribute(storage), config)
    return copied


def _config_attribute(storage: Any) -> str:
    return "client_config" if hasattr(storage, "client_config") else "config"  # before 1.14.3


def s3_session(storage: Any) -> Any:
    """Make the session of boto3 from which an S3Storage has its credentials and region."""
    return storage._create_session()


def s3_place(client: Any) -> tuple[str, str, str | None]:
    """Return where a client of boto3 sends its requests, and as whom: endpoint, region, key."""
    credentials = client._request_signer._credentials
    key = None if credentials is None else credentials.get_frozen_credentials().access_key
    return client.meta.endpoint_url, client.meta.region_name, key


def google_credentials(storage: Any) -> Any:
    """Return the credentials with which a GoogleCloudStorage reads."""
    return storage.client._credentials


def google_url(storage: Any) -> str:
    """Return the address of the API that a GoogleCloudStorage reads from."""
    url: str = storage.client._connection.API_BASE_URL
    return url


def google_session(storage: Any) -> Any:
    """Return the session of requests with which a GoogleCloudStorage's client speaks."""
    return storage.client._http


def azure_session(storage: Any) -> Any:
    """Return that of an AzureStorage's client; None where the site has it speak by another way."""
    transport = storage.service_client._pipeline._transport
    transport.open()
    return getattr(transport, "session", None)


def widen_pools(session: Any, number: int) -> None:
    """Have a session of requests keep so many connections to each server, if it keeps fewer."""
    for adapter in getattr(session, "adapters", {}).values():
        if getattr(adapter, "_pool_maxsize", number) < number:
            adapter.init_poolmanager(adapter._pool_connections, number)
