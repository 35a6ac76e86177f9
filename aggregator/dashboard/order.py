"""Which rooms an overview shows, and in which order: what wants a person's eye first. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from roommood.aggregator.dashboard.snapshot import Room

ALL_GROUPS = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Part of a room's or group's name, in any case; and one group, `ALL_GROUPS` for all."""

    text: str = ""
    group: str = ALL_GROUPS

    def holds(self, room: Room) -> bool:
        known = room.known
        if self.group not in (ALL_GROUPS, known.group):
            return False
        return self.text.lower().strip() in f"{known.room} {known.group}".lower()


def ordered(rooms: Iterable[Room], troubled: set[str], choice: Wanted) -> list[Room]:
    """Rooms with something wrong, then silent ones, then the others; each by group and name."""
    return sorted(
        filter(choice.holds, rooms), key=lambda room: (_rank(room, troubled), _place(room))
    )


def groups_of(rooms: Sequence[Room]) -> list[str]:
    return sorted({room.known.group for room in rooms} - {""})


def _rank(room: Room, troubled: set[str]) -> int:
    if room.name in troubled:
        return 0
    return 1 if room.now.silent and not room.known.is_closed else 2


def _place(room: Room) -> tuple[bool, str, str]:
    return not room.known.group, room.known.group, room.name
