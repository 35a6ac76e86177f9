"""What crosses a process boundary, as typed and frozen values. `wire` makes bytes of them.

    Hello   camera -> worker      who I am and how many frames I have sent you
    Credit  worker -> camera      how many frames you may have sent me
    Frame   camera -> worker      one picture
    Report  worker -> aggregator  health, and results to be counted
    Ack     aggregator -> worker  which results are settled, and who else is there

Every message carries `sent_ms`, its sender's `clock.boot_ms()` at sending.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from roommood.shared.protocol.measures import measure

Numbers = Mapping[str, float]
# How a camera calls a picture that does not live: `CameraHealth.source` begins with it.
PICTURE_PROBLEMS: Final = ("black", "frozen", "blank")
# The same of pictures that live and are not counted, or not by all: refused, a worker not reached.
DELIVERY_PROBLEMS: Final = ("refused", "unreached")


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """What a camera counts and measures about itself, since its start.

    `captured == sent + skipped + unchanged`, apart from the one newest frame that waits. `sent`
    counts frames to all workers; `lost_with_worker` those of them whose worker ended first.
    `source` is "ok", or what is wrong with it: one of PICTURE_PROBLEMS or DELIVERY_PROBLEMS,
    reconnecting, paused, ... and why.
    None is what is not known; in messages and in Redis that is 0.
    """

    captured: int = measure(0, "Frames that the source gave.", label="Captured", shown_digits=0)
    sent: int = measure(0, "Frames sent, to all workers.")
    skipped: int = measure(
        0,
        "Not sent: a newer picture came before anyone asked.",
        label="Skipped",
        part_of="captured",
    )
    lost_with_worker: int = measure(
        0, "Sent, but their worker ended before it began with them.", label="Lost with a worker",
        shown_digits=0,
    )  # fmt: skip
    encode_ms: float | None = measure(
        None, "Time that one encoding takes.", zero_is_unknown=True, label="Encode", unit="ms"
    )
    temperature_c: float | None = measure(
        None, "Of the camera's board.", low=-273.15, high=1000.0, digits=1, zero_is_unknown=True,
        label="Temperature", unit="°C", shown_digits=0, sample="temperature_celsius",
    )  # fmt: skip
    source: str = measure("", "How its source is, in its own words.", high=200)
    unchanged: int = measure(
        0,
        "Not sent: it looked as the last one did, in which a worker had found nobody.",
        is_new=True,
    )


@dataclass(frozen=True, slots=True)
class Hello:
    """Camera to worker: first on every connection, then where no frame was sent for a second, and
    each four in any case.

    `session_id` is random per start of the camera; `link` numbers its sockets and `connection`
    their handshakes, so that a Credit for an earlier connection is told apart. `sent` counts
    the frames sent on this link since the camera's start, over all connections. `holds`: this
    camera keeps to `Credit.hold_ms`; older ones do not.
    """

    camera: str
    room: str
    session_id: str
    link: int
    connection: int
    sent: int
    rate_hz: float
    width: int
    height: int
    rotation: int
    sent_ms: float
    release: str = ""
    health: CameraHealth = CameraHealth()
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Credit:
    """Worker to camera: like a TCP window, cumulative in the camera's own `sent` count.

    The camera may send while its `sent` is below `granted`; all up to `started` are settled
    (analysis begun, refused, or known to be lost). `ready_ms` is the time until a compute
    thread is expected to be free, `transit_ms` what the last frame spent on the wire, `workers`
    the addresses of all live workers, `refused` the reason why this camera is not served.
    `refused_frames` of the camera's frames were refused since its first Hello, which includes
    later connections, the latest because of `refused_why`; older workers do not say. `luma`: the
    worker's models make nothing of colour. `pauses_unknown`: nobody has told this worker lately
    what is paused: `paused` is then only believed, and says nothing where it is not set. None: it
    does not say, being older or told by nobody but older aggregators.

    Where `hold_ms` is not 0 nobody was found in frame `empty_seq`: a picture that looks the same
    need not be sent until so long after that one's capture, if the camera looks for itself every
    `look_ms`.
    """

    worker_id: str
    connection: int
    granted: int
    started: int
    ready_ms: float
    transit_ms: float
    sent_ms: float
    workers: tuple[str, ...] = ()
    paused: bool = False
    leaving: bool = False
    refused: str = ""
    refused_frames: int = 0
    refused_why: str = ""
    luma: bool = False
    pauses_unknown: bool | None = False
    empty_seq: int = 0
    hold_ms: float = 0.0
    look_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Camera to worker: one JPEG and what is needed to count it.

    `seq` counts the frames this camera sent in its session, to whichever worker; `age_ms` is
    capture to sending; `interval_us` is capture to capture since the previous frame sent. Where
    `held_us` is not 0 pictures between these two were not sent, since they looked the same: `seq`
    leaves out one number for them, and `held_us` goes from the frame before to the newest of them,
    `interval_us` from there on.
    """

    camera: str
    room: str
    session_id: str
    seq: int
    width: int
    height: int
    rotation: int
    age_ms: float
    interval_us: int
    sent_ms: float
    jpeg: bytes = field(repr=False, default=b"")
    held_us: int = 0


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a result: box x, y, width, height in pixels of the upright picture.

    `score` is the detector's in 0..1, `size` an index into `SIZE_CLASSES`, `probabilities`
    one number in 0..1 per expression in the order of `EXPRESSIONS`; `sure` is False where
    the face is too small, too blurred or too ambiguous to say.
    """

    box: tuple[int, int, int, int]
    score: float
    size: int
    probabilities: tuple[float, ...]
    sure: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What one frame showed. Never a pixel, never an identity of a person.

    `key` is the fingerprint of the key that the camera proved to the worker, "" without keys.
    `repeated`: nobody looked for faces, since it looks as the last one did, which had none.
    """

    camera: str
    room: str
    session_id: str
    seq: int
    interval_us: int
    model: str
    faces: tuple[Face, ...]
    key: str = ""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class TicketedResult:
    """A result under way: `ticket` is the worker's own number for it, for the Ack."""

    ticket: int
    age_ms: float
    result: Result


