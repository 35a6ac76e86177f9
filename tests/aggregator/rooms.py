"""Rooms as an aggregator leaves them in Redis."""

from collections.abc import Mapping

import redis

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis import keys as redis_keys
from tests.aggregator.made import delivery, face, only, result
from tests.redis_server import RedisServer


class Rooms:
    """Results counted by the real store."""

    def __init__(self, server: RedisServer) -> None:
        self._store = Store(server.url)
        self._client: redis.Redis = server.client()
        self._seq = 0

    def close(self) -> None:
        self._store.close()
        self._client.close()

    def show(self, room: str, expression: str, people: int = 1, camera: str = "door") -> None:
        """One frame of a second, taken now, with so many faces that all show the same."""
        now_ms = self._now_ms()
        faces = [face(only(expression))] * people
        self._seq += 1
        frame = result(self._seq, *faces, room=room, camera=camera, interval_us=1_000_000)
        report = self._store.commit([delivery(frame, now_ms - 50)], now_ms)
        assert not report.errors
        self._store.touch_rooms({room: now_ms})

    def fall_silent(self, room: str) -> None:
        """As when the live hash expires."""
        self._client.delete(redis_keys.live(room))

    def health(
        self,
        cameras: Mapping[str, Mapping[str, str | float]],
        workers: Mapping[str, Mapping[str, str | float]],
    ) -> None:
        self._store.write_health(cameras, workers, self._now_ms())

    def _now_ms(self) -> float:
        seconds, micros = self._client.time()
        return float(seconds) * 1000 + float(micros) / 1000
