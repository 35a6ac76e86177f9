"""Every Redis key, with its type, fields and time to live. Nobody else spells a key.

| Key | Type | Holds | Lives |
| --- | --- | --- | --- |
| `roommood:schema` | string | version of this table | for ever |
| `roommood:rooms` | sorted set | room, last seen (ms since 1970) | for ever |
| `roommood:paused` | set | rooms that `roommood pause` paused | for ever |
| `roommood:paused-cameras` | set | cameras that are paused by themselves | for ever |
| `roommood:views` | hash | room -> `apart`, where its cameras see different people | for ever |
| `roommood:groups` | hash | room -> name of the group in which it is shown | for ever |
| `roommood:quiet-hours` | hash | room -> zone and spans in which it is closed | for ever |
| `roommood:warning` | string | what is amiss with Redis, in words, for the page | 60 s |
| `roommood:cameras` | sorted set | camera, last health (ms since 1970) | each for 24 h |
| `roommood:workers` | sorted set | worker, last health (ms since 1970) | each for 24 h |
| `roommood:{room}:live` | hash | decayed sums per camera, and what is derived from them | 10 s |
| `roommood:{room}:10s:<start>` | hash | counters of 10 s from <start>, s since 1970 | end + 6 h |
| `roommood:{room}:1m:<start>` | hash | counters of a minute | end + 7 d |
| `roommood:{room}:1h:<start>` | hash | counters of an hour | end + 400 d |
| `roommood:{room}:seen:<camera>:<session>:<n>` | bitmap | one bit per frame counted | 24 h |
| `roommood:{room}:forgotten` | string | tombstone: what was captured before (ms) is refused | 6 h |
| `roommood:{room}:updates` | channel | each change of the live hash, at most 5 a second | - |
| `roommood:model:<id>` | hash | labels, temperature, confusion matrices by size class | 401 d |
| `roommood:camera:<id>` | hash | a camera's health | 10 s |
| `roommood:worker:<id>` | hash | a worker's health | 10 s |

`{room}` is a Redis Cluster hash tag: all that one script touches lies in one slot.

In a Cluster the ten keys that belong to no room have three copies each, `roommood:rooms:{um}`,
`:{sm}` and `:{pm}`, a third of all slots apart: while one node is away the others tell. All are
written; whoever reads joins what answers. Releases before these copies write the first key only.

Fields of a bucket (10s, 1m, 1h); times in microseconds, whole numbers:

    frames:<camera>         frames analysed
    repeated:<camera>       frames not analysed, since they look as the last one, without faces, did
    observed_us:<camera>    time that both stand for, at most the bucket's length
    face_us:<camera>        the same, times the faces in each
    suppressed_us:<camera>  face time of frames with fewer faces than min_people
    unsure_us:<camera>      face time of faces that are not sure, in the other frames
    still_us:<camera>       time of boxes that never move, which are things or pictures: in no
                            other field
    us:<model>:<size>:<expression>        sure face time times probability
    label_us:<model>:<size>:<expression>  sure face time by winning label

so that, over cameras, models and sizes, face_us = suppressed_us + unsure_us + label_us.

Fields of the live hash; a decayed sum weighs a frame by 2^(-(t - capture) / 3 s):

    people               faces at once: the largest face / obs over the cameras that have at
                         least a tenth of the best camera's obs
    share:<expression>   its part of the sure face time, 0..1; all 0 without a sure face
    dominant             an expression, "" without a sure face in the last 10 s; another
                         takes its place when its share is larger by 0.1
    valence              mean pleasure, -1..1     sure_share  sure / (sure + unsure) face time
    frames_per_s         frames per second of observed time, added up over cameras
    captured_ms          newest capture           updated_ms  last change, ms since 1970
    published_ms         last message on the updates channel
    camera:<camera>      numbers between spaces: t (newest capture, ms), newest capture with a
                         sure face (ms, 0: none), and the decayed sums: obs, face and unsure
                         face time (us), frames, sure face time of each expression (us)

A message on the updates channel is a JSON object: `room`, `people`, `shares`, `dominant`,
`valence`, `sure_share`, `frames_per_s`, `captured_ms`, `updated_ms`.
"""

from dataclasses import dataclass
from typing import Final

from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.limits import SEEN_BITS

