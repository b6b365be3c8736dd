"""`manage.py demo`: from an empty folder to a running library, in one command."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext, suppress

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.core.management.commands.runserver import naiveip_re
from django.template.defaultfilters import filesizeformat
from project import background

from library import s3
from library.models import Folder
from library.samples.catalogue import FOLDERS, SampleFolder
from library.samples.shelving import shelve

USERNAME = "admin"
LAST_PORT = 65535
# All addresses of this machine, as `runserver` takes them, and one that browsers and settings know.
OPENED = {"0": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}

# What prepares a storage for files, and returns the variables with which others find it.
PREPARATIONS = {"files": dict, "s3": s3.prepare}


class Command(BaseCommand):
    """Sets up what the library still lacks, and serves it."""

    help = "Set up the sample library and start a server for it on this machine."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the address, and two switches for the tests."""
        parser.add_argument("addrport", nargs="?", default="127.0.0.1:8000")
        parser.add_argument("--no-server", action="store_true", help="Only set up.")
        parser.add_argument(
            "--small",
            action="store_true",
            help="Make the large samples small. Existing files stay as they are.",
        )

    def handle(self, *, addrport: str, no_server: bool, small: bool, **options) -> None:
        """Set up, print where the library is, and serve it."""
        if settings.STARTS_S3 and no_server:
            raise CommandError("Without a server, this command ends, and the S3 it starts with it.")
        if ":" not in addrport:
            addrport = f"127.0.0.1:{addrport}"
        if not no_server:
            check_address(addrport)
        self.prepare_storage()
        self.say(f"Preparing the database in {settings.DATA_DIR}")
        call_command("migrate", verbosity=0)
        if settings.STARTS_S3:
            forget_earlier_files()
        for folder in FOLDERS:
            self.fill(folder, small)
        password = set_up_admin()
        self.say(f"For the admin pages: user {USERNAME}, password {password}")
        if no_server:
            self.say("The library is ready.")
            return
        host, _, port = addrport.rpartition(":")
        url = f"http://{OPENED.get(host, host)}:{port}/"
        # Who presses Ctrl-C again doesn't wait for the worker, which ends after its task.
        with suppress(KeyboardInterrupt), self.worker(url):
            self.say(self.style.SUCCESS(f"The library is ready. Open {url}"))
            self.say(f"Its admin pages are at {url}admin/")
            # The reloader would run this whole command a second time.
            call_command("runserver", addrport, use_reloader=False)

    def prepare_storage(self) -> None:
        """Prepare the storage, and print where it is."""
        try:
            variables = PREPARATIONS[settings.STORAGE]()
        except s3.UnusableError as error:
            raise CommandError(str(error)) from error
        self.say(f"The files go to {settings.STORAGE_PLACE()}")
        if variables:
            prefix = " ".join(f"{name}={value}" for name, value in variables.items())
            self.say(f"As long as this runs, others find them with: DEMO_STORAGE=s3 {prefix}")

    def fill(self, sample_folder: SampleFolder, small: bool) -> None:
        """Add the missing samples to a folder, and print how many there are."""
        made = shelve(sample_folder, small=small)
        documents = Folder.objects.get(slug=sample_folder.slug).documents
        sizes = list(documents.values_list("size", flat=True))
        news = f"{made} new" if made else "all there already"
        total = filesizeformat(sum(sizes)).replace("\xa0", " ")
        self.say(f"  {sample_folder.name}: {len(sizes)} files, {total} ({news})")

    def worker(self, url: str) -> AbstractContextManager[object]:
        """Start what prepares archives in the background, and print that, or why there is none."""
        if background.MISSING:
            self.say(
                "Archives aren't prepared in the background, as these packages aren't installed:"
                f" {', '.join(background.MISSING)}. In the folder of README.rst, run, with pip 25.1"
                " or newer: python -m pip install --group demo"
            )
            return nullcontext()
        # A site has cron do that every few minutes.
        call_command("zip_exports", verbosity=0)
        worker = start_worker(url)
        self.say(
            f"Archives are prepared in the background by the process {worker.pid}, which prints"
            " mails here and ends with this one"
        )
        return worker

    def say(self, line: str) -> None:
        """Print a line at once, even if the output isn't a terminal."""
        self.stdout.write(line)
        self.stdout.flush()


def check_address(addrport: str) -> None:
    """Raise CommandError if the server couldn't start, before all the work."""
    match = naiveip_re.match(addrport)
    if match is None or not 0 < int(match["port"]) <= LAST_PORT:
        raise CommandError(f"{addrport!r} is no address: write a port, or 127.0.0.1:8001.")
    host, port = match["addr"].strip("[]"), int(match["port"])
    try:
        listen_once(host, port)
    except OSError as error:
        raise CommandError(
            f"The server can't use port {port} of {host}: {error.strerror}."
            f" Choose another port: manage.py demo {port + 1 if port < LAST_PORT else 8001}"
        ) from error


def listen_once(host: str, port: int) -> None:
    """Listen for a moment, as the server will."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as server:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            # On Windows, where SO_REUSEADDR would allow what is in use.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen()


def forget_earlier_files() -> None:
    """Remove the rows of what was in an earlier S3, which ended."""
    Folder.objects.all().delete()
    if settings.BACKGROUND:
        from django_stream_zip.exports import ZipExport

        ZipExport.objects.all().delete()


def start_worker(url: str) -> subprocess.Popen[bytes]:
    """Start a worker, which ends when it can read no more: with this process, however that ends."""
    return subprocess.Popen(
        [sys.executable, sys.argv[0], "demo_worker"],
        env=os.environ | {"DEMO_URL": url.rstrip("/")},
        stdin=subprocess.PIPE,
        # Ctrl-C is for the server; the worker finishes what it is at.
        start_new_session=True,
    )


def set_up_admin() -> str:
    """Make sure that there is an admin user, and return the password, the same at each start."""
    password = kept_password()
    user, _ = get_user_model().objects.get_or_create(
        username=USERNAME,
        defaults={"is_staff": True, "is_superuser": True, "email": "admin@example.com"},
    )
    if not user.check_password(password):
        user.set_password(password)
        user.save()
    return password


def kept_password() -> str:
    """Return the password that is stored with the demo's data; the first time, make one.

    A new one at each start would lock out the users of a demo that is already running.
    """
    path = settings.DATA_DIR / "admin-password.txt"
    path.touch(mode=0o600)
    password = path.read_text().strip()
    if not password:
        password = secrets.token_urlsafe(9)
        path.write_text(f"{password}\n")
    return password
