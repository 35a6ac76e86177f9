"""Commands that set how a room or camera is kept and shown, with the writer's login."""

from typing import Annotated, Final

import typer

from roommood.aggregator.terminal.common import (
    RoomArgument,
    is_room_seen,
    opened_for_operator,
    require_camera,
)
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import RedisSettings
from roommood.shared.process.settings.options import with_settings
from roommood.shared.protocol.names import parse_camera, parse_room

CameraOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", show_default="all of the room", help="One camera alone."),
]

NewRoomOption = Annotated[
    bool, typer.Option("--new", help="Also a room of which nothing was counted yet.")
]
_UNSEEN: Final = "this login may not see which rooms there are: the name is taken as it is spelt"
_UNLESS_NEW: Final = "--new sets it for one that is still to come"


@with_settings(RedisSettings)
def pause(
    settings: RedisSettings,
    room: RoomArgument,
    camera: CameraOption = None,
    new: Annotated[
        bool,
        typer.Option("--new", help="Also a room or camera of which nothing was counted yet."),
    ] = False,
) -> None:
    """Make the cameras of a room, or one of them, send nothing until `resume`.

    Example: roommood pause kitchen --camera kitchen-2
    """
    name = parse_room(room)
    unless = "--new pauses one that is still to come"
    is_seen = new or is_room_seen(name, settings, unless)
    if camera is None:
        with opened_for_operator(settings) as store:
            store.pause(name)
        typer.echo(f"{name} is paused")
    else:
        camera_name = parse_camera(camera)
        if is_seen and not new:
            require_camera(camera_name, name, settings, unless)
        with opened_for_operator(settings) as store:
            store.pause_camera(camera_name)
        typer.echo(f"{camera_name} in {name} is paused")
    _note_unless(is_seen)


@with_settings(RedisSettings)
def resume(settings: RedisSettings, room: RoomArgument, camera: CameraOption = None) -> None:
    """Let the cameras of a paused room, or one that was paused by itself, send again.

    Example: roommood resume kitchen
    """
    name = parse_room(room) if camera is None else parse_camera(camera)
    with opened_for_operator(settings) as store:
        if camera is None:
            was_paused = name in store.paused_rooms()
            store.resume(name)
        else:
            was_paused = name in store.paused_cameras()
            store.resume_camera(name)
    typer.echo(f"{name} is no longer paused" if was_paused else f"{name} was not paused")


@with_settings(RedisSettings)
def views(
    settings: RedisSettings,
    room: RoomArgument,
    how: Annotated[
        str,
        typer.Argument(
            metavar="same|apart",
            help="same: the cameras see the same people, the largest count holds. "
            "apart: each sees its own, and the counts add up.",
        ),
    ],
    new: NewRoomOption = False,
) -> None:
    """Say whether a room's cameras see the same people or each its own part of the room.

    Example: roommood views kitchen apart
    """
    name = parse_room(room)
    if how not in ("same", "apart"):
        raise ConfigError(f"{how!r} is not a way to look: use same or apart")
    is_seen = new or is_room_seen(name, settings, _UNLESS_NEW)
    with opened_for_operator(settings) as store:
        store.set_views(name, how == "apart")
    typer.echo(f"the cameras of {name} see {'different' if how == 'apart' else 'the same'} people")
    _note_unless(is_seen)


@with_settings(RedisSettings)
def group(
    settings: RedisSettings,
    room: RoomArgument,
    name: Annotated[
        str, typer.Argument(metavar='"GROUP"', help='Such as "first floor"; "" for none.')
    ],
    new: NewRoomOption = False,
) -> None:
    """Say in which group the page shows a room.

    Example: roommood group kitchen "first floor"
    """
    of = parse_room(room)
    is_seen = new or is_room_seen(of, settings, _UNLESS_NEW)
    with opened_for_operator(settings) as store:
        store.set_group(of, name)
    typer.echo(f"{of} is in {name!r}" if name else f"{of} is in no group")
    _note_unless(is_seen)


@with_settings(RedisSettings)
def quiet(
    settings: RedisSettings,
    room: RoomArgument,
    spans: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPAN ...]", show_default="show those that are set",
            help='Such as "22:00-06:30" or "sat,sun 00:00-24:00"; "" for none.',
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", show_default="this machine's (TZ)", help="By whose clock: UTC."
        ),
    ] = None,
    new: NewRoomOption = False,
) -> None:  # fmt: skip
    """Say when all cameras of a room are closed, by the day of the week; without hours, show them.

    Example: roommood quiet kitchen "mon-fri 22:00-06:30" "sat,sun 00:00-24:00"
    """
    from roommood.aggregator.stats.calendar import named_zone
    from roommood.shared.quiet_hours import RoomQuietHours

    name = parse_room(room)
    opens = spans == [""]
    hours = RoomQuietHours.of(named_zone(timezone), spans) if spans and not opens else None
    is_seen = new or is_room_seen(name, settings, _UNLESS_NEW)
    with opened_for_operator(settings) as store:
        if spans:
            store.set_quiet_hours(name, hours)
        kept = store.quiet_hours().get(name) if not spans else hours
    typer.echo(f"quiet hours of {name}: {kept}" if kept else f"{name} has no quiet hours")
    _note_unless(is_seen)


def _note_unless(is_seen: bool) -> None:
    if not is_seen:
        typer.echo(f"note: {_UNSEEN}", err=True)


COMMANDS: Final = (pause, resume, views, group, quiet)
