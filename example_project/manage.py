#!/usr/bin/env python
"""The example's command line: `python example_project/manage.py demo` starts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the management command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    # In a checkout the package lies beside this folder, so that it need not be installed.
    # Last in the path: a package that is installed is preferred.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
