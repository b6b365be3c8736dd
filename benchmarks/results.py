"""What the cells measured, round by round, and what follows from it."""

from __future__ import annotations

from statistics import median

from benchmarks.workload import Figures


class Results:
    """The figures of every cell; of cells without figures, the reason."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, str], dict[int, Figures]] = {}
        self.reasons: dict[tuple[str, str], str] = {}

    def add(self, workload: str, engine: str, round_: int, figures: Figures) -> None:
        """Take what a cell measured in a round."""
        self.figures.setdefault((workload, engine), {})[round_] = figures

    def lack(self, workload: str, engine: str, reason: str) -> None:
        """Take why a cell measured nothing."""
        self.reasons[workload, engine] = reason

    def median(self, workload: str, engine: str, figure: str) -> float | None:
        """Return the median of a figure over the rounds."""
        rounds = self.figures.get((workload, engine), {}).values()
        values = [figures[figure] for figures in rounds if figure in figures]
        return median(values) if values else None

    def ratio(
        self, workload: str, engine: str, peer: str, figure: str, peer_figure: str | None = None
    ) -> float | None:
        """Return the median, over the rounds, of the engine's figure divided by the peer's (or by
        another figure of the peer).

        The two were measured one after the other in each round, which is what makes the ratio
        steadier than the figures where the machine has other things to do.
        """
        ours = self.figures.get((workload, engine), {})
        theirs = self.figures.get((workload, peer), {})
        divisor = peer_figure or figure
        ratios = [
            ours[number][figure] / theirs[number][divisor]
            for number in ours.keys() & theirs.keys()
            if figure in ours[number] and theirs[number].get(divisor)
        ]
        return median(ratios) if ratios else None

    def times_as_fast(self, workload: str, engine: str, peer: str, clock: str) -> float | None:
        """Return how many times as fast as a peer an engine is, by one of the clocks."""
        ratio = self.ratio(workload, engine, peer, clock)
        return 1 / ratio if ratio else None
