"""Bytes to messages and back, once, at the edge; the only use of msgpack.

A message is one ZeroMQ part: `RM`, a version byte, a kind byte and a msgpack map. A Frame has
its JPEG as a second part, which is never copied through msgpack. Unknown map fields and extra
array elements are ignored, so that fields can be added within one version.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgpack

from roommood.shared.errors import DecodeError, VersionMismatch
from roommood.shared.protocol import limits
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.fields import (
    BadField,
    Fields,
    integer_in,
    number_in,
    short,
    text_of,
    typed,
)
from roommood.shared.protocol.measures import as_message, measured
from roommood.shared.protocol.messages import (
    Ack,
    CameraHealth,
    CameraReport,
    Credit,
    Frame,
    Hello,
    ModelReport,
    Report,
)
from roommood.shared.protocol.results import read_result, result_row

_MAGIC: Final = b"RM"
_PREFIX_BYTES: Final = 4
_STATUS: Final = limits.MAX_STATUS_CHARS
_ROTATIONS: Final = frozenset({0, 90, 180, 270})

# Fields that older releases call otherwise; a message keeps the older name.
_ON_THE_WIRE: Final = {"session_id": "boot_id"}

T = TypeVar("T")


def encode_hello(hello: Hello) -> bytes:
    return _pack(b"H", _with_health(hello))


def encode_credit(credit: Credit) -> bytes:
    fields = _fields(credit)
    if not credit.hold_ms:
        for seldom in ("empty_seq", "hold_ms", "look_ms"):
            del fields[seldom]
    if credit.pauses_unknown is None:
        del fields["pauses_unknown"]
    return _pack(b"C", fields)


def encode_frame(frame: Frame) -> bytes:
    """The header part only; the JPEG goes as the second part, as it is."""
    fields = _fields(frame)
    del fields["jpeg"]
    if not frame.held_us:
        del fields["held_us"]
    return _pack(b"F", fields)


def encode_report(report: Report) -> bytes:
    fields = _fields(report)
    fields["cameras"] = [_with_health(camera) for camera in report.cameras]
    fields["models"] = [_fields(model) for model in report.models]
    fields["results"] = [result_row(result) for result in report.results]
    return _pack(b"R", fields)


def encode_ack(ack: Ack) -> bytes:
    fields = _fields(ack)
    for seldom in ("deferred", "paused_cameras"):
        if not fields[seldom]:
            del fields[seldom]
    if ack.pauses_unknown is None:
        del fields["pauses_unknown"]
    return _pack(b"A", fields)


def decode_hello(data: bytes) -> Hello:
    """Raises DecodeError or VersionMismatch, as all of these decoders do."""
    return _decode(data, b"H", limits.MAX_HEADER_BYTES, _read_hello)


def decode_credit(data: bytes) -> Credit:
    return _decode(data, b"C", limits.MAX_HEADER_BYTES * 8, _read_credit)


def decode_frame(header: bytes, jpeg: bytes) -> Frame:
    """The JPEG's bytes are taken as they are: `shared.protocol.jpeg` judges them."""
    return _decode(header, b"F", limits.MAX_HEADER_BYTES, lambda fields: _read_frame(fields, jpeg))


def decode_report(data: bytes) -> Report:
    return _decode(data, b"R", limits.MAX_REPORT_BYTES, _read_report)


def decode_ack(data: bytes) -> Ack:
    return _decode(data, b"A", limits.MAX_REPORT_BYTES, _read_ack)


def kind_of(data: bytes) -> bytes:
    """The kind byte (b"H", b"C", b"F", b"R", b"A"), after checking magic and version."""
    _check_prefix(data)
    return data[3:4]


def question() -> bytes:
    """A message that each component answers as one of another version: by the answer's `kind_of` it
    is known, and the question leaves nothing behind there."""
    return _MAGIC + bytes((limits.ASKING_VERSION,)) + b"?"


def looks_like_frame(parts: list[bytes]) -> bool:
    """True if the sender, sane, meant and counted this as a Frame, whatever is wrong with it."""
    return len(parts) == 2 and parts[0][:2] == _MAGIC and parts[0][3:4] == b"F"


def pack_argument(value: object) -> bytes:
    """msgpack for the argument of a Redis script (its side is Lua's `cmsgpack.unpack`)."""
    return bytes(msgpack.packb(value))


def _fields(message: Any) -> dict[str, Any]:
    return {_ON_THE_WIRE.get(name, name): getattr(message, name) for name in message.__slots__}


def _with_health(message: Hello | CameraReport) -> dict[str, Any]:
    return {**_fields(message), "health": as_message(message.health)}


