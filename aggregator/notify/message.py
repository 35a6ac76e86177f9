"""What people are told. Pure, but for the clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from roommood.shared.clock import boot_ms

# A message that comes later than this says of when it is.
_LATE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """What people read, and the same for programs; `made_ms` by the clock that never steps."""

    title: str
    body: str
    is_good: bool
    events: Sequence[dict[str, Any]]
    made_ms: float = field(default_factory=boot_ms)

    @property
    def at(self) -> datetime:
        """When it was so, by the wall clock as it goes now; UTC."""
        return datetime.now(UTC) - timedelta(milliseconds=boot_ms() - self.made_ms)

    def read_now(self) -> str:
        """The body, with its time where it comes late."""
        if boot_ms() - self.made_ms < _LATE_S * 1_000:
            return self.body
        at = self.at.astimezone().isoformat(sep=" ", timespec="seconds")
        return f"{self.body}\nThis comes late, it was so at {at}."


Send = Callable[[Message], str]
"""Says why a message did not arrive, or "" where it did."""
