"""`manage.py demo`: everything from an empty folder to a running library, in one command."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandParser, call_command
from django.template.defaultfilters import filesizeformat

from library.models import Folder
from library.samples.catalogue import FOLDERS, SampleFolder
from library.samples.shelving import shelve

USERNAME = "admin"


class Command(BaseCommand):
    """Sets the library up, as far as it is not set up yet, and serves it."""

    help = "Set up the sample library and start a server for it on this machine."

    def add_arguments(self, parser: CommandParser) -> None:
        """The address, and two switches for the tests."""
        parser.add_argument("addrport", nargs="?", default="127.0.0.1:8000")
        parser.add_argument("--no-server", action="store_true", help="Only set up.")
        parser.add_argument(
            "--small",
            action="store_true",
            help="Make the large samples small. Files that are there stay as they are.",
        )

    def handle(self, *, addrport: str, no_server: bool, small: bool, **options) -> None:
        """Set up, say where to look, serve."""
        self.say(f"Preparing the database in {settings.DATA_DIR}")
        call_command("migrate", verbosity=0)
        for folder in FOLDERS:
            self.fill(folder, small)
        password = reset_admin()
        self.say(f"For the admin pages: user {USERNAME}, password {password}")
        if no_server:
            self.say("The library is ready.")
            return
        url = f"http://{addrport if ':' in addrport else f'127.0.0.1:{addrport}'}/"
        self.say(self.style.SUCCESS(f"The library is ready. Open {url}"))
        self.say(f"Its admin pages are at {url}admin/")
        # The reloader would run this whole command a second time.
        call_command("runserver", addrport, use_reloader=False)

    def fill(self, sample_folder: SampleFolder, small: bool) -> None:
        """Make one of the sample folders complete, and say so."""
        made = shelve(sample_folder, small=small)
        documents = Folder.objects.get(slug=sample_folder.slug).documents
        sizes = list(documents.values_list("size", flat=True))
        news = f"{made} new" if made else "all there already"
        total = filesizeformat(sum(sizes)).replace("\xa0", " ")
        self.say(f"  {sample_folder.name}: {len(sizes)} files, {total} ({news})")

    def say(self, line: str) -> None:
        """One line at once, also where the output is not a terminal."""
        self.stdout.write(line)
        self.stdout.flush()


def reset_admin() -> str:
    """Give the admin user a new password, making the user if need be; returns the password."""
    password = secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    return password
