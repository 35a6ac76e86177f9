"""Messages made up for tests: one plain example of each, and strategies for any."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.limits import MAX_FACES, MAX_INTERVAL_US, MAX_SEQ
from roommood.shared.protocol.messages import (
    Ack,
    CameraHealth,
    CameraReport,
    Credit,
    Face,
    Frame,
    Hello,
    ModelReport,
    Report,
    Result,
    TicketedResult,
)

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
counts = st.integers(0, 1 << 53)
seqs = st.integers(0, MAX_SEQ)
times = st.floats(0, 1e15, allow_nan=False)
sides = st.integers(0, 65_535)
rotations = st.sampled_from([0, 90, 180, 270])
texts = st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=64).filter(
    str.isprintable
)
shares = st.floats(0, 1, allow_nan=False)
numbers = st.dictionaries(texts, st.floats(-1e15, 1e15, allow_nan=False), max_size=8)

healths = st.builds(
    CameraHealth,
    captured=counts,
    sent=counts,
    skipped=counts,
    lost_with_worker=counts,
    encode_ms=st.none() | times.filter(bool),
    temperature_c=st.none() | st.floats(-273.15, 1000.0).filter(bool),
    source=texts,
)
hellos = st.builds(
    Hello,
    camera=names,
    room=names,
    session_id=names,
    link=st.integers(0, 1 << 31),
    connection=counts,
    sent=seqs,
    rate_hz=st.floats(0, 10_000),
    width=sides,
    height=sides,
    rotation=rotations,
    sent_ms=times,
    release=texts,
    health=healths,
    holds=st.booleans(),
)
credits = st.builds(
    Credit,
    worker_id=names,
    connection=counts,
    granted=seqs,
    started=seqs,
    ready_ms=times,
    transit_ms=times,
    sent_ms=times,
    workers=st.lists(texts, max_size=8).map(tuple),
    paused=st.booleans(),
    leaving=st.booleans(),
    refused=texts,
    pauses_unknown=st.none() | st.booleans(),
)
holding_credits = st.builds(
    replace,
    credits,
    empty_seq=seqs,
    hold_ms=st.floats(1.0, 5_000.0),
    look_ms=st.floats(1.0, 5_000.0),
)
frames = st.builds(
    Frame,
    camera=names,
    room=names,
    session_id=names,
    seq=seqs,
    width=st.integers(1, 65_535),
    height=st.integers(1, 65_535),
    rotation=rotations,
    age_ms=times,
    interval_us=st.integers(0, MAX_INTERVAL_US),
    sent_ms=times,
    jpeg=st.binary(max_size=64),
)
held_frames = st.builds(
    replace, frames, seq=st.integers(1, MAX_SEQ), held_us=st.integers(0, MAX_INTERVAL_US)
)
boxes = st.tuples(
    st.integers(-65_535, 65_535), st.integers(-65_535, 65_535), sides, sides
)  # fmt: skip
faces = st.builds(
    Face,
    box=boxes,
    score=shares,
    size=st.integers(0, len(SIZE_CLASSES) - 1),
    probabilities=st.tuples(*[shares] * len(EXPRESSIONS)),
    sure=st.booleans(),
)
results = st.builds(
    Result,
    camera=names,
    room=names,
    session_id=names,
    seq=seqs,
    interval_us=st.integers(0, MAX_INTERVAL_US),
    model=names,
    faces=st.lists(faces, max_size=3).map(tuple),
)
matrices = st.just([[1.0 if row == column else 0.0 for column in range(8)] for row in range(8)])
models = st.builds(
    ModelReport,
    model=names,
    labels=st.lists(st.sampled_from(EXPRESSIONS), max_size=8, unique=True).map(tuple),
    temperature=st.floats(0, 1000),
    confusion=st.dictionaries(
        st.sampled_from(SIZE_CLASSES),
        st.fixed_dictionaries({"hard": matrices, "soft": matrices}),
    ),
)
camera_reports = st.builds(
    CameraReport,
    camera=names,
    room=names,
    session_id=names,
    release=texts,
    silent_ms=times,
    rate_hz=times,
    width=sides,
    height=sides,
    health=healths,
    counts=numbers,
)
reports = st.builds(
    Report,
    worker_id=names,
    address=texts,
    sent_ms=times,
    release=texts,
    health=numbers,
    cameras=st.lists(camera_reports, max_size=2).map(tuple),
    models=st.lists(models, max_size=2).map(tuple),
    results=st.lists(st.builds(TicketedResult, counts, times, results), max_size=3).map(tuple),
    leaving=st.booleans(),
)
acks = st.builds(
    Ack,
    aggregator_id=names,
    sent_ms=times,
    committed=st.lists(counts, max_size=5).map(tuple),
    duplicate=st.lists(counts, max_size=5).map(tuple),
    refused=st.lists(st.tuples(counts, texts), max_size=3).map(tuple),
    workers=st.lists(texts, max_size=3).map(tuple),
    paused_rooms=st.lists(names, max_size=3).map(tuple),
    paused_cameras=st.lists(names, max_size=3).map(tuple),
    pauses_unknown=st.none() | st.booleans(),
)


def hello(**changes: Any) -> Hello:
    plain: dict[str, Any] = {
        "camera": "door",
        "room": "kitchen",
        "session_id": "b00t",
        "link": 0,
        "connection": 1,
        "sent": 0,
        "rate_hz": 30.0,
        "width": 640,
        "height": 480,
        "rotation": 0,
        "sent_ms": 1000.0,
    }
    return Hello(**plain | changes)


def credit(**changes: Any) -> Credit:
    plain: dict[str, Any] = {
        "worker_id": "worker",
        "connection": 1,
        "granted": 0,
        "started": 0,
        "ready_ms": 0.0,
        "transit_ms": 0.0,
        "sent_ms": 1000.0,
    }
    return Credit(**plain | changes)


def frame(**changes: Any) -> Frame:
    plain: dict[str, Any] = {
        "camera": "door",
        "room": "kitchen",
        "session_id": "b00t",
        "seq": 0,
        "width": 640,
        "height": 480,
        "rotation": 0,
        "age_ms": 5.0,
        "interval_us": 33_333,
        "sent_ms": 1000.0,
        "jpeg": b"\xff\xd8\xff",
    }
    return Frame(**plain | changes)


def face(**changes: Any) -> Face:
    plain: dict[str, Any] = {
        "box": (1, 2, 30, 40),
        "score": 0.9,
        "size": 2,
        "probabilities": (0.6, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005, 0.005),
        "sure": True,
    }
    return Face(**plain | changes)


def result(seq: int = 0, *faces: Face, **changes: Any) -> Result:
    plain: dict[str, Any] = {
        "camera": "door",
        "room": "kitchen",
        "session_id": "b00t",
        "seq": seq,
        "interval_us": 33_333,
        "model": "net-1",
        "faces": faces,
    }
    return Result(**plain | changes)


def crowded_report(results: int) -> Report:
    """A report as large as a worker can make one of so many results."""
    widest = face(box=(-65_535, -65_535, 65_535, 65_535))
    rows = [
        TicketedResult((1 << 53) - n, 1e15 / 3, result(MAX_SEQ, *[widest] * MAX_FACES))
        for n in range(results)
    ]
    return Report("worker", "tcp://desk:5701", 1000.0, results=tuple(rows))
