"""One camera's socket at this worker: who it is, how it is reached, when it is due."""

import math
from dataclasses import dataclass

from roommood.inference_worker.serving.ledger import Account
from roommood.inference_worker.serving.repeats import EmptyLook, Hold
from roommood.shared.clock import TransitClock
from roommood.shared.protocol.messages import Hello

SessionKey = tuple[str, str, int]


@dataclass(slots=True, eq=False)
class CameraSession:
    """One camera's socket, over all its connections, with the account of its frames.

    `holder` is the public key that the camera has proved to hold, "" without keys; `fingerprint`
    is that key's. `newly_lost` are frames that the latest Hello showed to be lost on the wire.
    `addresses_told` are the connection and the addresses of workers that it was last told of.
    `due_ms` is when it is to be asked again, as `Pace` says, from the fields after it. `empty_look`
    is its last full look, if that showed nobody; `looked_ms` is when the newest full look was
    captured, `people_ms` when the newest that showed somebody was, `voided_ms` when the last frame
    came before credit was taken back, `captured_ms` when the newest frame was captured. `hold` goes
    with the credit that it has.
    """

    key: SessionKey
    routing_id: bytes
    hello: Hello
    account: Account
    heard_ms: float
    clock: TransitClock
    fetch_ms: float = 5.0
    transit_ms: float = 0.0
    silent: bool = False
    refused: str = ""
    newly_lost: int = 0
    holder: str = ""
    fingerprint: str = ""
    addresses_told: tuple[int, tuple[str, ...]] | None = None
    addresses_told_ms: float = 0.0
    due_ms: float = 0.0
    asked_ms: float | None = None
    came_ms: float | None = None
    captured_ms: float | None = None
    gap_ms: float = 0.0
    period_ms: float = 0.0
    alone: int = 0
    has_faces: bool = True
    empty_look: EmptyLook | None = None
    looked_ms: float = -math.inf
    people_ms: float = -math.inf
    hold: Hold | None = None
    voided_ms: float | None = None
