"""Celery, over Redis or over files: what a site writes for exports are the last three lines."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery, shared_task

from django_stream_zip.exports import run_task

app = Celery("site")
app.conf.update(
    broker_url=os.environ["EXPORTS_BROKER"],
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
)
if os.environ["EXPORTS_BROKER"].startswith("filesystem"):
    queue = Path(os.environ["EXPORTS_SITE"]) / "queue"
    folders = {name: str(queue) for name in ("data_folder_in", "data_folder_out")}
    app.conf.broker_transport_options = {
        **folders,
        "control_folder": str(queue / "control"),
        "polling_interval": 0.1,
    }
app.set_default()


@shared_task(ignore_result=True)
def zip_task(name: str, *arguments: object) -> None:
    run_task(name, *arguments)
