"""Of two live starts of one camera (a copied SD card), the newest is served."""

from typing import Final

from roommood.shared.protocol.limits import SESSION_SILENT_MS

# Sessions of one camera that are remembered as replaced.
_MOST_REPLACED: Final = 64


class NewestSession:
    """Which session of each camera is served. Time is an argument."""

    def __init__(self) -> None:
        self._served: dict[str, tuple[str, float]] = {}
        self._replaced: dict[str, set[str]] = {}

    def serves(self, camera: str, session_id: str, now_ms: float) -> bool:
        """A Hello of this session came; False if a newer one is alive."""
        served_id, heard_ms = self._served.get(camera, (session_id, now_ms))
        replaced = self._replaced.setdefault(camera, set())
        if served_id != session_id:
            if session_id in replaced and now_ms - heard_ms < SESSION_SILENT_MS:
                return False
            if len(replaced) >= _MOST_REPLACED:
                replaced.clear()
            replaced.add(served_id)
            replaced.discard(session_id)
        self._served[camera] = (session_id, now_ms)
        return True

    def forget(self, camera: str) -> None:
        self._served.pop(camera, None)
        self._replaced.pop(camera, None)
