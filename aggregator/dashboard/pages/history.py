"""A room's past: shares, people and coverage over time, and the whole period summed up."""

import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Final

from nicegui import ui

from roommood.aggregator.dashboard import charts, windows
from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.html import number, percent, render, signed, zone
from roommood.aggregator.dashboard.pages.parts import (
    Chart,
    Choice,
    Folded,
    Select,
    block,
    element,
    words,
)
from roommood.aggregator.stats.figures import RoomPeriod, Share
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.protocol.emotions import EXPRESSIONS

# How often it is asked whether what is shown is worth reading again.
_TICK_S: Final = 2.0
_ALL = "all"
_RAW, _CORRECTED = "raw", "corrected"
_SHARES = {_RAW: "As the model saw it", _CORRECTED: "Corrected"}


class HistorySection:
    """Reads what is chosen, again from time to time, while the page is open."""

    def __init__(self, archive: Archive, room: str) -> None:
        self._archive = archive
        self._room = room
        self._periods: Sequence[RoomPeriod] = ()
        self._summary: RoomPeriod | None = None
        with element("section", "rm-card", aria_labelledby="history") as self._section:
            words("h2", "History").props["id"] = "history"
            self._choices()
            self._note = words("p", "Reading …", "rm-note")
            block("rm-block").content = render("legend.html")
            self._chart = Chart("rm-chart-history", "History; the table below has its figures.")
            self._table = Folded("History as a table", self._table_html)
            words("h3", "The whole period")
            self._headline = block("rm-block")
            with element("div", "rm-side-by-side"):
                self._dots = Chart("rm-chart-dots", "Shares; the table beside gives the figures.")
                self._rows = block("rm-block")
            words("p", _EXPLANATION, "rm-note")
        self._due_s = 0.0
        ui.timer(_TICK_S, self._read_if_due)

    def _choices(self) -> None:
        with element("div", "rm-controls"):
            titles = {name: one.title for name, one in windows.WINDOWS.items()}
            self._window = Choice("Period", titles, "hour", self._window_chosen)
            self._bucket = Select("by", {}, "", lambda _: self._read_soon())
            self._offer_buckets()
            self._shares = Choice("Shares", _SHARES, _RAW, lambda _: self._draw())
            options = {_ALL: "all, stacked"} | {name: f"{name}, interval" for name in EXPRESSIONS}
            self._expression = Select("Expression", options, _ALL, lambda _: self._draw())

    def _window_chosen(self, _: str) -> None:
        self._offer_buckets()
        self._read_soon()

    def _offer_buckets(self) -> None:
        buckets = windows.WINDOWS[self._window.value].buckets
        self._bucket.offer({one: windows.BUCKETS[one][0] for one in buckets}, buckets[0])

    def _read_soon(self) -> None:
        """At once, and not at the next tick: until then what is shown is not what was chosen."""
        self._note.text = "Reading …"
        self._is_stale(True)
        ui.timer(0.0, self._read, once=True)

    def _is_stale(self, stale: bool) -> None:
        self._section.classes(**{"add" if stale else "remove": "rm-stale"})
        self._section.props["aria-busy"] = "true" if stale else "false"

    async def _read_if_due(self) -> None:
        if time.monotonic() >= self._due_s:
            await self._read()

    async def _read(self) -> None:
        window, bucket = self._window.value, self._bucket.value
        last = windows.WINDOWS[window].last
        self._due_s = time.monotonic() + windows.again_after_s(bucket)
        try:
            periods = await self._archive.history(self._room, last, windows.length_of(bucket))
            summary = await self._archive.summary(self._room, last)
        except (ConfigError, StoreError) as error:
            self._note.text = f"No history to be had: {error}"
            return
        if (window, bucket) == (self._window.value, self._bucket.value):
            self._periods, self._summary = periods, summary
            self._note.text = f"Times are {zone()}." if bucket != "1d" else "Days are those of UTC."
            self._is_stale(False)
            self._draw()

    # What was read

    @property
    def _corrected(self) -> bool:
        return self._shares.value == _CORRECTED

    def _draw(self) -> None:
        labels = windows.labels(self._periods, self._window.value, self._bucket.value)
        name = self._expression.value
        if name == _ALL:
            options = charts.shares_over_time(self._periods, labels, self._corrected)
        else:
            options = charts.one_over_time(self._periods, labels, name, self._corrected)
        self._chart.show(options)
        self._table.refresh()
        self._sum_up()

    def _sum_up(self) -> None:
        if self._summary is None:
            return
        self._headline.content = render("headline.html", period=self._summary)
        rows = list(estimates(self._summary, self._corrected))
        self._dots.hide(not rows)
        if rows:
            self._dots.show(charts.dots((name, *astuple(one)) for name, one in rows))
        self._rows.content = render(
            "summary.html", rows=rows, missing=self._corrected and bool(self._summary.shares)
        )

    def _table_html(self) -> str:
        labels = windows.labels(self._periods, self._window.value, self._bucket.value)
        rows = [
            (label, *_cells(one, self._corrected))
            for label, one in zip(labels, self._periods, strict=True)
            if one.frames
        ]
        return render("history.html", rows=rows, title=f"History of {self._room}")


_EXPLANATION = (
    "As the model saw it: the mean of what the model says, with its interval by chance alone. "
    "Corrected: allows for what the model is known to confuse, and its interval for that too."
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
    return [(name, one) for name, one in each if one is not None]


def _shown(share: Share, corrected: bool) -> Shown | None:
    if not corrected:
        return Shown(share.raw, share.low, share.high)
    if share.corrected is None:
        return None
    return Shown(share.corrected, share.corrected_low, share.corrected_high)


def _cells(period: RoomPeriod, corrected: bool) -> list[str]:
    shares = [charts.share_of(period, name, corrected) for name in EXPRESSIONS]
    figures = [percent(period.coverage), number(period.people, 2), signed(period.valence)]
    return [*figures, *(percent(share, 1) for share in shares)]
