"""The live table of `roommood watch`: fitted to the terminal, and readable without colour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.box import ASCII, SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod, OverflowMethod, RenderableType
from rich.table import Table
from rich.text import Text

from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.palette import COLOUR_OF
from roommood.aggregator.terminal.tables import rising_in

# From the lowest to the highest; what was not observed is a blank.
_LEVELS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_LEVELS: Final = ".:-=+*#@"
_SPARK_CHARS: Final = 20


@dataclass(frozen=True, slots=True)
class _Column:
    """`width` in characters; terminals narrower than `from_width` leave the column out."""

    width: int
    from_width: int = 0
    justify: JustifyMethod = "left"


# A room's name takes what it needs, and what else is shown all that is left.
_COLUMNS: Final = {
    "Room": _Column(0),
    "People": _Column(6, justify="right"),
    "Last 10 min": _Column(_SPARK_CHARS, 80),
    "Shown most": _Column(17),
    "Also shown": _Column(0, 126),
    "Valence": _Column(7, 90, "right"),
    "Newest": _Column(7, 50, "right"),
    "Frames/s": _Column(8, 102, "right"),
}
_GAP_CHARS: Final = 3
_MOST_ROOM_CHARS: Final = 24
# Lines of the screen that are not rooms: head, rule, foot and the cursor's.
_LINES_BESIDE: Final = 5
_WORTH_SHOWING: Final = 0.01


@dataclass(frozen=True, slots=True)
class Screen:
    """Size in characters; `plain` where it has letters only of ASCII."""

    width: int = 120
    height: int = 50
    plain: bool = False

    @classmethod
    def of(cls, console: Console) -> "Screen":
        return cls(console.width, console.height, not console.encoding.lower().startswith("utf"))

    @property
    def columns(self) -> dict[str, _Column]:
        return {
            name: column for name, column in _COLUMNS.items() if self.width >= column.from_width
        }

    def widths(self, rooms: Sequence[RoomNow]) -> dict[str, int]:
        """Characters of each column, which together fit."""
        widths = {name: column.width for name, column in self.columns.items()}
        left = self.width - sum(widths.values()) - _GAP_CHARS * (len(widths) - 1)
        longest = max((len(now.room) for now in rooms), default=0)
        widths["Room"] = max(4, min(longest, left, _MOST_ROOM_CHARS))
        if "Also shown" in widths:
            widths["Also shown"] = max(1, left - widths["Room"])
        return widths


@dataclass(frozen=True, slots=True)
class View:
    """Rooms at this moment, by room their last minutes, and what is amiss: `trouble` where nothing
    can be shown, `warnings` where something is missing."""

    rooms: Sequence[RoomNow] = ()
    minutes: Mapping[str, Sequence[RoomPeriod]] = field(default_factory=dict)
    trouble: str = ""
    warnings: Sequence[str] = ()


def watch_screen(view: View, screen: Screen) -> RenderableType:
    """One row per room, as many as there is room for; silent rooms say so."""
    room_for = max(1, screen.height - _LINES_BESIDE)
    table = Table(box=ASCII if screen.plain else SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = screen.widths(view.rooms)
    overflow: OverflowMethod = "crop" if screen.plain else "ellipsis"
    for name, column in screen.columns.items():
        table.add_column(
            name, justify=column.justify, width=widths[name], no_wrap=True, overflow=overflow
        )
    for now in view.rooms[:room_for]:
        table.add_row(*_cells(now, view.minutes.get(now.room, ()), screen))
    return Group(table, Text(_foot(view, room_for), style="dim"))


def sparkline(values: Sequence[float | None], low: float, high: float, plain: bool = False) -> str:
    """One letter a value, from `low` to `high`; a blank where there is none."""
    levels = _PLAIN_LEVELS if plain else _LEVELS
    return "".join(" " if value is None else levels[_level(value, low, high)] for value in values)


def _level(value: float, low: float, high: float) -> int:
    part = (value - low) / (high - low) if high > low else 0.0
    return min(len(_LEVELS) - 1, max(0, int(part * len(_LEVELS))))


def _cells(now: RoomNow, minutes: Sequence[RoomPeriod], screen: Screen) -> list[Text]:
    cells = {
        "Room": Text(now.room),
        "People": Text("" if now.people is None else f"{now.people:.1f}"),
        "Last 10 min": Text(_people(minutes, screen.plain)),
        "Shown most": _most(now),
        "Also shown": Text(_also(now)),
        "Valence": Text("" if now.valence is None else f"{now.valence:+.2f}"),
        "Newest": Text(_unseen(now) if now.age_s is None else f"{now.age_s:.1f} s"),
        "Frames/s": Text("" if now.silent else f"{now.frames_per_s:.1f}"),
    }
    shown = [cells[name] for name in screen.columns]
    if now.silent:
        for cell in shown:
            cell.stylize("dim")
    return shown


def _people(minutes: Sequence[RoomPeriod], plain: bool) -> str:
    values = [minute.people for minute in minutes][-_SPARK_CHARS:]
    most = max((value for value in values if value is not None), default=0.0)
    return sparkline(values, 0.0, max(1.0, most) * 1.001, plain)


def _unseen(now: RoomNow) -> str:
    return "unknown" if now.away else "silent"


def _most(now: RoomNow) -> Text:
    if now.away:
        return Text("not known")
    if now.silent:
        return Text("no frame for 10 s")
    if not now.dominant:
        return Text("no face" if not now.people else "no sure face")
    share = now.shares.get(now.dominant, 0.0)
    style = f"bold {COLOUR_OF[now.dominant]}"
    return Text.assemble((now.dominant, style), f" {share * 100:.0f} %")


def _also(now: RoomNow) -> str:
    others = sorted(now.shares.items(), key=lambda item: -item[1])
    rising = rising_in(now)
    shown = (
        f"{'turning to ' if name == rising else ''}{name} {share * 100:.0f} %"
        for name, share in others
        if share >= _WORTH_SHOWING and name != now.dominant
    )
    return ", ".join(shown)


def _foot(view: View, room_for: int) -> str:
    if view.trouble:
        return view.trouble
    if not view.rooms:
        return "No room yet: nothing has been counted. Ctrl+C ends it."
    more = len(view.rooms) - room_for
    left_out = f"and {more} more rooms; " if more > 0 else ""
    left_out += "".join(f"{warning}; " for warning in view.warnings)
    return f"{left_out}expressions shown, not felt; Ctrl+C ends it"
