"""Options for ECharts: https://echarts.apache.org/en/option.html. Pure: figures in, options out.

Charts are drawn as SVG, so that the page's style sheet colours their text for light and dark.
Shares are in percent with one decimal, since they are shown as they stand.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from roommood.aggregator.dashboard.colour_scale import Scale
from roommood.aggregator.stats.figures import RoomPeriod, Share
from roommood.aggregator.stats.palette import COLOUR_OF
from roommood.shared.protocol.emotions import EXPRESSIONS

Options = dict[str, Any]

# Up to so many periods are drawn as bars, which show a single one between gaps; more as lines.
MOST_BARS: Final = 400
# Seen on light and on dark.
_LINE: Final = "#8a93a066"
_INK: Final = "#7d8590"
_PEOPLE: Final = "#3b82c4"
_TOOLTIP: Final[Options] = {
    "trigger": "axis",
    "confine": True,
    "className": "rm-tooltip",
    "axisPointer": {"type": "line"},
}


def now_bar(shares: Mapping[str, float]) -> Options:
    """A room's shares at this moment as one bar."""
    return {
        "animationDurationUpdate": 300,
        "grid": {"left": 0, "right": 0, "top": 0, "bottom": 0},
        "xAxis": {"type": "value", "max": 100, "show": False},
        "yAxis": {"type": "category", "data": [""], "show": False},
        "series": [
            _part(name, [percent_of(shares.get(name, 0.0))], barWidth="100%")
            for name in EXPRESSIONS
        ],
    }


def hour_strip(minutes: Sequence[RoomPeriod]) -> Options:
    """A room's last hour, a bar for each minute; nothing where nothing was observed."""
    return {
        "animation": False,
        "grid": {"left": 0, "right": 0, "top": 1, "bottom": 0},
        "xAxis": {
            "type": "category",
            "data": list(range(len(minutes))),
            "axisLabel": {"show": False},
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": _LINE}},
        },
        "yAxis": {"type": "value", "max": 100, "show": False},
        "series": [
            _part(name, [_raw(minute, name) for minute in minutes], barCategoryGap="8%")
            for name in EXPRESSIONS
        ],
    }


def shares_over_time(
    periods: Sequence[RoomPeriod], labels: Sequence[str], corrected: bool
) -> Options:
    """Shares of all expressions, stacked; people and coverage below."""
    series = [
        _stacked(name, [percent_of(share_of(period, name, corrected)) for period in periods])
        for name in EXPRESSIONS
    ]
    return _over_time(periods, labels, series, "Shares", 100)


def one_over_time(
    periods: Sequence[RoomPeriod], labels: Sequence[str], name: str, corrected: bool
) -> Options:
    """One expression with its 95 % interval; people and coverage below."""
    bounds = [interval_of(period, name, corrected) for period in periods]
    low = [percent_of(bound[0]) for bound in bounds]
    high = [percent_of(bound[1]) for bound in bounds]
    spread = [
        None if a is None or b is None else round(b - a, 1) for a, b in zip(low, high, strict=True)
    ]
    value = [percent_of(share_of(period, name, corrected)) for period in periods]
    colour = COLOUR_OF[name]
    series = [
        _band("95 % interval, from", low, "transparent"),
        _band("to so much more", spread, colour),
        _line(name, value, colour),
    ]
    return _over_time(periods, labels, series, name.capitalize(), None)


def dots(rows: Iterable[tuple[str, float, float | None, float | None]]) -> Options:
    """Expressions with share, low and high end of the interval: a dot on a bar for each, and
    without an interval the dot alone."""
    each = [
        (name, share, share if low is None else low, share if high is None else high)
        for name, share, low, high in rows
    ]
    names = [name for name, *_ in each]
    colours = [COLOUR_OF[name] for name in names]
    ranges = [
        {"value": _percent(high - low), "itemStyle": {"color": colour, "opacity": 0.35}}
        for (_, _, low, high), colour in zip(each, colours, strict=True)
    ]
    marks = [
        {"value": [_percent(share), name], "itemStyle": {"color": colour}}
        for (name, share, _, _), colour in zip(each, colours, strict=True)
    ]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 28, "top": 6, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "value", "min": 0, "splitNumber": 4, **_plain(),
                  "axisLabel": {"color": _INK, "hideOverlap": True, "formatter": "{value} %"}},
        "yAxis": {"type": "category", "data": names, "inverse": True, **_plain()},
        "series": [
            {"type": "bar", "stack": "interval", "silent": True, "itemStyle": {"opacity": 0},
             "data": [_percent(low) for _, _, low, _ in each]},
            {"type": "bar", "stack": "interval", "silent": True, "barWidth": 8, "data": ranges,
             "itemStyle": {"borderRadius": 4}},
            {"type": "scatter", "silent": True, "symbolSize": 12, "data": marks,
             "itemStyle": {"borderColor": "#ffffffcc", "borderWidth": 1.5}},
        ],
    }  # fmt: skip


