"""A room's past: shares, people and coverage over time, and the whole period summed up."""

import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from nicegui import ui

from roommood.aggregator.dashboard import charts, windows
from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.html import number, percent, render, signed
from roommood.aggregator.dashboard.links import link
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import (
    Chart,
    Choice,
    Folded,
    Select,
    block,
    element,
    words,
)
from roommood.aggregator.dashboard.pages.period import Chosen, PeriodChoice
from roommood.aggregator.dashboard.pages.summary import SummarySection
from roommood.aggregator.stats.calendar import Span
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.protocol.emotions import EXPRESSIONS

# How often it is asked whether what is shown is worth reading again.
_TICK_S: Final = 2.0
_ALL = "all"
_RAW, _CORRECTED = "raw", "corrected"
_SHARES = {_RAW: "As the model saw it", _CORRECTED: "Corrected"}


class HistorySection:
    """Reads what is chosen, again from time to time, while the page is open."""

    def __init__(self, archive: Archive, room: str, frame: Frame) -> None:
        self._archive = archive
        self._room = room
        self._frame = frame
        self._chosen: Chosen | None = None
        self._periods: Sequence[RoomPeriod] = ()
        self._before: Sequence[RoomPeriod] = ()
        self._summaries: Sequence[RoomPeriod] = ()
        self._asked = 0
        with element("section", "rm-card", aria_labelledby="history") as self._section:
            words("h2", "History").props["id"] = "history"
            self._choices()
            self._note = words("p", "Reading …", "rm-note")
            block("rm-block").content = render("legend.html")
            self._chart = Chart("rm-chart-history", "History; the table below has its figures.")
            with element("div", "rm-block") as self._beside:
                self._beside_title = words("h3", "")
                self._beside_chart = Chart("rm-chart-history", "The period before.")
            self._table = Folded("History as a table", self._table_html)
            self._summary = SummarySection()
            self._report = words("a", "Save this period as a report to send")
        self._beside.set_visibility(False)
        self._due_s = 0.0
        frame.once_settled(self._begin)

    def _begin(self) -> None:
        with self._section:
            ui.timer(_TICK_S, self._read_if_due)

    def _choices(self) -> None:
        with element("div", "rm-controls"):
            self._period = PeriodChoice(self._frame, self._read_soon)
            self._shares = Choice("Shares", _SHARES, _RAW, lambda _: self._draw())
            options = {_ALL: "all, stacked"} | {name: f"{name}, interval" for name in EXPRESSIONS}
            self._expression = Select("Expression", options, _ALL, lambda _: self._draw())

    def show_hour(self, span: Span) -> None:
        """Shows this hour, and brings it before the eyes."""
        self._period.show_span(span)
        ui.run_javascript("document.getElementById('history').scrollIntoView()")

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
        self._asked += 1
        asked = self._asked
        try:
            chosen = self._period.chosen
            self._due_s = time.monotonic() + windows.again_after_s(chosen.bucket)
            both = [chosen.span] if chosen.before is None else [chosen.span, chosen.before]
            periods = await self._archive.periods(self._room, chosen.rows)
            before = await self._periods_before(chosen)
            summaries = [(await self._archive.periods(self._room, [span]))[0] for span in both]
        except (ConfigError, StoreError) as error:
            self._note.text = f"No history to be had: {error}"
            return
        if asked == self._asked:
            self._chosen, self._periods, self._before = chosen, periods, before
            self._summaries = summaries
            self._is_stale(False)
            self._draw()

    async def _periods_before(self, chosen: Chosen) -> Sequence[RoomPeriod]:
        rows = chosen.rows_before
        return await self._archive.periods(self._room, rows) if rows else ()

    # What was read

    @property
    def _corrected(self) -> bool:
        return self._shares.value == _CORRECTED

    def _draw(self) -> None:
        chosen, zone = self._chosen, self._frame.zone
        if chosen is None:
            return
        self._note.text = f"{windows.between(chosen.span, zone.zone)}, {zone.name}{chosen.note}"
        self._chart.show(self._drawn(self._periods, chosen.bucket))
        self._beside.set_visibility(chosen.before is not None)
        if chosen.before is not None:
            self._beside_title.text = f"Before: {windows.between(chosen.before, zone.zone)}"
            self._beside_chart.show(self._drawn(self._before, chosen.bucket_before))
        self._report.props["href"] = report_address(self._room, chosen.span, zone.name)
        self._table.refresh()
        period, before = [*self._summaries, None][:2]
        assert period is not None
        self._summary.show(period, before, self._corrected)

    def _drawn(self, periods: Sequence[RoomPeriod], bucket: str) -> charts.Options:
        labels, name = (
            windows.labels(periods, bucket, self._frame.zone.zone),
            self._expression.value,
        )
        if name == _ALL:
            return charts.shares_over_time(periods, labels, self._corrected)
        return charts.one_over_time(periods, labels, name, self._corrected)

    def _table_html(self) -> str:
        if self._chosen is None:
            return ""
        labels = windows.labels(self._periods, self._chosen.bucket, self._frame.zone.zone)
        rows = [
            (label, *_cells(period, self._corrected))
            for label, period in zip(labels, self._periods, strict=True)
            if period.frames
        ]
        return render("history.html", rows=rows, title=f"History of {self._room}")


def report_address(room: str, span: Span, zone: str) -> str:
    """Of the file that tells of this span; hours are the shortest that it shows."""
    times = {"from": span.start.isoformat(), "to": span.end.isoformat()}
    return link("/report?") + urlencode({"room": room, **times, "zone": zone})


def _cells(period: RoomPeriod, corrected: bool) -> list[str]:
    shares = [charts.share_of(period, name, corrected) for name in EXPRESSIONS]
    figures = [percent(period.coverage), number(period.people, 2), signed(period.valence)]
    return [*figures, *(percent(share, 1) for share in shares)]
