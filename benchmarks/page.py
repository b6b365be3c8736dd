"""The documentation's page of figures: what a run printed, as it was."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

_HEAD = """\
=======
Figures
=======

What ``python -m benchmarks`` printed, written here by its option ``--page``. How it measures, and
how to read a table: :doc:`benchmarks`. What it means: :doc:`performance`.

.. code-block:: text
    :class: figures

"""


def write(path: Path, parts: list[str]) -> None:
    """Write the page."""
    path.write_text(_HEAD + indent("\n".join(parts).rstrip(), "    ") + "\n")
