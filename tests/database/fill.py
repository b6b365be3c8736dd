"""A program: makes the tables, files and rows of the site, and a superuser."""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.core.management import call_command

MIB = 1 << 20
# More than the sockets between a server and a client hold.
LARGE_FILES, LARGE = 4, 8 * MIB
# More than two pages of the lazy form.
TINY_FILES, TINY = 2500, 10
PASSWORD = "correct horse"


def main() -> None:
    """Fill the database and the folder that the environment names."""
    django.setup()
    from django.contrib.auth.models import User
    from django.utils import timezone

    from tests.models import Document

    folder, now = Path(os.environ["SITE_DATA"]), timezone.now()
    (folder / "large.jpg").write_bytes(os.urandom(MIB) * (LARGE // MIB))
    (folder / "tiny.jpg").write_bytes(bytes(TINY))
    # The tables without migrations come second: they refer to those that have some.
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)
    User.objects.create_superuser("root", password=PASSWORD)
    kinds = {"large": (LARGE_FILES, LARGE), "tiny": (TINY_FILES, TINY), "broken": (1, TINY)}
    Document.objects.bulk_create(
        Document(title=title, file=f"{title}.jpg", size=size, uploaded_at=now)
        for title, (files, size) in kinds.items()
        for _ in range(files)
    )


if __name__ == "__main__":
    main()