def _pack(kind: bytes, fields: Mapping[str, Any]) -> bytes:
    return _MAGIC + bytes((limits.WIRE_VERSION,)) + kind + bytes(msgpack.packb(fields))


def _check_prefix(data: bytes) -> None:
    if data[:2] != _MAGIC or len(data) < _PREFIX_BYTES:
        raise DecodeError("not a roommood message", bytes(data[:64]))
    if data[2] != limits.WIRE_VERSION:
        raise VersionMismatch(data[2], limits.WIRE_VERSION)


def _decode(data: bytes, kind: bytes, limit: int, read: Callable[[Fields], T]) -> T:
    _check_prefix(data)
    if data[3:4] != kind:
        raise DecodeError(f"a message of kind {data[3:4]!r} where {kind!r} was due", data)
    if len(data) > limit:
        raise DecodeError(f"a message of {len(data)} bytes; at most {limit}", data[:64])
    try:
        value = msgpack.unpackb(memoryview(data)[_PREFIX_BYTES:])
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {error}", data) from error
    if not isinstance(value, dict):
        raise DecodeError(f"a map was due, not {type(value).__name__}", data)
    try:
        return read(Fields(value))
    except BadField as error:
        raise DecodeError(str(error), data) from None


def _read_hello(fields: Fields) -> Hello:
    return Hello(
        camera=fields.name("camera"),
        room=fields.name("room"),
        session_id=fields.name("boot_id"),
        link=fields.integer("link", 0, 1 << 31),
        connection=fields.integer("connection"),
        sent=fields.integer("sent", 0, limits.MAX_SEQ),
        rate_hz=fields.number("rate_hz", 0.0, 10_000.0),
        width=fields.integer("width", 0, 65_535),
        height=fields.integer("height", 0, 65_535),
        rotation=_rotation(fields),
        sent_ms=fields.number("sent_ms"),
        release=fields.text("release"),
        health=_read_camera_health(fields.fields("health")),
        holds=fields.flag("holds", False),
    )


def _read_camera_health(fields: Fields) -> CameraHealth:
    return CameraHealth(**{number.name: number.read(fields) for number in measured(CameraHealth)})


def _rotation(fields: Fields) -> int:
    rotation = fields.integer("rotation", 0, 270)
    if rotation not in _ROTATIONS:
        raise BadField(f"rotation is not 0, 90, 180 or 270: {rotation}")
    return rotation


def _read_credit(fields: Fields) -> Credit:
    return Credit(
        worker_id=fields.name("worker_id"),
        connection=fields.integer("connection"),
        granted=fields.integer("granted", 0, limits.MAX_SEQ),
        started=fields.integer("started", 0, limits.MAX_SEQ),
        ready_ms=fields.number("ready_ms"),
        transit_ms=fields.number("transit_ms"),
        sent_ms=fields.number("sent_ms"),
        workers=fields.addresses("workers"),
        paused=fields.flag("paused"),
        leaving=fields.flag("leaving"),
        refused=fields.text("refused"),
        refused_frames=fields.integer("refused_frames") if fields.has("refused_frames") else 0,
        refused_why=fields.text("refused_why") if fields.has("refused_why") else "",
        luma=fields.flag("luma", False),
        pauses_unknown=_read_pauses_unknown(fields),
        **(_read_hold(fields) if fields.has("hold_ms") else {}),
    )


def _read_pauses_unknown(fields: Fields) -> bool | None:
    """None where its sender does not say."""
    return fields.flag("pauses_unknown") if fields.has("pauses_unknown") else None


def _read_hold(fields: Fields) -> dict[str, Any]:
    """Where a picture may be held back; older workers do not say."""
    return {
        "empty_seq": fields.integer("empty_seq", 0, limits.MAX_SEQ),
        "hold_ms": fields.number("hold_ms", 0.0, limits.MAX_INTERVAL_US / 1000),
        "look_ms": fields.number("look_ms", 1.0),
    }


def _read_frame(fields: Fields, jpeg: bytes) -> Frame:
    return Frame(
        camera=fields.name("camera"),
        room=fields.name("room"),
        session_id=fields.name("boot_id"),
        seq=fields.integer("seq", 0, limits.MAX_SEQ),
        width=fields.integer("width", 1, 65_535),
        height=fields.integer("height", 1, 65_535),
        rotation=_rotation(fields),
        age_ms=fields.number("age_ms"),
        interval_us=fields.integer("interval_us", 0, limits.MAX_INTERVAL_US),
        sent_ms=fields.number("sent_ms"),
        jpeg=jpeg,
        held_us=_read_held(fields) if fields.has("held_us") else 0,
    )


