"""Names inside a ZIP: for people, and each of them once."""

from __future__ import annotations

from pathlib import PurePosixPath


def distinct_name(name: str, taken: set[str]) -> str:
    """The name itself, or `report (1).pdf` where `report.pdf` is in `taken`; adds it there.

    Compared without regard to case, as Windows and macOS do when they unpack.
    """
    path = PurePosixPath(name)
    number = 0
    while name.casefold() in taken:
        number += 1
        name = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
    taken.add(name.casefold())
    return name
