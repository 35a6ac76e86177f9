"""Whose messages are taken: a key serves one camera in one room, until it is revoked."""

from collections.abc import Callable, Iterable, Iterator

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.shared.errors import NotYours
from roommood.shared.security.allow_list import REVOKED, AllowList
from roommood.shared.security.keys import fingerprint


class Access:
    """Holds each message against the allow-list; without one, everything is allowed."""

    def __init__(self, allow_list: AllowList | None) -> None:
        self._allow_list = allow_list
        self._version = 0

    @property
    def is_keyed(self) -> bool:
        return self._allow_list is not None

    def check_key(self, holder: str) -> None:
        """Raises NotYours where the key of this peer serves no longer."""
        if self._allow_list is not None and not self._allow_list.authorizes(holder):
            raise NotYours(REVOKED, f"{REVOKED}: key {fingerprint(holder)} serves no longer")

    def check_claim(self, holder: str, camera: str, room: str) -> None:
        """Raises NotYours where the key is not that of this camera in this room."""
        if self._allow_list is None:
            return
        why = self._allow_list.refusal(holder, camera, room)
        if why:
            key = fingerprint(holder)
            raise NotYours(why, f"{why}: key {key} is not that of camera {camera} in room {room}")

    def newly_refused(
        self, sessions: Callable[[], Iterable[CameraSession]]
    ) -> Iterator[tuple[CameraSession, str]]:
        """Sessions whose key serves no longer since the list has changed, and why.

        Only then are they asked for: a list of a thousand at each turn would be a quarter of what
        their Hellos cost.
        """
        if self._allow_list is None or self._allow_list.version == self._version:
            return
        self._version = self._allow_list.version
        for session in sessions():
            hello = session.hello
            why = self._allow_list.refusal(session.holder, hello.camera, hello.room)
            if why and session.refused != why:
                yield session, why
