"""`manage.py demo_worker`: a worker that the command `demo` starts, and that ends with it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from threading import Thread

from django_tasks_db.management.commands import db_worker


class Command(db_worker.Command):
    """Runs `db_worker` for as long as somebody can write to its standard input."""

    help = "Prepare archives in the background until standard input is closed."

    def handle(self, **options) -> None:
        """Work, without waiting for others and without reloading."""
        Thread(target=end_with_input, daemon=True).start()
        super().handle(**options | {"interval": 0.5, "startup_delay": False, "reload": False})


def end_with_input() -> None:
    """Have this process end, once it has finished its task, when its input has ended."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    # Nobody asks how it ends.
    logging.disable()
    os.kill(os.getpid(), signal.SIGTERM)
