"""The report as HTML: no script, no picture, no request to anywhere. Pure.

Whatever comes from Redis is escaped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from html import escape
from typing import Final

from roommood.aggregator.report.style import STYLE
from roommood.aggregator.stats.calendar import Span
from roommood.aggregator.stats.figures import RoomPeriod, Share
from roommood.aggregator.stats.palette import COLOUR_OF, DIVERGING
from roommood.shared.process.runtime import release
from roommood.shared.protocol.emotions import EXPRESSIONS

# Shares below this are told in one row.
_WORTH_A_ROW: Final = 0.01
# The colours' ends: a room's mean pleasure is hardly ever further from 0.
_FULL_VALENCE: Final = 0.5
_UNSEEN: Final = 0.05


@dataclass(frozen=True, slots=True)
class RoomReport:
    """A room over the whole span, and hour by hour."""

    whole: RoomPeriod
    hours: tuple[RoomPeriod, ...]


def page(rooms: Sequence[RoomReport], span: Span, zone: tzinfo, made: datetime) -> str:
    """The whole document; times are told by the clock of `zone`."""
    title = f"{_day(span.start, zone)} to {_day(span.end, zone)}"
    body = [
        f"<h1>Expressions shown, {escape(title)}</h1>",
        f'<p class="quiet">Times are {escape(str(zone))}. Made {_time(made, zone)} by roommood '
        f"{escape(release())}. Of the expression shown on faces, not of what anybody feels.</p>",
        _side_by_side(rooms),
        *(_room(room, zone) for room in rooms),
        _how_to_read(rooms),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        "<body>" + "\n".join(body) + "\n</body></html>\n"
    )


def _side_by_side(rooms: Sequence[RoomReport]) -> str:
    heads = ("Room", "People", "Expressions shown", "Shown most", "Valence", "Seen", "Looks")
    rows = [
        (
            f'<a href="#{escape(room.whole.room)}">{escape(room.whole.room)}</a>',
            _number(room.whole.people),
            _bar(room.whole.shares),
            escape(room.whole.dominant) or "–",
            _signed(room.whole.valence),
            _percent(room.whole.coverage),
            f"{room.whole.looks:.0f}",
        )
        for room in rooms
    ]
    return "<h2>Side by side</h2>" + _table(heads, rows) + _legend()


def _room(room: RoomReport, zone: tzinfo) -> str:
    whole = room.whole
    parts = [f'<section id="{escape(whole.room)}"><h2>{escape(whole.room)}</h2>']
    if not whole.frames:
        return "".join([*parts, "<p>Nothing was observed.</p></section>"])
    parts += [
        _table(("Expression shown", "Share", "95 % interval", "Corrected", "95 % interval"),
               _share_rows(whole.shares)),
        _uncorrected(whole),
        "<h3>Day by hour</h3>",
        _heat(room.hours, zone),
        f"<p>{_unseen(room.hours, zone)}</p></section>",
    ]  # fmt: skip
    return "".join(parts)


def _share_rows(shares: Mapping[str, Share]) -> Iterator[Sequence[str]]:
    worth = {name: share for name, share in shares.items() if share.raw >= _WORTH_A_ROW}
    for name, share in sorted(worth.items(), key=lambda item: -item[1].raw):
        yield (
            f"{_swatch(name)} {escape(name)}",
            _percent(share.raw, 1),
            _between(share.low, share.high),
            _percent(share.corrected, 1),
            "–" if share.corrected is None else _between(share.corrected_low, share.corrected_high),
        )
    rest = sum(share.raw for name, share in shares.items() if name not in worth)
    if rest > 0:
        yield "all others", _percent(rest, 1), "", "", ""


def _uncorrected(whole: RoomPeriod) -> str:
    if not whole.uncorrected_models:
        return ""
    models = escape(", ".join(whole.uncorrected_models))
    part = _percent(whole.uncorrected_share)
    return f'<p class="quiet">{part} was seen by {models}, which has no confusion matrix.</p>'


def _heat(hours: Sequence[RoomPeriod], zone: tzinfo) -> str:
    """Days down, hours across: people as a number, the mean valence as the colour."""
    days: dict[date, dict[int, RoomPeriod]] = {}
    for hour in hours:
        local = hour.start.astimezone(zone)
        days.setdefault(local.date(), {})[local.hour] = hour
    rows = [
        (f"{day:%a %d %b}", *(_heat_cell(of_day.get(hour)) for hour in range(24)))
        for day, of_day in days.items()
    ]
    head = "".join(f'<th scope="col">{hour:02d}</th>' for hour in range(24))
    body = "".join(f'<tr><th scope="row">{day}</th>{"".join(cells)}</tr>' for day, *cells in rows)
    return (
        '<div class="wide"><table class="heat"><thead><tr><th scope="col">Day</th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
        '<p class="quiet">Number: people. Colour: valence, from '
        f"{_patch(DIVERGING[0])} unpleasant over {_patch(DIVERGING[3])} to "
        f"{_patch(DIVERGING[-1])} pleasant. Hatched: not observed.</p>"
    )


def _heat_cell(hour: RoomPeriod | None) -> str:
    if hour is None:
        return "<td></td>"
    if not hour.frames:
        return '<td class="unseen"></td>'
    colour = _colour(hour.valence)
    title = f"{_number(hour.people)} people, valence {_signed(hour.valence)}"
    return f'<td style="background:{colour}" title="{title}">{_number(hour.people)}</td>'


def _colour(valence: float | None) -> str:
    if valence is None:
        return "transparent"
    part = max(-1.0, min(1.0, valence / _FULL_VALENCE))
    return DIVERGING[round((part + 1) / 2 * (len(DIVERGING) - 1))]


def _unseen(hours: Sequence[RoomPeriod], zone: tzinfo) -> str:
    missed = [hour for hour in hours if hour.coverage < _UNSEEN]
    if not missed:
        return "No hour went unobserved."
    spans = ", ".join(_joined(missed, zone))
    return f"Not observed: {len(missed)} of {len(hours)} hours ({spans})."


def _joined(missed: Sequence[RoomPeriod], zone: tzinfo) -> Iterator[str]:
    """Hours that follow each other, as one span each."""
    start = missed[0].start
    for hour, following in zip(missed, [*missed[1:], None], strict=True):
        if following is None or following.start != hour.end:
            yield f"{start.astimezone(zone):%a %d %H:%M} to {hour.end.astimezone(zone):%H:%M}"
            start = following.start if following else start


def _how_to_read(rooms: Sequence[RoomReport]) -> str:
    few = [room.whole.room for room in rooms if room.whole.is_too_little]
    warning = f" Too little for an interval: {escape(', '.join(few))}." if few else ""
    return (
        "<h2>How to read it</h2><ul>"
        "<li><b>Share</b>: the mean of what the model saw on sure faces; <b>corrected</b> allows "
        "for what it is known to confuse. The intervals say how far the whole span may be from "
        f"the part that was seen.{warning}</li>"
        "<li><b>People</b>: faces at once, on average while it was seen.</li>"
        "<li><b>Valence</b>: mean pleasure of the expressions shown, -1 to +1.</li>"
        "<li><b>Seen</b>: the part of the span in which a camera observed the room. "
        "<b>Looks</b>: 10 s of a sure face's time each.</li>"
        "<li>A model that reads expressions errs, more on turned, dark and small faces, and more "
        "on rare expressions; how it does on other people than those it was measured on is not "
        "known. A difference within the intervals is none.</li></ul>"
    )


def _bar(shares: Mapping[str, Share]) -> str:
    parts = "".join(
        f'<span style="width:{share.raw * 100:.1f}%;background:{COLOUR_OF[name]}" '
        f'title="{escape(name)} {_percent(share.raw)}"></span>'
        for name, share in shares.items()
        if share.raw > 0
    )
    return f'<div class="bar">{parts}</div>' if parts else "–"


def _legend() -> str:
    return (
        '<p class="quiet">'
        + " ".join(f"{_swatch(expression)} {expression}" for expression in EXPRESSIONS)
        + "</p>"
    )


def _swatch(name: str) -> str:
    return _patch(COLOUR_OF[name])


def _patch(colour: str) -> str:
    return f'<span class="swatch" style="background:{colour}"></span>'


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "too little seen yet"
    return f"{_percent(low, 1)} to {_percent(high, 1)}"


def _percent(part: float | None, digits: int = 0) -> str:
    if part is None:
        return "–"
    return "< 1 %" if 0 < part < 0.005 and not digits else f"{part * 100:.{digits}f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}".removesuffix(".0")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _day(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%a %d %b %Y, %H:%M}"


def _time(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
