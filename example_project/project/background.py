"""Whether archives can be prepared in the background: where django-tasks-db is installed.

Its workers run the tasks of Django 6.0 and newer, or those of their backport, django-tasks. The
command `demo` starts one; beside another server it is `manage.py db_worker`.
"""

from __future__ import annotations

from importlib.util import find_spec

import django

# What the dependency group `demo` brings, as far as this Django needs it.
PACKAGES = ["django_tasks_db"] if django.VERSION >= (6, 0) else ["django_tasks", "django_tasks_db"]
MISSING = [name for name in PACKAGES if find_spec(name) is None]
APPS = [] if MISSING else ["django_stream_zip.exports", *PACKAGES]
