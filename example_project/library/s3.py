"""The S3 that the command `demo` fills: one that it starts on this machine, or another one."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec

from django.conf import settings
from django.core.files.storage import default_storage

# What the dependency group `demo-s3` brings.
PACKAGES = ("storages", "boto3", "moto", "flask", "flask_cors")

# With these, a process finds the local S3, which takes any keys.
ACCESS = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_DEFAULT_REGION": "us-east-1",
}
# With these, no setting for another S3 is used instead.
STRAIGHT = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false", "no_proxy": "127.0.0.1"}


class UnusableError(Exception):
    """There is no S3 to use. The text says what to do."""


def prepare() -> dict[str, str]:
    """Make sure that there is a bucket.

    Returns:
        The environment variables with which other processes find it.

    Raises:
        UnusableError: There is none.
    """
    needed = PACKAGES if settings.STARTS_S3 else PACKAGES[:2]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UnusableError(
            f"For S3, the demo needs packages that aren't installed: {', '.join(missing)}."
            " In the folder of README.rst, run, with pip 25.1 or newer:"
            " python -m pip install --group demo-s3"
        )
    if not settings.STARTS_S3:
        check_bucket()
        return {}
    variables = start()
    default_storage.connection.create_bucket(Bucket=settings.S3_BUCKET)
    return variables


def check_bucket() -> None:
    """Raise UnusableError if the bucket can't be used, before any sample is stored."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        default_storage.connection.meta.client.head_bucket(Bucket=settings.S3_BUCKET)
    except (BotoCoreError, ClientError) as error:
        raise UnusableError(
            f"The bucket {settings.S3_BUCKET} can't be used: {error} (DEMO_S3_BUCKET"
            " names it, AWS_ENDPOINT_URL_S3 the server, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            " the account.)"
        ) from error


def start() -> dict[str, str]:
    """Start moto on a free port, and return the environment variables with which it is found.

    It runs in a thread, so it ends with this process, however that ends, and its objects with it.
    """
    from moto.server import ThreadedMotoServer

    # Else it logs each request.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    place = {
        "DEMO_S3_BUCKET": settings.S3_BUCKET,
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
    }
    variables = place | ACCESS
    os.environ.update(variables | STRAIGHT)
    return variables