SCHEMA_VERSION: Final = "1"
# Matches every key and channel. Readers may subscribe to this pattern and no narrower one: Redis
# compares a pattern with the patterns of its ACL letter by letter.
EVERYTHING: Final = "roommood:*"
SCHEMA: Final = "roommood:schema"
ROOMS: Final = "roommood:rooms"
PAUSED: Final = "roommood:paused"
PAUSED_CAMERAS: Final = "roommood:paused-cameras"
VIEWS: Final = "roommood:views"
GROUPS: Final = "roommood:groups"
QUIET_HOURS: Final = "roommood:quiet-hours"
# What a room's cameras see where it is not the same people: each its own.
APART: Final = "apart"
WARNING: Final = "roommood:warning"
CAMERAS: Final = "roommood:cameras"
WORKERS: Final = "roommood:workers"
# Hash tags of slots 2727, 8193 and 13650.
_COPIES: Final = ("um", "sm", "pm")

LIVE_TTL_S: Final = 10
# Results older than this never touch the live hash; a camera silent for longer leaves it.
LIVE_MAX_AGE_MS: Final = 10_000
LIVE_HALF_LIFE_MS: Final = 3_000
# Aggregators' clocks may each be a minute off Redis': what lies further ahead of one was written by
# a clock that has been set back since.
AHEAD_MS: Final = 120_000
DOMINANT_MARGIN: Final = 0.1
UPDATES_EVERY_MS: Final = 200
# What the live hash's fields of one camera begin with.
LIVE_CAMERA: Final = "camera:"
HEALTH_TTL_S: Final = 10
WARNING_TTL_S: Final = 60
# Cameras and workers stay in their indexes for so long, and so many of each, the newest.
INDEX_KEEP_S: Final = 24 * 3600
INDEX_MOST: Final = 20_000
FORGOTTEN_TTL_S: Final = 6 * 3600
# Longer than any bucket in which the model counted.
MODEL_TTL_S: Final = 401 * 86400


@dataclass(frozen=True, slots=True)
class Resolution:
    """A length of bucket: its name in the key, its length and how long it is kept after its end."""

    name: str
    length_s: int
    keep_s: int


RESOLUTIONS: Final = (
    Resolution("10s", 10, 6 * 3600),
    Resolution("1m", 60, 7 * 86400),
    Resolution("1h", 3600, 400 * 86400),
)


def live(room: str) -> str:
    return f"roommood:{{{room}}}:live"


def bucket(room: str, resolution: Resolution, start_s: int) -> str:
    return f"roommood:{{{room}}}:{resolution.name}:{start_s}"


def seen(room: str, camera: str, session_id: str, seq: int) -> str:
    """The bitmap that holds the bit of frame `seq` (bit `seq % SEEN_BITS`)."""
    return f"{seen_prefix(room)}{camera}:{session_id}:{seq // SEEN_BITS}"


def forgotten(room: str) -> str:
    return f"roommood:{{{room}}}:forgotten"


def updates(room: str) -> str:
    return f"roommood:{{{room}}}:updates"


def of_room(room: str) -> str:
    """Pattern for SCAN that matches every key of a room."""
    return f"roommood:{{{room}}}:*"


def seen_prefix(room: str) -> str:
    """What the key of every seen-bitmap of a room begins with."""
    return f"roommood:{{{room}}}:seen:"


def seen_of_room(room: str) -> str:
    """Pattern for SCAN that matches every seen-bitmap of a room."""
    return f"{seen_prefix(room)}*"


def model(model_id: str) -> str:
    return f"roommood:model:{model_id}"


def camera(camera_id: str) -> str:
    return f"roommood:camera:{camera_id}"


def worker(worker_id: str) -> str:
    return f"roommood:worker:{worker_id}"


def scratch(what: str) -> str:
    """A key of no room, for whoever tries what a login may do; all of them lie in one slot."""
    return f"roommood:{{.}}:{what}"


def copies(key: str, in_cluster: bool) -> tuple[str, ...]:
    """A key that belongs to no room, and in a Cluster its copies."""
    return (key, *(f"{key}:{{{tag}}}" for tag in _COPIES)) if in_cluster else (key,)


def camera_of(seen_key: str) -> str:
    """The camera that a seen-bitmap is about."""
    return seen_key.split(":")[3]


CAMERA_FIELDS: Final = (
    "frames", "observed_us", "face_us", "suppressed_us", "unsure_us", "still_us", "repeated",
)  # fmt: skip


def camera_fields(camera_id: str) -> list[str]:
    """A bucket's fields of one camera, in the order of `CAMERA_FIELDS`."""
    return [f"{name}:{camera_id}" for name in CAMERA_FIELDS]


def face_fields(model_id: str, size: int) -> list[str]:
    """A bucket's fields of one model and size class: `us` per expression, then `label_us`."""
    tail = f"{model_id}:{SIZE_CLASSES[size]}"
    return [
        f"{kind}:{tail}:{expression}" for kind in ("us", "label_us") for expression in EXPRESSIONS
    ]
