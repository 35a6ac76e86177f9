"""Hours of the day across, days down: when is a room how?"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from roommood.aggregator.dashboard import charts, windows
from roommood.aggregator.dashboard.archive import Archive
from roommood.aggregator.dashboard.colour_scale import PEOPLE, SHARE, VALENCE, Scale
from roommood.aggregator.dashboard.html import number, percent, render, signed
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import Chart, Folded, Select, block, element, words
from roommood.aggregator.stats.calendar import Span
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.protocol.emotions import EXPRESSIONS

_LABEL = "Day by hour; the table below has its figures, and leads to each hour."
_VALENCE, _PEOPLE = "valence", "people"
_MEASURES = {
    _VALENCE: "valence",
    _PEOPLE: "people",
    **{name: f"share of {name}" for name in EXPRESSIONS},
}
_AGAIN_S = 60.0


class HeatSection:
    """The last two weeks, read when the page opens and again each minute."""

    def __init__(
        self, archive: Archive, room: str, frame: Frame, show_hour: Callable[[Span], None]
    ) -> None:
        self._archive = archive
        self._room = room
        self._frame = frame
        self._show_hour = show_hour
        self._spans: Sequence[Span] = ()
        self._hours: Sequence[RoomPeriod] = ()
        with element("section", "rm-card", aria_labelledby="heat") as self._section:
            words("h2", f"Day by hour, last {windows.HEAT_DAYS} days").props["id"] = "heat"
            with element("div", "rm-controls"):
                self._measure = Select("Colour shows", _MEASURES, _VALENCE, lambda _: self._draw())
            self._note = words("p", "Reading …", "rm-note")
            self._legend = block("rm-block")
            self._chart = Chart("rm-chart-heat", _LABEL, self._pressed)
            self._table = Folded("Day by hour as a table", self._table_html)
        frame.once_settled(self._begin)

    def _begin(self) -> None:
        with self._section:
            ui.timer(_AGAIN_S, self._read)

    async def _read(self) -> None:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        spans = windows.heat_hours(minute, self._frame.zone.zone)
        try:
            self._hours = await self._archive.periods(self._room, spans)
        except (ConfigError, StoreError) as error:
            self._note.text = f"No history to be had: {error}"
            return
        self._spans = spans
        self._note.text = (
            f"Hours are {self._frame.zone.name}. "
            f"{windows.moved_hours(spans, self._hours, self._frame.zone.zone)}"
            "Empty: nothing was observed. Press an hour for its figures."
        )
        self._draw()

    def _pressed(self, value: Any) -> None:
        """A cell, by its hour and the place of its day: that hour is shown."""
        heat = self._heat()
        for hour, day, period in heat.cells:
            if isinstance(value, list) and value[:2] == [hour, day]:
                self._show_hour(Span(period.start, period.end))

    def _heat(self) -> windows.HeatMap:
        return windows.by_day_and_hour(self._spans, self._hours, self._frame.zone.zone)

    def _draw(self) -> None:
        heat, name = self._heat(), self._measure.value
        each = [(hour, day, measured(cell, name)) for hour, day, cell in heat.cells]
        cells = [(hour, day, value) for hour, day, value in each if value is not None]
        scale = scale_of(name)
        self._legend.content = render("scale.html", scale=scale)
        self._chart.show(charts.heat_map(heat.days, cells, scale))
        self._table.refresh()

    def _table_html(self) -> str:
        heat, name = self._heat(), self._measure.value
        values = {
            (hour, day): (_written(period, name), _address(period))
            for hour, day, period in heat.cells
        }
        title = f"{_MEASURES[name]} in {self._room}"
        return render("heat.html", days=heat.days, values=values, title=title)


def measured(period: RoomPeriod, name: str) -> float | None:
    """A period's valence, people or share (in percent); None where it is not known."""
    if name == _VALENCE:
        return None if period.valence is None else round(period.valence, 2)
    if name == _PEOPLE:
        return None if period.people is None else round(period.people, 2)
    return charts.percent_of(charts.share_of(period, name, corrected=False))


def _address(period: RoomPeriod) -> str:
    """Of the page that shows this hour."""
    return f"?hour={period.start:%Y-%m-%dT%H:%MZ}"


def scale_of(name: str) -> Scale:
    return {_VALENCE: VALENCE, _PEOPLE: PEOPLE}.get(name, SHARE)


def _written(period: RoomPeriod, name: str) -> str:
    if name == _VALENCE:
        return signed(period.valence)
    if name == _PEOPLE:
        return number(period.people, 1)
    return percent(charts.share_of(period, name, corrected=False))
