"""Messages of many peers, served in turn by their bytes: deficit round robin (Shreedhar and
Varghese, 1995). However much one peer says, another waits for one round."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from roommood.shared.protocol.limits import MAX_REPORT_BYTES

# Bytes that a peer may be served in one round: a report of a second of a busy worker.
QUANTUM_BYTES: Final = 64 * 1024
# What a message takes beside its bytes, in bytes: an empty one is not free either.
MESSAGE_BYTES: Final = 1024
# Bytes that wait of one peer, and of all; what a peer says beyond is dropped unread.
MOST_BYTES_OF_PEER: Final = 2 * MAX_REPORT_BYTES
MOST_BYTES_IN_ALL: Final = 12 * MAX_REPORT_BYTES


@dataclass(slots=True)
class _Backlog:
    messages: deque[bytes] = field(default_factory=deque)
    size: int = 0
    credit: int = 0


class FairQueue:
    """What was received and not looked at yet."""

    def __init__(self) -> None:
        self._backlogs: OrderedDict[bytes, _Backlog] = OrderedDict()
        self._count = self._size = 0

    def __len__(self) -> int:
        """Messages that wait."""
        return self._count

    def put(self, peer: bytes, message: bytes) -> bool:
        """False if the peer has too much waiting; where all have, if it has more than its share."""
        backlog = self._backlogs.get(peer) or _Backlog()
        cost = _cost(message)
        size = backlog.size + cost
        share = MOST_BYTES_IN_ALL // (len(self._backlogs) + 1)
        is_full = self._size + cost > MOST_BYTES_IN_ALL
        if size > (min(share, MOST_BYTES_OF_PEER) if is_full else MOST_BYTES_OF_PEER):
            return False
        self._backlogs[peer] = backlog
        backlog.messages.append(message)
        backlog.size = size
        self._size += cost
        self._count += 1
        return True

    def take(self) -> tuple[bytes, bytes] | None:
        """The next peer and its message; None if nothing waits."""
        while self._backlogs:
            peer, backlog = next(iter(self._backlogs.items()))
            if _cost(backlog.messages[0]) <= backlog.credit:
                return peer, self._pop(peer, backlog)
            backlog.credit += QUANTUM_BYTES
            self._backlogs.move_to_end(peer)
        return None

    def _pop(self, peer: bytes, backlog: _Backlog) -> bytes:
        message = backlog.messages.popleft()
        cost = _cost(message)
        backlog.size -= cost
        backlog.credit -= cost
        self._size -= cost
        self._count -= 1
        if not backlog.messages:
            del self._backlogs[peer]
        return message


def _cost(message: bytes) -> int:
    return len(message) + MESSAGE_BYTES
