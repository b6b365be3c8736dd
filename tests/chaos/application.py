"""The site as the servers want it: `wsgi` and `asgi`."""

from __future__ import annotations

import faulthandler
import signal

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

# Asked for when a download hangs.
faulthandler.register(signal.SIGRTMIN, all_threads=True)

wsgi = get_wsgi_application()
asgi = get_asgi_application()
