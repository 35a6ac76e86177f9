"""Every Redis key, with its type, fields and time to live. Nobody else spells a key.

| Key | Type | Holds | Lives |
| --- | --- | --- | --- |
| `roommood:schema` | string | version of this table | for ever |
| `roommood:rooms` | sorted set | room, last seen (ms since 1970) | for ever |
| `roommood:paused` | set | rooms that `roommood pause` paused | for ever |
| `roommood:{room}:live` | hash | decayed sums per camera, and what is derived from them | 10 s |
| `roommood:{room}:10s:<start>` | hash | counters of 10 s from <start>, s since 1970 | end + 6 h |
| `roommood:{room}:1m:<start>` | hash | counters of a minute | end + 7 d |
| `roommood:{room}:1h:<start>` | hash | counters of an hour | end + 400 d |
| `roommood:{room}:seen:<camera>:<boot>:<n>` | bitmap | one bit per frame counted | 24 h |
| `roommood:{room}:forgotten` | string | tombstone: what was captured before (ms) is refused | 6 h |
| `roommood:{room}:updates` | channel | each change of the live hash, at most 5 a second | - |
| `roommood:model:<id>` | hash | labels, temperature, confusion matrices by size class | for ever |
| `roommood:camera:<id>` | hash | a camera's health | 10 s |
| `roommood:worker:<id>` | hash | a worker's health | 10 s |

`{room}` is a Redis Cluster hash tag: all that one script touches lies in one slot.

Fields of a bucket (10s, 1m, 1h); times in microseconds, whole numbers:

    frames:<camera>         frames analysed
    observed_us:<camera>    time that those frames stand for
    face_us:<camera>        the same, times the faces in each
    suppressed_us:<camera>  face time in frames with fewer faces than min_people
    unsure_us:<camera>      face time of faces that are not sure (not in the sums below)
    us:<model>:<size>:<expression>     face time times probability
    label_us:<model>:<size>:<expression>  face time by winning label
"""

from dataclasses import dataclass
from typing import Final

from shared.limits import SEEN_BITS

SCHEMA_VERSION: Final = "1"
SCHEMA: Final = "roommood:schema"
ROOMS: Final = "roommood:rooms"
PAUSED: Final = "roommood:paused"

LIVE_TTL_S: Final = 10
HEALTH_TTL_S: Final = 10


@dataclass(frozen=True, slots=True)
class BucketSpan:
    """A length of bucket: its name in the key, its length and how long it is kept after its end."""

    name: str
    length_s: int
    keep_s: int


SPANS: Final = (
    BucketSpan("10s", 10, 6 * 3600),
    BucketSpan("1m", 60, 7 * 86400),
    BucketSpan("1h", 3600, 400 * 86400),
)


def live(room: str) -> str:
    return f"roommood:{{{room}}}:live"


def bucket(room: str, span: BucketSpan, start_s: int) -> str:
    return f"roommood:{{{room}}}:{span.name}:{start_s}"


def seen(room: str, camera: str, boot_id: str, seq: int) -> str:
    """The bitmap that holds the bit of frame `seq` (bit `seq % SEEN_BITS`)."""
    return f"roommood:{{{room}}}:seen:{camera}:{boot_id}:{seq // SEEN_BITS}"


def forgotten(room: str) -> str:
    return f"roommood:{{{room}}}:forgotten"


def updates(room: str) -> str:
    return f"roommood:{{{room}}}:updates"


def of_room(room: str) -> str:
    """Pattern for SCAN that matches every key of a room."""
    return f"roommood:{{{room}}}:*"


def model(model_id: str) -> str:
    return f"roommood:model:{model_id}"


def camera(camera_id: str) -> str:
    return f"roommood:camera:{camera_id}"


def worker(worker_id: str) -> str:
    return f"roommood:worker:{worker_id}"
