"""What may be set of a room on its page, where the page was given a login for it."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from roommood.aggregator.counting.operator_settings import OperatorSettings
from roommood.aggregator.dashboard.pages.frame import Frame
from roommood.aggregator.dashboard.pages.parts import Choice, Field, element, words
from roommood.aggregator.dashboard.snapshot import Snapshot
from roommood.aggregator.dashboard.switches import Switches
from roommood.shared.errors import ConfigError, StoreError
from roommood.shared.quiet_hours import RoomQuietHours

_ON, _OFF = "on", "off"
_RUN = {_ON: "On", _OFF: "Paused"}
_VIEWS = {"same": "the same people", "apart": "each its own"}


class OperatorSection:
    """Switches for a room and each of its cameras; what others set shows within a second."""

    def __init__(self, switches: Switches, room: str, frame: Frame) -> None:
        self._switches = switches
        self._room = room
        self._frame = frame
        self._cameras: dict[str, Choice] = {}
        with element("section", "rm-card", aria_labelledby="switches"):
            words("h2", "Switches").props["id"] = "switches"
            with element("div", "rm-controls"):
                words("span", "Whole room", "rm-quiet")
                self._whole = Choice("Whole room", _RUN, _ON, self._room_chosen)
            self._each = element("div", "rm-stack")
            with element("div", "rm-controls"):
                words("span", "Its cameras see", "rm-quiet")
                self._views = Choice("Its cameras see", _VIEWS, "same", self._views_chosen)
            with element("div", "rm-controls"):
                self._group = Field("Group", "text", lambda _: None)
                self._button("Set group", self._group_given)
            with element("div", "rm-controls"):
                self._hours = Field("Quiet hours", "text", lambda _: None)
                self._button("Set quiet hours", self._hours_given)
            words("p", _HOURS_HELP, "rm-note")
            self._note = words("p", "", "rm-note")
            self._note.props["role"] = "status"

    def _button(self, text: str, press: Callable[[], object]) -> None:
        button = words("button", text, "rm-button").on("click", press)
        button.props["type"] = "button"

    def show(self, snapshot: Snapshot) -> None:
        room = snapshot.room(self._room)
        if room is None:
            return
        known = room.known
        self._whole.press(_OFF if known.paused else _ON)
        self._views.press("apart" if known.apart else "same")
        self._group.hint(known.group or "none")
        self._hours.hint(known.quiet_hours or "none")
        names = [camera.camera for camera in snapshot.cameras_of(self._room)]
        if names != list(self._cameras):
            self._offer(names)
        for name, choice in self._cameras.items():
            choice.press(_OFF if name in snapshot.paused_cameras else _ON)

    def _offer(self, names: list[str]) -> None:
        self._each.clear()
        with self._each:
            self._cameras = {name: self._camera(name) for name in names}

    def _camera(self, name: str) -> Choice:
        with element("div", "rm-controls"):
            words("span", name, "rm-quiet")
            return Choice(f"Camera {name}", _RUN, _ON, lambda how: self._camera_chosen(name, how))

    # What is chosen

    async def _room_chosen(self, how: str) -> None:
        await self._set(
            lambda to: to.pause(self._room) if how == _OFF else to.resume(self._room), run=how
        )

    async def _camera_chosen(self, camera: str, how: str) -> None:
        await self._set(
            lambda to: to.pause_camera(camera) if how == _OFF else to.resume_camera(camera),
            camera=camera, run=how,
        )  # fmt: skip

    async def _views_chosen(self, how: str) -> None:
        await self._set(lambda to: to.set_views(self._room, how == "apart"), views=how)

    async def _group_given(self) -> None:
        group = self._group.value
        await self._set(lambda to: to.set_group(self._room, group), group=group)

    async def _hours_given(self) -> None:
        spans = [span.strip() for span in self._hours.value.split(";") if span.strip()]
        zone = self._frame.zone.zone
        try:
            if spans and not isinstance(zone, ZoneInfo):
                raise ConfigError("the time zone of this page has no name")
            hours = RoomQuietHours.of(zone, spans) if isinstance(zone, ZoneInfo) and spans else None
        except ConfigError as error:
            self._note.text = str(error)
            return
        await self._set(
            lambda to: to.set_quiet_hours(self._room, hours), hours=str(hours or "none")
        )

    async def _set(self, change: Callable[[OperatorSettings], None], **what: str) -> None:
        try:
            await self._switches.set(change, room=self._room, **what)
        except (ConfigError, StoreError) as error:
            self._note.text = f"Not set: {error}"
        else:
            self._note.text = "Set: " + ", ".join(f"{name} {value}" for name, value in what.items())


_HOURS_HELP = (
    "Quiet hours by the clock of this page, such as mon-fri 22:00-06:30; sat,sun 00:00-24:00. "
    "Empty: none. A camera obeys within a second or two."
)
