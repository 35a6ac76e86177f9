"""Whether Redis may be asked now, and what is told when that changes."""

from typing import Final

from roommood.aggregator.counting.store import Store
from roommood.aggregator.redis.failures import lacks_right
from roommood.shared.errors import StoreError, StoreRefuses
from roommood.shared.process.metrics import Health
from roommood.shared.process.runtime import ConnectionLog

# Milliseconds between two tries to reach a Redis that is away.
RETRY_MS: Final = 500.0
# For so long an answer to anything else does not make up for a refusal to count.
_REFUSED_MS: Final = 60_000.0


class RedisStatus:
    """As of the last answer; time is an argument (`boot_ms`)."""

    def __init__(self, store: Store, health: Health) -> None:
        self._store = store
        self._health = health
        self._log, self._log_of_shards = ConnectionLog("redis"), ConnectionLog("redis")
        self._tried_ms = 0.0
        self._refused_ms: float | None = None
        self._refusal = ("", "")  # to count, as Redis tells it, and with the command's name
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

    def note(
        self, error: StoreError | None, now_ms: float, *, is_of_counting: bool = False
    ) -> None:
        """What came of asking it: None if it answered."""
        self._tried_ms = now_ms
        self.away = error is not None
        self.schema_checked = self.schema_checked and error is None
        if is_of_counting:
            error = self._with_its_command(error) if isinstance(error, StoreRefuses) else error
            self._refused_ms = now_ms if isinstance(error, StoreRefuses) else None
        self._health.ready = error is None and not self._refuses_to_count(now_ms)
        if self._health.ready:
            self._refusal = ("", "")
            self._health.detail["redis"] = "reached"
            self._log.back("redis")
        elif error is not None:
            self._health.detail["redis"] = str(error)
            self._log.lost("redis", str(error))

    def _with_its_command(self, error: StoreRefuses) -> StoreRefuses:
        """Of a script Redis does not say which of its commands this user may not do: all of them
        are tried by themselves, once for each refusal."""
        if lacks_right(error) and self._refusal[0] != str(error):
            self._refusal = (str(error), str(error))
            try:
                self._store.try_rights()
            except StoreRefuses as named:
                self._refusal = (str(error), str(named))
            except StoreError:
                self._refusal = ("", str(error))
        return StoreRefuses(self._refusal[1]) if lacks_right(error) else error

    def _refuses_to_count(self, now_ms: float) -> bool:
        """Whether it did lately: a user without some right may do all else in between."""
        return self._refused_ms is not None and now_ms - self._refused_ms < _REFUSED_MS

    def note_shards(self) -> None:
        self.shards_away = self._store.shards_away
        self._log_of_shards.lost_are(self.shards_away, "its rooms wait, the others are served")
