"""Which changes of a site are worth a message. Pure: looks in, events out, time as an argument."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from roommood.aggregator.stats.problems import camera_state, problems, worker_name
from roommood.aggregator.stats.site import Site

# No camera has such a name.
REDIS: Final = "Redis"
# What a camera says while nobody knows yet how it is.
_UNSURE: Final = ("starting",)
_DAY_S: Final = 86_400.0
_LONGEST_HOLD_S: Final = 3_600.0
_TODO: Final = "its log says why; what is counted waits at the workers until it is back"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one camera, worker or Redis ("" in `room`: of no room), and what to do."""

    of: str
    room: str
    what: str
    todo: str = ""

    @property
    def kind(self) -> str:
        """A word that stays while the rest of the sentence changes."""
        return self.what.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Look:
    """A site at one moment. Who is told of as wrong and is in none of these has left the site.

    `dominant` has the rooms that show an expression. `is_whole` is False where part of Redis gives
    no answer: who is missing then may be well.
    """

    wrong: Mapping[str, Fault] = field(default_factory=dict)
    well: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    dominant: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell, once. `kind` is "began", "over" or "expression"; `lasted_s` of what is
    over is how long it was wrong."""

    kind: str
    of: str
    room: str
    text: str
    todo: str = ""
    lasted_s: float | None = None


@dataclass(slots=True)
class _Case:
    """A fault since it was first seen. `announced` is the kind that people know of, "" for none;
    `kind_s` is since when it is of this kind, `well_s` since when it is seen no more."""

    fault: Fault
    since_s: float
    kind_s: float
    announced: str = ""
    well_s: float | None = None


@dataclass(slots=True)
class _Shown:
    """A room's expression of which people know, and one that may come after it."""

    settled: str = ""
    next: str = ""
    since_s: float = 0.0


def look_at(site: Site) -> Look:
    """A site's faults, by name; those of Redis nodes among them."""
    closed = {room.room for room in site.rooms if room.is_closed}
    seen = problems(site.cameras, site.workers, closed, site.paused_cameras)
    wrong = {
        problem.of: Fault(problem.of, problem.room, problem.what, problem.todo) for problem in seen
    }
    if site.away:
        wrong[REDIS] = Fault(
            REDIS, "", f"part of it is away: {', '.join(sorted(site.away))}", _TODO
        )
    states = {camera.camera: camera_state(camera) for camera in site.cameras}
    well = {name for name, state in states.items() if state == "ok"} | {REDIS}
    if "workers" not in wrong:  # else each is silent, and one message says it of all
        well |= {worker_name(worker) for worker in site.workers} | (
            {"workers"} if site.workers else set()
        )
    shown = {room.room: room.dominant for room in site.now if room.shares and not room.away}
    unsure = {name for name, state in states.items() if state in _UNSURE}
    return Look(wrong, frozenset(well - wrong.keys()), frozenset(unsure), shown, not site.away)


def redis_away(why: str) -> Look:
    """What is seen while Redis gives no answer: that, and nothing else."""
    return Look({REDIS: Fault(REDIS, "", f"away: {why}", _TODO)}, is_whole=False)


class Watch:
    """Remembers what was told.

    A fault is told once it has stood for `hold_s`, and its end once it has been gone for as long;
    what comes and goes faster is not told, and the end of what comes again and again only once it
    has been gone for longer. So a start tells nothing at first, and then what still
    is wrong. A room's expression is told once it has been dominant for `expression_hold_s`, the
    first of a room never.
    """

    def __init__(self, hold_s: float, expression_hold_s: float) -> None:
        self._hold_s, self._expression_hold_s = hold_s, expression_hold_s
        self._cases: dict[str, _Case] = {}
        # When each was told as wrong within the last day.
        self._began_s: dict[str, list[float]] = {}
        self._rooms: dict[str, _Shown] = {}

    def see(self, look: Look, now_s: float) -> list[Event]:
        """What is to be told of this look, at `now_s` of a clock that never goes back."""
        events = [*self._faults(look.wrong, now_s), *self._ends(look, now_s)]
        return [*events, *self._expressions(look.dominant, now_s)]

    def _faults(self, wrong: Mapping[str, Fault], now_s: float) -> Iterator[Event]:
        for name, fault in wrong.items():
            case = self._cases.setdefault(name, _Case(fault, now_s, now_s))
            if case.fault.kind != fault.kind:
                case.kind_s = now_s
            case.fault, case.well_s = fault, None
            if case.announced != fault.kind and now_s - case.kind_s >= self._hold_s:
                if not case.announced:
                    self._note_began(name, now_s)
                case.announced = fault.kind
                yield Event("began", fault.of, fault.room, fault.what, fault.todo)

    def _ends(self, look: Look, now_s: float) -> Iterator[Event]:
        for name, case in list(self._cases.items()):
            if name in look.wrong or name in look.unsure:
                continue
            if name not in look.well:
                self._out_of_sight(name, look.is_whole)
                continue
            case.well_s = now_s if case.well_s is None else case.well_s
            if not case.announced:
                del self._cases[name]
            elif now_s - case.well_s >= self._end_hold_s(name):
                del self._cases[name]
                lasted_s, fault = case.well_s - case.since_s, case.fault
                yield Event("over", fault.of, fault.room, fault.what, lasted_s=lasted_s)

    def _note_began(self, name: str, now_s: float) -> None:
        self._began_s.setdefault(name, []).append(now_s)
        for each, times in list(self._began_s.items()):
            lately = [began_s for began_s in times if now_s - began_s < _DAY_S]
            self._began_s[each] = lately
            if not lately:
                del self._began_s[each]

    def _end_hold_s(self, name: str) -> float:
        """How long it must be well: twice as long each time that it comes back within a day."""
        again = max(0, len(self._began_s.get(name, ())) - 1)
        return max(self._hold_s, min(self._hold_s * 2.0 ** min(again, 20), _LONGEST_HOLD_S))

    def _out_of_sight(self, name: str, has_left: bool) -> None:
        """What people know of waits until it is seen again; all else begins anew then."""
        case = self._cases[name]
        case.well_s = None
        if has_left or not case.announced:
            del self._cases[name]

    def _expressions(self, dominant: Mapping[str, str], now_s: float) -> Iterator[Event]:
        for room, expression in dominant.items():
            shown = self._rooms.setdefault(room, _Shown())
            if expression != shown.next:
                shown.next, shown.since_s = expression, now_s
            if expression == shown.settled or now_s - shown.since_s < self._expression_hold_s:
                continue
            before, shown.settled = shown.settled, expression
            if before:
                text = f"{expression} is shown most, after {before}"
                yield Event("expression", room, room, text)
        for room in self._rooms.keys() - dominant.keys():
            self._rooms[room].next = ""
