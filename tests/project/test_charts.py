"""The charts of the page about performance are those of its figures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import charts

PAGE = (charts.DOCS / "performance.rst").read_text()
TEXT = """\
::

    some: 200 objects, and more
    ---------------------------
                        s  1st byte ms  x ours (CPU)
    ours            0.912        1,006
    one at a time  20.100                0.05 (0.05)

    other: nothing
    --------------
          s
    ours  1
"""


def test_a_table_has_its_cells_by_their_names() -> None:
    found = charts.tables(TEXT)
    assert found["some"] == {
        "ours": {"s": "0.912", "1st byte ms": "1,006", "x ours (CPU)": ""},
        "one at a time": {"s": "20.100", "1st byte ms": "", "x ours (CPU)": "0.05 (0.05)"},
    }
    assert found["other"] == {"ours": {"s": "1"}}


def test_bars_are_as_long_as_their_figures() -> None:
    groups = (charts.Group("some", "Objects", ("ours", "one at a time")),)
    svg = charts.drawn(charts.Chart("Time", "s", "s", groups), charts.tables(TEXT))
    root = ElementTree.fromstring(svg)
    short, long = (int(bar.attrib["width"]) for bar in root.findall("{*}rect"))
    assert abs(long * 0.912 / 20.1 - short) < 1
    assert [text.text for text in root.findall("{*}text")] == [
        "Objects",
        "this package",
        "0.912 s",
        "one at a time",
        "20.100 s",
    ]


def test_the_charts_belong_to_the_figures() -> None:
    written = {path.name: path.read_text() for path in charts.FOLDER.iterdir()}
    assert written == charts.charts(), "run 'python -m benchmarks.charts'"


def test_no_text_is_cut_off() -> None:
    for name, svg in charts.charts().items():
        for text in ElementTree.fromstring(svg).findall("{*}text"):
            # The widest of the usual fonts takes 8 pixels for a digit.
            stop = int(text.attrib["x"]) + 8 * len(text.text or "")
            assert stop <= charts.WIDTH, (name, text.text)


def test_each_chart_is_on_the_page() -> None:
    assert sorted(re.findall(r":file: _static/charts/(\S+)", PAGE)) == sorted(charts.charts())


# Rows of the page's table beside others: the workload and the engine whose ratios they have.
ROWS = {
    "20,000 of 300 bytes, deflated, level 9": ("small-deflated", "ours"),
    "20,000 of 300 bytes, stored, CRC-32 known": ("small-stored", "ours"),
    "1 GiB stored, CRC-32 known, zlib": ("large-stored", "ours-zlib"),
    "1 GiB stored, CRC-32 known, accelerated": ("large-stored", "ours"),
    "64 MiB CSV, by default, with ISA-L": ("csv", "ours-django"),
    "64 MiB CSV, the same, ``workers=2``": ("csv", "ours-django-workers"),
    "64 MiB CSV, zlib at level 9, ``workers=2``": ("csv", "ours-workers"),
    "64 MiB that can't be compressed, by default": ("incompressible", "ours-django"),
    "64 MiB AES, stored": ("aes-large", "ours"),
    "1,000 of 1 KiB with AES": ("aes-small", "ours"),
    "1,000 of 1 KiB with AES, ``workers=2``": ("aes-small", "ours-workers"),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_table_beside_others_has_the_ratios_of_the_figures(row: str) -> None:
    workload, engine = ROWS[row]
    cells = charts.tables(charts.FIGURES.read_text())[workload][engine]
    figures = [cells.get(f"x {peer} (CPU)", "") for peer in ("stream-zip", "zipstream-ng")]
    ratios = [float(figure.split(" ")[0]) for figure in figures if figure]
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"{row}  ")]
    shown = list(map(float, line.removeprefix(row).split()))
    # The page has two digits.
    assert shown == [pytest.approx(ratio, abs=0.51 if ratio >= 10 else 0.051) for ratio in ratios]