def heat_map(days: Sequence[str], cells: Sequence[tuple[int, int, float]], scale: Scale) -> Options:
    """Days down, hours across. `cells` are (hour, place of the day, value)."""
    ends = [step.low for step in scale[1:]]
    pieces = [
        {"gte": step.low, "color": step.colour, **({"lt": end} if end is not None else {})}
        for step, end in zip(scale, [*ends, None], strict=True)
    ]
    return {
        "animation": False,
        "grid": {"left": 4, "right": 4, "top": 4, "bottom": 4, "containLabel": True},
        "tooltip": {"confine": True, "className": "rm-tooltip"},
        "xAxis": {"type": "category", "data": [f"{h:02d}" for h in range(24)], **_squares()},
        "yAxis": {"type": "category", "data": list(days), "inverse": True, **_squares()},
        "visualMap": {"type": "piecewise", "show": False, "pieces": pieces},
        "series": [
            {
                "type": "heatmap",
                "cursor": "pointer",
                "data": [list(cell) for cell in cells],
                "itemStyle": {"borderRadius": 3, "borderWidth": 1, "borderColor": "transparent"},
            }
        ],
    }


def percent_of(part: float | None) -> float | None:
    return None if part is None else _percent(part)


def share_of(period: RoomPeriod, name: str, corrected: bool) -> float | None:
    share = period.shares.get(name)
    if share is None:
        return None
    return share.corrected if corrected else share.raw


def interval_of(
    period: RoomPeriod, name: str, corrected: bool
) -> tuple[float | None, float | None]:
    share: Share | None = period.shares.get(name)
    if share is None:
        return None, None
    return (share.corrected_low, share.corrected_high) if corrected else (share.low, share.high)


def _over_time(
    periods: Sequence[RoomPeriod],
    labels: Sequence[str],
    shares: Sequence[Options],
    title: str,
    most: int | None,
) -> Options:
    """Two pictures above each other over the same time."""
    people = [None if period.people is None else round(period.people, 2) for period in periods]
    coverage = [_percent(period.coverage) for period in periods]
    below = {"xAxisIndex": 1, "yAxisIndex": 1}
    return {
        "animation": False,
        "tooltip": _TOOLTIP,
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "lineStyle": {"color": _INK}},
        "grid": [
            {"left": 44, "right": 40, "top": 28, "height": "56%", "outerBoundsMode": "none"},
            {"left": 44, "right": 40, "bottom": 26, "height": "19%", "outerBoundsMode": "none"},
        ],
        "xAxis": [
            {"type": "category", "data": list(labels), **_plain(), "axisLabel": {"show": False}},
            {"type": "category", "data": list(labels), "gridIndex": 1, **_plain()},
        ],
        "yAxis": [
            {"type": "value", "name": f"{title} in %", "max": most, "min": 0,
             "interval": most and most / 4, **_value_axis()},
            {"type": "value", "name": "People", "gridIndex": 1, "min": 0, **_value_axis(2)},
            {"type": "value", "name": "Coverage in %", "gridIndex": 1, "min": 0, "max": 100,
             **_value_axis(2), "splitLine": {"show": False},
             "nameTextStyle": {"align": "right", "color": _INK, "padding": [0, -36, 0, 0]}},
        ],
        "series": [
            *(_drawn(share, len(periods)) for share in shares),
            {**_line("People", people, _PEOPLE), **below},
            {**_line("Coverage", coverage, _INK), **below, "yAxisIndex": 2,
             "lineStyle": {"width": 1, "type": "dotted", "color": _INK}},
        ],
    }  # fmt: skip


def _drawn(series: Options, count: int) -> Options:
    """As bars where there are few enough."""
    if series.get("stack") != "shares" or count > MOST_BARS:
        return series
    kept = ("name", "data", "stack", "itemStyle", "color")
    few = {name: value for name, value in series.items() if name in kept}
    return {**few, "type": "bar", "barCategoryGap": "6%"}


def _stacked(name: str, data: Sequence[float | None]) -> Options:
    colour = COLOUR_OF[name]
    return {
        **_line(name, data, colour),
        "stack": "shares",
        "areaStyle": {"opacity": 1, "color": colour},
        "lineStyle": {"width": 0},
        "itemStyle": {"color": colour},
    }


def _band(name: str, data: Sequence[float | None], colour: str) -> Options:
    return {
        **_line(name, data, colour),
        "stack": "interval",
        "areaStyle": {"opacity": 0.25, "color": colour},
        "lineStyle": {"width": 0},
        "color": colour,
    }


def _line(name: str, data: Sequence[float | None], colour: str) -> Options:
    return {
        "type": "line",
        "name": name,
        "data": list(data),
        "color": colour,
        "step": "middle",
        "showSymbol": False,
        "lineStyle": {"width": 2, "color": colour},
    }


def _part(name: str, data: Sequence[float | None], **more: object) -> Options:
    return {
        "type": "bar",
        "name": name,
        "stack": "shares",
        "silent": True,
        "data": list(data),
        "itemStyle": {"color": COLOUR_OF[name]},
        **more,
    }


def _raw(period: RoomPeriod, name: str) -> float | None:
    return percent_of(share_of(period, name, corrected=False))


def _percent(part: float) -> float:
    return round(part * 100, 1)


def _plain() -> Options:
    return {
        "axisLine": {"lineStyle": {"color": _LINE}},
        "axisTick": {"show": False},
        "axisLabel": {"color": _INK, "hideOverlap": True},
        "splitLine": {"show": False},
    }


def _squares() -> Options:
    return {**_plain(), "splitLine": {"show": True, "lineStyle": {"color": "#8a93a022"}}}


def _value_axis(splits: int = 4) -> Options:
    return {
        **_plain(),
        "splitNumber": splits,
        "nameTextStyle": {"align": "left", "color": _INK, "padding": [0, 0, 0, -36]},
        "splitLine": {"lineStyle": {"color": _LINE}},
    }