def _read_held(fields: Fields) -> int:
    """Pictures that were held back have a number of their own, before the frame's."""
    held_us = fields.integer("held_us", 0, limits.MAX_INTERVAL_US)
    if held_us and not fields.integer("seq"):
        raise BadField("held_us of the first frame, which none came before")
    return held_us


def _read_report(fields: Fields) -> Report:
    cameras = fields.sequence("cameras", limits.MAX_CAMERAS_PER_REPORT)
    models = fields.sequence("models", limits.MAX_MODELS_PER_REPORT)
    results = fields.sequence("results", limits.MAX_RESULTS_PER_REPORT)
    return Report(
        worker_id=fields.name("worker_id"),
        address=fields.text("address", limits.MAX_ADDRESS_CHARS),
        sent_ms=fields.number("sent_ms"),
        release=fields.text("release"),
        health=fields.numbers("health"),
        cameras=tuple(_read_camera_report(Fields(camera)) for camera in cameras),
        models=tuple(_read_model(Fields(model)) for model in models),
        results=tuple(read_result(row) for row in results),
        leaving=fields.flag("leaving"),
        unreached=fields.text("unreached", _STATUS) if fields.has("unreached") else "",
        provider=fields.text("provider") if fields.has("provider") else "",
    )


def _read_camera_report(fields: Fields) -> CameraReport:
    return CameraReport(
        camera=fields.name("camera"),
        room=fields.name("room"),
        session_id=fields.name("boot_id"),
        release=fields.text("release"),
        silent_ms=fields.number("silent_ms"),
        rate_hz=fields.number("rate_hz"),
        width=fields.integer("width", 0, 65_535),
        height=fields.integer("height", 0, 65_535),
        health=_read_camera_health(fields.fields("health")),
        counts=fields.numbers("counts"),
    )


def _read_model(fields: Fields) -> ModelReport:
    labels = tuple(text_of("labels", label, 32) for label in fields.sequence("labels", 8))
    if not set(labels) <= set(EXPRESSIONS):
        raise BadField(f"labels are not among the expressions: {short(labels)}")
    return ModelReport(
        model=fields.name("model"),
        labels=labels,
        temperature=fields.number("temperature", 0.0, 1000.0),
        confusion=_read_confusion(typed("confusion", fields.raw("confusion"), dict)),
    )


def _read_confusion(value: dict[Any, Any]) -> dict[str, dict[str, list[list[float]]]]:
    if not set(value) <= set(SIZE_CLASSES):
        raise BadField(f"confusion has an unknown size class: {short(list(value))}")
    return {
        size: {kind: _matrix(kind, matrices.get(kind)) for kind in ("hard", "soft")}
        for size, matrices in value.items()
        if typed("confusion", matrices, dict) is not None
    }


def _matrix(name: str, value: object) -> list[list[float]]:
    side = len(EXPRESSIONS)
    rows = typed(name, value, list)
    if len(rows) != side or any(not isinstance(row, list) or len(row) != side for row in rows):
        raise BadField(f"{name} is not a matrix of {side}x{side}")
    return [[number_in(name, cell, 0.0, 1.0) for cell in row] for row in rows]


def _read_paused(fields: Fields, key: str, default: tuple[()] | None = None) -> tuple[str, ...]:
    names = fields.sequence(key, limits.MAX_PAUSED, default)
    return tuple(text_of(key, name, 63) for name in names)


def _read_ack(fields: Fields) -> Ack:
    most = limits.MAX_TICKETS_PER_ACK
    refused = fields.sequence("refused", most)
    return Ack(
        aggregator_id=fields.name("aggregator_id"),
        sent_ms=fields.number("sent_ms"),
        committed=tuple(integer_in("ticket", t) for t in fields.sequence("committed", most)),
        duplicate=tuple(integer_in("ticket", t) for t in fields.sequence("duplicate", most)),
        refused=tuple(_read_refusal(row) for row in refused),
        workers=fields.addresses("workers"),
        paused_rooms=_read_paused(fields, "paused_rooms"),
        paused_cameras=_read_paused(fields, "paused_cameras", ()),
        deferred=tuple(integer_in("ticket", t) for t in fields.sequence("deferred", most, ())),
        pauses_unknown=_read_pauses_unknown(fields),
    )


def _read_refusal(row: object) -> tuple[int, str]:
    if not isinstance(row, list) or len(row) < 2:
        raise BadField(f"a refusal is not an array of 2: {short(row)}")
    return integer_in("ticket", row[0]), text_of("reason", row[1], 64)
