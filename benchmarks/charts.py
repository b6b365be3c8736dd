"""The charts of the page about performance, from the tables in docs/figures.rst.

`python -m benchmarks.charts` writes them, after `python -m benchmarks --page docs/figures.rst`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "figures.rst"
FOLDER = DOCS / "_static" / "charts"

Tables = Mapping[str, Mapping[str, Mapping[str, str]]]

# In pixels. A chart is as narrow as the text of a phone's page, so that it needn't shrink there.
WIDTH, NAMES, VALUES, LINE, BAR = 460, 120, 96, 22, 14
# Colours that stand out on white and on black; texts have the colour of the page.
OURS, OTHERS = "#3b82d8", "#9a9a9a"


class Group(NamedTuple):
    """Bars that are compared: those of a workload."""

    workload: str
    title: str
    engines: tuple[str, ...]


class Chart(NamedTuple):
    """A chart: what it says, and which column of which tables it is of."""

    title: str
    column: str
    unit: str
    groups: tuple[Group, ...]


PEERS = ("ours", "stream-zip", "zipstream-ng")
CHARTS = {
    "speed": Chart(
        "Throughput, longer is faster",
        "MB/s",
        "MB/s",
        (
            Group("small-stored", "20,000 members of 300 bytes, stored", PEERS),
            Group("large-stored", "1 GiB stored, CRC-32 known", PEERS),
            Group("csv", "64 MiB CSV, by default", ("ours-django", *PEERS[1:])),
            Group("incompressible", "64 MiB of photos, by default", ("ours-django", *PEERS[1:])),
            Group("aes-large", "64 MiB with a password", PEERS[:2]),
        ),
    ),
    "memory": Chart(
        "Memory for each member, shorter is better",
        "RSS B/member",
        "bytes",
        (Group("members-memory", "200,000 members", PEERS),),
    ),
    "uvicorn": Chart(
        "Memory of a download under ASGI, shorter is better",
        "+RSS MiB",
        "MiB",
        (Group("uvicorn", "1 GiB through uvicorn", ("ours", "ours-async", *PEERS[1:])),),
    ),
    "objects": Chart(
        "Time for objects that are 30 ms away, shorter is faster",
        "s",
        "s",
        (Group("objects", "200 objects, 30 ms away", ("ahead", "one at a time", "stream-zip")),),
    ),
}
# Engines as readers of the page know them.
NAMES_OF_ENGINES = {
    "ours": "this package",
    "ours-django": "this package",
    "ours-async": "asynchronous",
    "ahead": "prefetched",
}


def tables(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return the cells of all tables of the page: by workload, engine and column."""
    found = {}
    for name, body in re.findall(r"^    ([\w-]+): .*\n    -+\n((?:    .+\n)+)", text, re.MULTILINE):
        head, *rows = body.splitlines()
        # Cells end where the head of their column ends; the first column has no head.
        columns = [(match[0], match.end()) for match in re.finditer(r"\S+(?: \S+)*", head)]
        found[name] = dict(_cells(row, columns) for row in rows)
    return found


def _cells(row: str, columns: list[tuple[str, int]]) -> tuple[str, dict[str, str]]:
    engine = re.split(r"\s{2,}", row.strip())[0]
    start, cells = row.index(engine) + len(engine), {}
    for column, stop in columns:
        cells[column] = row[start:stop].strip()
        start = stop
    return engine, cells


def drawn(chart: Chart, found: Tables) -> str:
    """Return a chart as SVG, to be part of a page: its style is in docs/_static/site.css."""
    shapes, y = [], 8
    for group in chart.groups:
        y += LINE
        shapes.append(f'<text x="0" y="{y - 6}" class="group">{escape(group.title)}</text>')
        shapes += _bars(group, found[group.workload], chart, y)
        y += LINE * len(group.engines) + 10
    opened = f'<svg class="chart" viewBox="0 0 {WIDTH} {y}" role="img"'
    label = f'     aria-label="{escape(chart.title)}" xmlns="http://www.w3.org/2000/svg">'
    return "\n".join([opened, label, *shapes, "</svg>"]) + "\n"


def _bars(
    group: Group, rows: Mapping[str, Mapping[str, str]], chart: Chart, y: int
) -> Iterator[str]:
    """Yield a bar a line; the longest one of the group takes all the room that there is."""
    shown = {engine: rows[engine][chart.column] for engine in group.engines}
    values = {engine: float(text.replace(",", "")) for engine, text in shown.items()}
    longest = max(values.values())
    for number, (engine, value) in enumerate(values.items()):
        top = y + number * LINE
        width = max(1, round(value / longest * (WIDTH - NAMES - VALUES)))
        is_ours = engine.startswith("ours") or engine == "ahead"
        yield f'<text x="0" y="{top + 12}">{NAMES_OF_ENGINES.get(engine, engine)}</text>'
        yield (
            f'<rect x="{NAMES}" y="{top}" width="{width}" height="{BAR}" rx="2" '
            f'fill="{OURS if is_ours else OTHERS}"/>'
        )
        text = f"{shown[engine]} {chart.unit}"
        yield f'<text x="{NAMES + width + 6}" y="{top + 12}">{text}</text>'


def charts() -> dict[str, str]:
    """Return all charts of the page of figures, by their files' names."""
    found = tables(FIGURES.read_text())
    return {f"{name}.svg": drawn(chart, found) for name, chart in CHARTS.items()}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, svg in charts().items():
        (FOLDER / name).write_text(svg)


if __name__ == "__main__":
    main()
