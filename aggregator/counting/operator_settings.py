"""What people set for a site, kept in Redis beside what is counted: pauses, views, groups, hours.

All of it can be written by a login that may write nothing else: `operator` of the shipped ACL file.
"""

from collections.abc import Sequence
from typing import Any, Final

from roommood.aggregator.counting.full_memory import PAUSE, SET_FIELD
from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.servers import Servers, raise_first
from roommood.shared.errors import ShardAway, StoreError
from roommood.shared.protocol.names import parse_group
from roommood.shared.quiet_hours import RoomQuietHours

_UNTIL_IT_IS_BACK: Final = (
    "as long as that node is away; say it again once it answers, or what it has kept may hold anew"
)


class OperatorSettings:
    """Every method raises StoreError. In a Cluster every copy of a list is written."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def close(self) -> None:
        self._servers.close()

    # Pauses: of one copy that answers it suffices to keep a room or camera paused

    def paused_rooms(self) -> tuple[str, ...]:
        return self._members(redis_keys.PAUSED)

    def paused_cameras(self) -> tuple[str, ...]:
        """Those that are paused by themselves, whatever their room is."""
        return self._members(redis_keys.PAUSED_CAMERAS)

    def pause(self, room: str) -> None:
        self._put(redis_keys.PAUSED, room)

    def resume(self, room: str) -> None:
        self._take(redis_keys.PAUSED, room)

    def pause_camera(self, camera: str) -> None:
        self._put(redis_keys.PAUSED_CAMERAS, camera)

    def resume_camera(self, camera: str) -> None:
        self._take(redis_keys.PAUSED_CAMERAS, camera)

    # What is said of a room

    def set_views(self, room: str, apart: bool) -> None:
        """Whether a room's cameras see different people, so that their counts add up."""
        self._say(redis_keys.VIEWS, room, redis_keys.APART if apart else "")

    def set_group(self, room: str, group: str) -> None:
        """Under which name a room stands with others; "" takes it out."""
        self._say(redis_keys.GROUPS, room, parse_group(group) if group else "")

    def set_quiet_hours(self, room: str, hours: RoomQuietHours | None) -> None:
        """When a room's cameras are closed, by the day of the week."""
        self._say(redis_keys.QUIET_HOURS, room, str(hours) if hours else "")

    def put_quiet_hours(self, room: str, hours: str) -> None:
        """The same, as they were read."""
        self._say(redis_keys.QUIET_HOURS, room, hours)

    def quiet_hours(self) -> dict[str, str]:
        """By room, as `RoomQuietHours` reads them."""
        every = self._servers.from_copies(
            redis_keys.QUIET_HOURS, lambda client, key: client.hgetall(key)
        )
        return {room: text for each in every for room, text in each.items()}

    def _members(self, listed: str) -> tuple[str, ...]:
        every = self._servers.from_copies(listed, lambda client, key: client.smembers(key))
        return tuple(sorted(set[str]().union(*every)))

    def _put(self, listed: str, name: str) -> None:
        _require_all(
            self._servers.on_copies(listed, lambda client, key: client.eval(PAUSE, 1, key, name)),
            "by what the other nodes keep; say it again once that node answers",
        )

    def _take(self, listed: str, name: str) -> None:
        replies = self._servers.on_copies(listed, lambda client, key: client.srem(key, name))
        _require_all(replies, _UNTIL_IT_IS_BACK)

    def _say(self, table: str, room: str, value: str) -> None:
        def call(client: Any, key: str) -> Any:
            if not value:
                return client.hdel(key, room)
            return client.eval(SET_FIELD, 1, key, room, value)

        _require_all(self._servers.on_copies(table, call), _UNTIL_IT_IS_BACK)


def _require_all(replies: Sequence[Any], how_far: str) -> None:
    """Raises the first StoreError among the replies of all copies; `how_far` it is in force where
    only nodes of a Cluster that are away have not taken it."""
    failed = [reply for reply in replies if isinstance(reply, StoreError)]
    has_some = len(failed) < len(replies)
    if failed and has_some and all(isinstance(error, ShardAway) for error in failed):
        raise ShardAway(f"{failed[0]}; it is in force {how_far}")
    raise_first(replies)
