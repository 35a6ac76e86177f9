"""What a site's file says of a room: its group, how its cameras see it, when it is closed.

    [[room]]
    name = "kitchen"
    group = "first floor"
    views = "apart"
    quiet = ["mon-fri 22:00-06:30", "sat,sun 00:00-24:00"]
    timezone = "Europe/Berlin"    # of the quiet hours; the desktop's, where it has one by name

What is left out stays as people set it by command or on the page. `""` and `[]` take it away.
"""

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from roommood.shared.errors import RoommoodError
from roommood.shared.process.settings.tables import nearest
from roommood.shared.protocol.names import parse_group, parse_room
from roommood.shared.quiet_hours import MAX_SPANS, QuietHours
from roommood.shared.time_zone import parse_zone


class Room(BaseModel):
    """One room's settings; None is what the file does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str | None = None
    views: Literal["same", "apart"] | None = None
    quiet: tuple[str, ...] | None = None
    timezone: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        unknown = sorted(values.keys() - cls.model_fields) if isinstance(values, dict) else []
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}{nearest(unknown[0], cls.model_fields)}")
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.timezone is not None and not self.quiet:
            raise ValueError("timezone is that of the quiet hours: give quiet as well")
        if self.quiet is not None and len(self.quiet) > MAX_SPANS:
            raise ValueError(f"quiet: {len(self.quiet)} spans; give {MAX_SPANS} or fewer")
        try:
            self._parse()
        except RoommoodError as error:
            raise ValueError(str(error)) from error
        return self

    def _parse(self) -> None:
        parse_room(self.name)
        if self.group:
            parse_group(self.group)
        if self.quiet:
            QuietHours.parse(self.quiet)
        if self.timezone is not None:
            parse_zone(self.timezone)

    def commands(self) -> list[tuple[str, ...]]:
        """The words after `roommood` that set what the file says: the command, then the rest."""
        words: list[tuple[str, ...]] = []
        if self.group is not None:
            words.append(("group", "--", self.name, self.group))
        if self.views is not None:
            words.append(("views", "--", self.name, self.views))
        if self.quiet is not None:
            zone = () if self.timezone is None else ("--timezone", self.timezone)
            words.append(("quiet", *zone, "--", self.name, *(self.quiet or ("",))))
        return words


def check_rooms(rooms: Iterable[Room], known: Iterable[str]) -> None:
    """Each is a camera's room, and there once. Raises ValueError."""
    names, done = set(known), set[str]()
    for room in rooms:
        if room.name not in names:
            hint = nearest(room.name, names)
            raise ValueError(f"[[room]] {room.name!r} is no camera's room{hint}")
        if room.name in done:
            raise ValueError(f"two [[room]] have the name {room.name!r}: write one")
        done.add(room.name)
