"""The example for an ASGI server, static files included so that no second server is needed."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = ASGIStaticFilesHandler(get_asgi_application())
