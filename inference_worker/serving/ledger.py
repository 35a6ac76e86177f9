"""What becomes of every frame: asked for, received, begun, and how it ended. The only place that
counts them; credit and health read it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# Connections without a Hello of which is remembered what they sent.
_MAX_UNKNOWN: Final = 256


class Outcome(StrEnum):
    """How a frame ended at this worker; the value is its name in reports and metrics."""

    ANALYSED = "analysed"
    # It looks as the last one did, which showed nobody: taken for that one.
    REPEATED = "repeated"
    # No frame: pictures that the camera did not send for the same reason, told with the next one.
    HELD = "held"
    LOST_ON_WIRE = "lost-on-wire"
    # The key of the sender, or its claim.
    REVOKED = "refused-revoked"
    KEY_MISMATCH = "refused-key-mismatch"
    MISMATCH = "refused-mismatch"
    SUPERSEDED = "refused-superseded"
    # Its time.
    UNSOLICITED = "refused-unsolicited"
    PAUSED = "refused-paused"
    STALE = "refused-stale"
    # Its bytes.
    MALFORMED = "refused-malformed"
    WIRE_VERSION = "refused-wire-version"
    NOT_A_JPEG = "refused-not-a-jpeg"
    TOO_LARGE = "refused-too-large"
    DAMAGED = "refused-damaged"
    PICTURE = "refused-picture"  # as a detector of one's own may say, without another word
    # The model failed.
    ANALYSIS_FAILED = "refused-analysis-failed"

    @classmethod
    def refusal(cls, reason: str) -> "Outcome":
        """The one of a refusal for this reason, as errors and Credit name it."""
        return cls(f"refused-{reason}")

    @property
    def is_refusal(self) -> bool:
        return self.startswith("refused-")

    @property
    def reason(self) -> str:
        """Why, of a refusal or a loss; "" of what went well."""
        return self.partition("-")[2]


# No frames were refused before their connection's first Hello.
NONE_EARLY: Final[Mapping[Outcome, int]] = {}


@dataclass(slots=True, eq=False)
class Account:
    """The frames of one camera's socket, in the camera's own numbering of those it sent on it.

    `granted` were asked for, `received` came or are known to be lost, `settled` were begun,
    refused or lost. `may_hold`: the camera need not send yet what it was asked for last.
    """

    granted: int
    received: int
    settled: int
    ended: Counter[Outcome] = field(default_factory=Counter)
    refused_frames: int = 0
    refused_why: str = ""
    may_hold: bool = False

    @property
    def in_flight(self) -> int:
        """Frames credited or sent that are not settled yet."""
        return self.granted - self.settled

    @property
    def waiting(self) -> int:
        """Frames received that are not settled yet."""
        return self.received - self.settled


class Ledger:
    """All accounts' frames, by the stage at which they are now and by how they ended.

    `asked` are credited and have not come, but for those that cameras may hold, `waiting` have come
    and not begun, `running` are the jobs that threads work at, with the time at which each began.
    `ended` counts frames of all accounts ever opened, `refused` all that was refused of any peer,
    messages too. Both may be read from any thread.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.waiting = 0
        self.running: dict[object, float] = {}
        self.ended: Counter[Outcome] = Counter({Outcome.ANALYSED: 0})
        self.refused: Counter[Outcome] = Counter()
        self._unknown: dict[bytes, Counter[Outcome]] = {}

    @property
    def in_flight(self) -> int:
        """Frames credited or sent, and not begun."""
        return self.asked + self.waiting

    # Before the frame comes

    def grant(self, account: Account, may_hold: bool = False) -> None:
        """One more frame is asked for, which the camera `may_hold` for a while."""
        account.granted += 1
        account.may_hold = may_hold
        self.asked += not may_hold

    def void(self, account: Account) -> None:
        """Takes back what was asked for and has not come."""
        self.asked -= account.granted - account.received - account.may_hold
        account.granted, account.may_hold = account.received, False

    # It came, or never will

    def receive(self, account: Account) -> bool:
        """A frame came; False if it was not asked for."""
        was_asked = account.received < account.granted
        self._take_in(account, 1)
        return was_asked

    def reconcile(
        self, account: Account, sent: int, early: Mapping[Outcome, int] = NONE_EARLY
    ) -> int:
        """The camera says that it has sent so many on this socket: `early` of them were refused
        before its connection's first Hello, the others that did not come are lost. How many are."""
        missing = max(0, sent - account.received)
        if not (missing or early):
            return 0
        lost = max(0, missing - sum(early.values()))
        self._take_in(account, missing)
        self._settle(account, missing)
        for outcome, frames in early.items():
            self._end(account, outcome, frames)
        if lost:
            self._end(account, Outcome.LOST_ON_WIRE, lost)
        return lost

    def _take_in(self, account: Account, frames: int) -> None:
        account.received += frames
        unasked = max(0, account.received - account.granted)
        account.granted += unasked
        held = account.may_hold and frames > unasked
        self.asked -= frames - unasked - held
        account.may_hold = account.may_hold and not held
        self.waiting += frames

    # What was done with it

    def held(self, account: Account) -> None:
        """A camera tells of pictures that it did not send."""
        self._end(account, Outcome.HELD, 1)

    def begin(self, account: Account, job: object, now_ms: float) -> None:
        """A thread began with a frame that waited."""
        self._settle(account, 1)
        self.running[job] = now_ms

    def finish(self, account: Account, job: object, outcome: Outcome) -> float | None:
        """A thread is done with a job; when it had begun, None if it never did."""
        if outcome.is_refusal:
            self.refused[outcome] += 1
        self._end(account, outcome, 1)
        return self.running.pop(job, None)

    def refuse(self, account: Account, outcome: Outcome) -> None:
        """A frame that was received is not begun with."""
        self.refused[outcome] += 1
        self._end(account, outcome, 1)
        self._settle(account, 1)

    def _settle(self, account: Account, frames: int) -> None:
        account.settled += frames
        self.waiting -= frames

    def _end(self, account: Account, outcome: Outcome, frames: int) -> None:
        account.ended[outcome] += frames
        self.ended[outcome] += frames
        if outcome.is_refusal and outcome is not Outcome.PAUSED:
            account.refused_frames += frames
            account.refused_why = outcome.reason

    # Peers without an account

    def refuse_message(self, outcome: Outcome) -> None:
        """Something else than a frame of a known camera was refused."""
        self.refused[outcome] += 1

    def refuse_unknown(self, routing_id: bytes, outcome: Outcome) -> None:
        """A frame before its connection's Hello, which will claim to have sent it."""
        self.refused[outcome] += 1
        self._unknown.setdefault(routing_id, Counter())[outcome] += 1
        if len(self._unknown) > _MAX_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]

    def introduced(self, routing_id: bytes) -> Mapping[Outcome, int]:
        """What was refused of a connection before this, its first Hello."""
        return self._unknown.pop(routing_id, NONE_EARLY)