@dataclass(frozen=True, slots=True)
class CameraReport:
    """A worker's view of one camera, for the health hash: counts since the worker's start."""

    camera: str
    room: str
    session_id: str
    release: str
    silent_ms: float
    rate_hz: float
    width: int
    height: int
    health: CameraHealth
    counts: Numbers


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A classifier's contract, so that the reading side needs no ONNX.

    `confusion` maps a size class to two 8x8 matrices (rows: true expression): `hard`, the
    share of each winning label, and `soft`, the mean probability of each expression; rows add
    up to the part of the faces that is sure.
    """

    model: str
    labels: tuple[str, ...]
    temperature: float
    confusion: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


@dataclass(frozen=True, slots=True)
class Report:
    """Worker to every aggregator: each second, and at once when results wait.

    Health, cameras and models go to one of them, which writes them to Redis. `unreached` names
    other aggregators that are away, and why, and `provider` is what the detector runs on
    ("CPUExecutionProvider", ...); older workers do not say.
    """

    worker_id: str
    address: str
    sent_ms: float
    release: str = ""
    health: Numbers = field(default_factory=dict)
    cameras: tuple[CameraReport, ...] = ()
    models: tuple[ModelReport, ...] = ()
    results: tuple[TicketedResult, ...] = ()
    leaving: bool = False
    unreached: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """Aggregator to worker: tickets that are settled. What is not named stays unacknowledged.

    `deferred` came, and is to be sent again later: it is not counted yet, and not under way.
    `pauses_unknown`: Redis has not told lately what is paused: nothing is said of what is
    not named. None: an older aggregator, which does not say and may know of less that is paused.
    """

    aggregator_id: str
    sent_ms: float
    committed: tuple[int, ...] = ()
    duplicate: tuple[int, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    workers: tuple[str, ...] = ()
    paused_rooms: tuple[str, ...] = ()
    paused_cameras: tuple[str, ...] = ()
    deferred: tuple[int, ...] = ()
    pauses_unknown: bool | None = False
