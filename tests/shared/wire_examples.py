"""One example of each message, and the ways to spoil it."""

from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from roommood.shared.protocol import wire
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.messages import Ack, CameraReport, ModelReport, Report, TicketedResult
from tests.shared import made

Decode = Callable[[bytes], Any]
Map = dict[str, Any]

EVEN = [[1 / 8] * 8 for _ in range(8)]
MODEL = ModelReport("net-1", EXPRESSIONS, 1.0, {"large": {"hard": EVEN, "soft": EVEN}})
CAMERA = CameraReport(
    "door", "kitchen", "b00t", "1", 5.0, 30.0, 640, 480, made.hello().health, {"analysed": 3.0}
)
REPORT = Report(
    "worker",
    "tcp://desk:5701",
    1000.0,
    "1",
    {"up_s": 3.0},
    (CAMERA,),
    (MODEL,),
    (TicketedResult(7, 12.5, made.result(3, made.face())),),
)
ACK = Ack("agg", 1000.0, (1, 2), (3,), ((4, "too-old"),), ("tcp://desk:5701",), ("kitchen",))


def decode_frame(data: bytes) -> Any:
    return wire.decode_frame(data, b"jpeg")


KINDS: dict[str, tuple[bytes, Decode]] = {
    "hello": (wire.encode_hello(made.hello()), wire.decode_hello),
    "credit": (wire.encode_credit(made.credit()), wire.decode_credit),
    "frame": (wire.encode_frame(made.frame()), decode_frame),
    "report": (wire.encode_report(REPORT), wire.decode_report),
    "ack": (wire.encode_ack(ACK), wire.decode_ack),
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
DECODERS = [decode for _, decode in KINDS.values()]


def unpacked(kind: str) -> Map:
    value: Map = msgpack.unpackb(KINDS[kind][0][4:])
    return value


def packed(kind: str, value: object) -> bytes:
    return KINDS[kind][0][:4] + bytes(msgpack.packb(value))


def decoded(kind: str, value: object) -> Any:
    return KINDS[kind][1](packed(kind, value))


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every map field of a decoded message stands."""
    if isinstance(value, dict):
        inner = [place for key, item in value.items() for place in places(item, (*path, key))]
        return [(*path, key) for key in value] + inner
    if isinstance(value, list):
        return [place for n, item in enumerate(value) for place in places(item, (*path, n))]
    return []


def holder(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        value = value[key]
    return value
