"""How Sphinx builds the documentation: `tox run -e docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

import django
from django.conf import settings

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

# autodoc imports the modules, and models can be imported only where apps are ready.
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "rest_framework",
        "django_stream_zip",
        "django_stream_zip.exports",
    ],
    USE_TZ=True,
)
django.setup()

project = "django_stream_zip"
author = "The django_stream_zip developers"
project_copyright = f"2026, {author}"
version = release = version_of("django_stream_zip")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "google_docstrings",
    "linked_names",
    "short_names",
]
exclude_patterns = ["_build"]
nitpicky = True
# The docstrings write `names` so. `linked_names` makes links of those that have an entry.
default_role = "code"
highlight_language = "python"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 70
# In signatures, but without an entry: no inventory has them.
nitpick_ignore = [
    ("py:class", "django.db.models.enums.TextChoices"),
    ("py:class", "django.utils.functional.Promise"),
    ("py:class", "django_stream_zip.engine.accelerators.CompressObj"),
    ("py:class", "django_stream_zip.exports.registry._Function"),
    ("py:class", "django_stream_zip.exports.sweep.Action"),
    ("py:class", "rest_framework.exceptions.APIException"),
    ("py:exc", "NotFound"),
    ("py:exc", "SuspiciousFileOperation"),
]

# The inventories are in the repository, so that a build needs no network: see their README.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.inv"),
    "django": ("https://docs.djangoproject.com/en/stable", "inventories/django.inv"),
}

smartquotes_action = "D"  # dashes only: a quote may be code

html_theme = "furo"
pygments_dark_style = "github-dark"
html_theme_options = {
    "source_repository": "https://github.com/django-stream-zip/django_stream_zip/",
    "source_branch": "main",
    "source_directory": "docs/",
}
html_baseurl = "https://django-stream-zip.readthedocs.io/en/latest/"
html_title = f"django_stream_zip {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

# Only what is in the site itself is checked: a build needs no network.
linkcheck_ignore = [r"https?://"]
