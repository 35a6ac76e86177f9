"""A whole period summed up: its figures, shares and intervals, beside those of another one."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from roommood.aggregator.dashboard import charts
from roommood.aggregator.dashboard.html import render
from roommood.aggregator.dashboard.pages.parts import Chart, block, element, words
from roommood.aggregator.stats.figures import RoomPeriod, Share

_EXPLANATION = (
    "As the model saw it: the mean of what the model says, with its interval by chance alone. "
    "Corrected: allows for what the model is known to confuse, and its interval for that too."
)


class SummarySection:
    """Of the period that was chosen; `before` is the one beside it, if one is."""

    def __init__(self) -> None:
        words("h3", "The whole period")
        self._headline = block("rm-block")
        with element("div", "rm-side-by-side") as self._pair:
            self._dots = Chart("rm-chart-dots", "Shares; the table beside gives the figures.")
            self._rows = block("rm-block")
        words("p", _EXPLANATION, "rm-note")

    def show(self, period: RoomPeriod, before: RoomPeriod | None, corrected: bool) -> None:
        self._headline.content = render("headline.html", period=period, before=before)
        rows = estimates(period, corrected)
        self._dots.hide(not rows or before is not None)
        self._pair.classes(**{"remove" if before is None else "add": "rm-alone"})
        if rows:
            self._dots.show(charts.dots((name, *astuple(row)) for name, row in rows))
        self._rows.content = render(
            "summary.html",
            rows=rows,
            before=None if before is None else _by_name(before, corrected),
            missing=corrected and bool(period.shares),
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """A share, 0..1, and its interval; None where too little was seen for one."""

    share: float
    low: float | None
    high: float | None


def estimates(period: RoomPeriod, corrected: bool) -> list[tuple[str, Shown]]:
    """Share and interval of each expression; none where they are not known."""
    each = [(name, _shown(share, corrected)) for name, share in period.shares.items()]
    return [(name, period) for name, period in each if period is not None]


def _by_name(period: RoomPeriod, corrected: bool) -> Mapping[str, Shown]:
    return dict(estimates(period, corrected))


def _shown(share: Share, corrected: bool) -> Shown | None:
    if not corrected:
        return Shown(share.raw, share.low, share.high)
    if share.corrected is None:
        return None
    return Shown(share.corrected, share.corrected_low, share.corrected_high)
