"""What a broker does not take, told once for each topic: its users would look for it in vain."""

from collections import deque
from typing import Final

from roommood.shared.process.logs import RateLimitedLog

# Of MQTT 5, by the library's word.
_NOT_AUTHORIZED: Final = "Not authorized"


class Refusals:
    """Of one connection at a time. `may` says what the broker has to allow.

    The client's thread calls `clear` before it lets the bridge speak, and `answered`; all else is
    of the bridge's loop."""

    def __init__(self, log: RateLimitedLog, may: str) -> None:
        self._log, self._may = log, may
        # By the numbers of the messages that the broker has not acknowledged yet.
        self._unanswered: dict[int, str] = {}
        self._answers: deque[tuple[int, str]] = deque()
        self._topics: set[str] = set()

    def __len__(self) -> int:
        """Topics by which nothing reaches others, as far as the broker says."""
        return len(self._topics)

    def clear(self) -> None:
        """Another connection: it may allow what the former did not."""
        self._unanswered, self._answers, self._topics = {}, deque(), set()

    def sent(self, number: int, topic: str) -> None:
        self._unanswered[number] = topic

    def answered(self, number: int, why: str) -> None:
        """The broker's word on a message; "" that it took it."""
        self._answers.append((number, why))

    def note(self) -> None:
        """Tells what has come since the last call."""
        answers = self._answers
        while answers:
            number, why = answers.popleft()
            topic = self._unanswered.pop(number, None)
            if topic is not None and why:
                self.refuse(topic, self.with_advice(why))
            elif topic is not None:
                self._topics.discard(topic)

    def refuse(self, topic: str, why: str) -> None:
        if topic not in self._topics:
            self._topics.add(topic)
            self._log.event("message refused", topic=topic, why=why)

    def with_advice(self, why: str) -> str:
        return f"{why}: {self._may}" if why == _NOT_AUTHORIZED else why
