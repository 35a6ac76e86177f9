"""Whether Redis may be asked now, and what is told when that changes."""

from typing import Final

from roommood.aggregator.counting.store import Store
from roommood.shared.errors import StoreError
from roommood.shared.process.metrics import Health
from roommood.shared.process.runtime import ConnectionLog

# Milliseconds between two tries to reach a Redis that is away.
RETRY_MS: Final = 500.0


class RedisStatus:
    """As of the last answer; time is an argument (`boot_ms`)."""

    def __init__(self, store: Store, health: Health) -> None:
        self._store = store
        self._health = health
        self._log, self._log_of_shards = ConnectionLog("redis"), ConnectionLog("redis")
        self._tried_ms = 0.0
        self.away = False
        self.shards_away: frozenset[str] = frozenset()
        # Another Redis may answer at this address when it is back.
        self.schema_checked = False

    def may_answer(self, now_ms: float) -> bool:
        return not self.away or now_ms - self._tried_ms > RETRY_MS

    def check_schema(self) -> None:
        """Raises SchemaMismatch, or another StoreError where Redis does not say."""
        if not self.schema_checked:
            self._store.check_schema()
            self.schema_checked = True

    def note(self, error: StoreError | None, now_ms: float) -> None:
        """What came of asking it: None if it answered."""
        self._tried_ms = now_ms
        self.away = error is not None
        self.schema_checked = self.schema_checked and error is None
        self._health.ready = error is None
        if error is None:
            self._log.back("redis")
        else:
            self._log.lost("redis", str(error))

    def note_shards(self) -> None:
        self.shards_away = self._store.shards_away
        self._log_of_shards.lost_are(self.shards_away, "its rooms wait, the others are served")
