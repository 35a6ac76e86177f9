"""Bytes become messages or one of our errors, never anything else."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import wire
from shared.emotions import EXPRESSIONS
from shared.errors import DecodeError, VersionMismatch, WireError
from shared.limits import (
    MAX_ADDRESS_CHARS,
    MAX_ADDRESSES,
    MAX_CAMERAS_PER_REPORT,
    MAX_FACES,
    MAX_HEADER_BYTES,
    MAX_INTERVAL_US,
    MAX_MODELS_PER_REPORT,
    MAX_REPORT_BYTES,
    MAX_RESULTS_PER_REPORT,
    MAX_SEQ,
    MAX_TICKETS_PER_ACK,
    WIRE_VERSION,
)
from shared.messages import Ack, CameraReport, ModelReport, Report, TicketedResult
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
        inner = [one for key, item in value.items() for one in places(item, (*path, key))]
        return [(*path, key) for key in value] + inner
    if isinstance(value, list):
        return [one for n, item in enumerate(value) for one in places(item, (*path, n))]
    return []


OPEN_MAPS = ("counts", "health")  # their keys are free; only their values are judged
FIELDS = [
    pytest.param(kind, place, id=f"{kind}-{'.'.join(map(str, place))}")
    for kind in KINDS
    for place in places(unpacked(kind))
    if "confusion" not in place[:-1] and not set(place[:-1]) & {"counts"}
    if not (kind == "report" and place[0] == "health" and len(place) > 1)
]


def holder(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        value = value[key]
    return value


# There and back


@given(made.hellos)
def test_any_hello_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_hello(wire.encode_hello(message)) == message


@given(made.credits)
def test_any_credit_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_credit(wire.encode_credit(message)) == message


@given(made.frames)
def test_any_frame_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_frame(wire.encode_frame(message), message.jpeg) == message


@given(made.reports)
def test_any_report_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_report(wire.encode_report(message)) == message


@given(made.acks)
def test_any_ack_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_ack(wire.encode_ack(message)) == message


def test_the_jpeg_never_passes_through_msgpack() -> None:
    frame = made.frame(jpeg=b"\xff\xd8\xff" + bytes(100_000))
    assert len(wire.encode_frame(frame)) < 500


@pytest.mark.parametrize(("kind", "letter"), zip(KINDS, b"HCFRA", strict=True))
def test_the_kind_is_told_from_the_prefix(kind: str, letter: int) -> None:
    assert wire.kind_of(KINDS[kind][0]) == bytes([letter])


# Newer peers within one version


@EVERY_KIND
def test_unknown_fields_are_ignored(kind: str) -> None:
    data, decode = KINDS[kind]
    assert decoded(kind, unpacked(kind) | {"from_the_future": [1, {"a": None}]}) == decode(data)


def test_extra_array_elements_are_ignored() -> None:
    report = unpacked("report")
    report["results"][0].append("new")
    report["results"][0][8][0].append({"pose": 3})
    assert decoded("report", report) == REPORT
    ack = unpacked("ack")
    ack["refused"][0].append("new")
    assert decoded("ack", ack) == ACK


# What is wrong is named


@pytest.mark.parametrize(("kind", "place"), FIELDS)
def test_a_missing_field_is_named(kind: str, place: tuple[Any, ...]) -> None:
    value = unpacked(kind)
    del holder(value, place)[place[-1]]
    with pytest.raises(DecodeError, match=f"{place[-1]} is missing"):
        decoded(kind, value)


@pytest.mark.parametrize("wrong", [None, b"bytes", float("nan"), float("-inf"), -1e300, [[[]]]])
@pytest.mark.parametrize(("kind", "place"), FIELDS)
def test_a_field_of_the_wrong_type_or_range_is_refused(
    kind: str, place: tuple[Any, ...], wrong: object
) -> None:
    value = unpacked(kind)
    holder(value, place)[place[-1]] = wrong
    with pytest.raises(DecodeError) as caught:
        decoded(kind, value)
    named = {str(place[-1]), "map", "result", "ticket", "room", "labels"}
    assert any(name in str(caught.value) for name in named)


def test_true_is_no_number_and_one_is_no_flag() -> None:
    with pytest.raises(DecodeError, match="sent is not a whole number"):
        decoded("hello", unpacked("hello") | {"sent": True})
    with pytest.raises(DecodeError, match="paused is not bool"):
        decoded("credit", unpacked("credit") | {"paused": 1})


RESULT_ELEMENTS = ["ticket", "age_ms", "camera", "room", "boot", "seq", "interval_us", "model"]


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("wrong", [None, -1, float("nan"), "Not A Name", True, [], 1 << 63])
def test_a_wrong_element_of_a_result_is_named(place: int, wrong: object) -> None:
    report = unpacked("report")
    report["results"][0][place] = wrong
    if place == 1 and wrong == 1 << 63:
        report["results"][0][place] = 1e300
    with pytest.raises(DecodeError, match=RESULT_ELEMENTS[place]):
        decoded("report", report)


FACE_ELEMENTS = ["box", "score", "size", "probabilit", "sure"]


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("wrong", [None, -1, float("nan"), 5, [1, 2], [None] * 4, [2.0] * 8])
def test_a_wrong_element_of_a_face_is_named(place: int, wrong: object) -> None:
    report = unpacked("report")
    report["results"][0][8][0][place] = wrong
    with pytest.raises(DecodeError, match=FACE_ELEMENTS[place] if wrong != [None] * 4 else ""):
        decoded("report", report)


@pytest.mark.parametrize("short_by", [1, 5])
def test_a_short_array_is_refused(short_by: int) -> None:
    report = unpacked("report")
    del report["results"][0][-short_by:]
    with pytest.raises(DecodeError, match="not an array of 9"):
        decoded("report", report)
    report = unpacked("report")
    del report["results"][0][8][0][-short_by:]
    with pytest.raises(DecodeError, match="not an array of 5"):
        decoded("report", report)


@pytest.mark.parametrize(
    ("confusion", "named"),
    [
        ({"huge": {"hard": EVEN, "soft": EVEN}}, "unknown size class"),
        ({"large": {"hard": EVEN}}, "soft"),
        ({"large": {"hard": EVEN[:7], "soft": EVEN}}, "8x8"),
        ({"large": {"hard": EVEN, "soft": [[2.0] * 8] * 8}}, "soft"),
        ({"large": None}, "confusion"),
    ],
)
def test_a_wrong_confusion_matrix_is_refused(confusion: object, named: str) -> None:
    report = unpacked("report")
    report["models"][0]["confusion"] = confusion
    with pytest.raises(DecodeError, match=named):
        decoded("report", report)


def test_labels_must_be_expressions() -> None:
    report = unpacked("report")
    report["models"][0]["labels"] = ["joy"]
    with pytest.raises(DecodeError, match="not among the expressions"):
        decoded("report", report)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "x" * 65])
def test_text_that_would_rewrite_a_terminal_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="release"):
        decoded("hello", unpacked("hello") | {"release": text})


@pytest.mark.parametrize("rotation", [1, 89, 45, 271, 360])
def test_a_rotation_is_a_quarter_turn(rotation: int) -> None:
    with pytest.raises(DecodeError, match="rotation"):
        decoded("hello", unpacked("hello") | {"rotation": rotation})


def test_an_error_keeps_the_bytes() -> None:
    data = packed("hello", {})
    with pytest.raises(DecodeError) as caught:
        wire.decode_hello(data)
    assert caught.value.data == data


# Versions


@pytest.mark.parametrize("version", [0, WIRE_VERSION + 1, 255])
@EVERY_KIND
def test_another_version_is_refused_naming_both(kind: str, version: int) -> None:
    data, decode = KINDS[kind]
    with pytest.raises(VersionMismatch) as caught:
        decode(data[:2] + bytes([version]) + data[3:])
    assert (caught.value.theirs, caught.value.ours) == (version, WIRE_VERSION)
    assert f"version {version} " in str(caught.value)
    assert f"version {WIRE_VERSION} " in str(caught.value)


@EVERY_KIND
def test_one_kind_is_not_taken_for_another(kind: str) -> None:
    for decode in DECODERS:
        if decode is not KINDS[kind][1]:
            with pytest.raises(DecodeError, match="of kind"):
                decode(KINDS[kind][0])


# Hostile bytes


def only_wire_errors(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(data)
        except WireError as error:
            assert str(error)


@given(st.binary(max_size=300))
@example(b"")
@example(b"RM")
@example(b"RM\x01")
def test_random_bytes_raise_only_wire_errors(data: bytes) -> None:
    only_wire_errors(data)


@given(st.sampled_from(b"HCFRA"), st.binary(max_size=300))
def test_random_bytes_behind_a_right_prefix_raise_only_wire_errors(kind: int, data: bytes) -> None:
    only_wire_errors(b"RM" + bytes([WIRE_VERSION, kind]) + data)


@EVERY_KIND
def test_every_truncation_raises_only_wire_errors(kind: str) -> None:
    data, decode = KINDS[kind]
    for end in range(len(data)):
        with pytest.raises(WireError):
            decode(data[:end])


@EVERY_KIND
@given(data=st.data())
def test_changed_bytes_raise_only_wire_errors(kind: str, data: st.DataObject) -> None:
    whole = bytearray(KINDS[kind][0])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    only_wire_errors(bytes(whole))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@EVERY_KIND
@given(data=st.data())
def test_any_value_in_any_field_raises_only_wire_errors(kind: str, data: st.DataObject) -> None:
    value = unpacked(kind)
    place = data.draw(st.sampled_from(places(value)))
    holder(value, place)[place[-1]] = data.draw(anything)
    only_wire_errors(packed(kind, value))


@pytest.mark.parametrize("depth", [10, 500, 900, 1000, 1023, 100_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"])
@pytest.mark.parametrize("field", ["camera", "sent", "health", "rotation", "release"])
def test_deep_nesting_raises_only_wire_errors(depth: int, opening: bytes, field: str) -> None:
    prefix, name = KINDS["hello"][0][:4], bytes(msgpack.packb(field))
    with pytest.raises(WireError):
        wire.decode_hello(prefix + b"\x81" + name + opening * min(depth, 5000) + b"\xc0")


def test_keys_that_are_no_text_raise_only_wire_errors() -> None:
    for keys in ({1: 2}, {b"camera": 2}, {None: 1}, {1.5: 2}):
        with pytest.raises(WireError):
            decoded("hello", keys)
    health: Any = {"up_s": 1.0} | {b"bytes": 1.0}
    with pytest.raises(DecodeError, match="health"):
        decoded("report", unpacked("report") | {"health": health})


def test_extension_types_raise_only_wire_errors() -> None:
    for extension in (msgpack.ExtType(5, b"x"), msgpack.Timestamp(1, 2)):
        with pytest.raises(WireError):
            decoded("hello", extension)
        with pytest.raises(DecodeError, match="sent_ms"):
            decoded("hello", unpacked("hello") | {"sent_ms": extension})


# Bounds, just below, at and above


def padded(kind: str, size: int) -> bytes:
    """A message of exactly this many bytes, by an unknown field."""
    value = unpacked(kind)
    short = len(packed(kind, value | {"pad": b""}))
    for header in (0, 1, 3):  # msgpack's length field grows with what it tells
        data = packed(kind, value | {"pad": bytes(size - short - header)})
        if len(data) == size:
            return data
    raise AssertionError(size)


LARGEST = {
    "hello": MAX_HEADER_BYTES,
    "credit": MAX_HEADER_BYTES * 8,
    "frame": MAX_HEADER_BYTES,
    "report": MAX_REPORT_BYTES,
    "ack": MAX_REPORT_BYTES,
}


@EVERY_KIND
def test_a_message_may_be_as_large_as_its_bound_and_no_larger(kind: str) -> None:
    decode, largest = KINDS[kind][1], LARGEST[kind]
    decode(padded(kind, largest - 1))
    decode(padded(kind, largest))
    with pytest.raises(DecodeError, match=f"at most {largest}"):
        decode(padded(kind, largest + 1))


@pytest.mark.parametrize(
    ("kind", "field", "low", "high"),
    [
        ("hello", "link", 0, 1 << 31),
        ("hello", "sent", 0, MAX_SEQ),
        ("hello", "width", 0, 65_535),
        ("hello", "rate_hz", 0, 10_000),
        ("credit", "granted", 0, MAX_SEQ),
        ("credit", "started", 0, MAX_SEQ),
        ("frame", "seq", 0, MAX_SEQ),
        ("frame", "width", 1, 65_535),
        ("frame", "height", 1, 65_535),
        ("frame", "interval_us", 0, MAX_INTERVAL_US),
    ],
)
def test_a_number_is_taken_up_to_its_bounds(kind: str, field: str, low: int, high: int) -> None:
    for good in (low, low + 1, high - 1, high):
        assert getattr(decoded(kind, unpacked(kind) | {field: good}), field) == good
    for bad in (low - 1, high + 1):
        with pytest.raises(DecodeError, match=f"{field} is not"):
            decoded(kind, unpacked(kind) | {field: bad})


@pytest.mark.parametrize(
    ("kind", "field", "most", "element"),
    [
        ("credit", "workers", MAX_ADDRESSES, "tcp://desk:5701"),
        ("ack", "workers", MAX_ADDRESSES, "tcp://desk:5701"),
        ("ack", "committed", MAX_TICKETS_PER_ACK, 7),
        ("ack", "duplicate", MAX_TICKETS_PER_ACK, 7),
        ("ack", "refused", MAX_TICKETS_PER_ACK, [7, "too-old"]),
        ("report", "cameras", MAX_CAMERAS_PER_REPORT, unpacked("report")["cameras"][0]),
        ("report", "models", MAX_MODELS_PER_REPORT, unpacked("report")["models"][0]),
        ("report", "results", MAX_RESULTS_PER_REPORT, unpacked("report")["results"][0]),
    ],
)
def test_an_array_is_taken_up_to_its_bound(
    kind: str, field: str, most: int, element: object
) -> None:
    for length in (most - 1, most):
        assert len(getattr(decoded(kind, unpacked(kind) | {field: [element] * length}), field))
    with pytest.raises(DecodeError, match=field):
        decoded(kind, unpacked(kind) | {field: [element] * (most + 1)})


def test_a_result_has_at_most_so_many_faces() -> None:
    for faces in (MAX_FACES - 1, MAX_FACES):
        report = dataclasses.replace(
            REPORT, results=(TicketedResult(1, 1.0, made.result(1, *[made.face()] * faces)),)
        )
        assert wire.decode_report(wire.encode_report(report)) == report
    crowd = made.result(1, *[made.face()] * (MAX_FACES + 1))
    with pytest.raises(DecodeError, match=f"at most {MAX_FACES}"):
        wire.decode_report(
            wire.encode_report(dataclasses.replace(REPORT, results=(TicketedResult(1, 1.0, crowd),)))
        )


def test_an_address_is_taken_up_to_its_bound() -> None:
    for length in (MAX_ADDRESS_CHARS - 1, MAX_ADDRESS_CHARS):
        assert decoded("credit", unpacked("credit") | {"workers": ["a" * length]})
    with pytest.raises(DecodeError, match="workers"):
        decoded("credit", unpacked("credit") | {"workers": ["a" * (MAX_ADDRESS_CHARS + 1)]})


def test_the_largest_report_a_worker_makes_fits_its_bound() -> None:
    report = made.crowded_report(MAX_RESULTS_PER_REPORT)
    assert wire.decode_report(wire.encode_report(report)) == report


def test_the_largest_health_report_a_worker_makes_fits_its_bound() -> None:
    counts = {f"refused-{n:02}-{'x' * 20}": 1e15 / 3 for n in range(12)}
    camera = dataclasses.replace(CAMERA, camera="c" * 63, room="r" * 63, counts=counts)
    report = dataclasses.replace(REPORT, cameras=(camera,) * MAX_CAMERAS_PER_REPORT, results=())
    assert wire.decode_report(wire.encode_report(report)) == report


def test_the_longest_list_of_workers_fits_a_credit() -> None:
    credit = made.credit(workers=("a" * MAX_ADDRESS_CHARS,) * MAX_ADDRESSES)
    assert wire.decode_credit(wire.encode_credit(credit)) == credit


def test_a_frame_of_another_version_was_still_meant_as_a_frame() -> None:
    header = KINDS["frame"][0]
    assert wire.looks_like_frame([header, b"jpeg"])
    assert wire.looks_like_frame([header[:2] + b"\x09" + header[3:], b"jpeg"])
    assert not wire.looks_like_frame([header])
    assert not wire.looks_like_frame([KINDS["hello"][0], b"jpeg"])
    assert not wire.looks_like_frame([b"", b""])
