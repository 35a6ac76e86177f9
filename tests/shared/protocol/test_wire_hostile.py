"""Hostile bytes raise only our errors, and every bound holds just below, at and above it."""

import dataclasses
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roommood.shared.errors import DecodeError, WireError
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import (
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
from roommood.shared.protocol.messages import TicketedResult
from tests.shared import made
from tests.shared.wire_examples import (
    CAMERA,
    DECODERS,
    EVERY_KIND,
    KINDS,
    REPORT,
    decoded,
    holder,
    packed,
    places,
    unpacked,
)

# Hostile bytes


def strange_errors(data: bytes) -> list[Exception]:
    """What the decoders raise that is no WireError."""
    errors = []
    for decode in DECODERS:
        try:
            decode(data)
        except WireError:
            pass
        except Exception as error:
            errors.append(error)
    return errors


@given(st.binary(max_size=300))
@example(b"")
@example(b"RM")
@example(b"RM\x01")
def test_random_bytes_raise_only_wire_errors(data: bytes) -> None:
    assert strange_errors(data) == []


@given(st.sampled_from(b"HCFRA"), st.binary(max_size=300))
def test_random_bytes_behind_a_right_prefix_raise_only_wire_errors(kind: int, data: bytes) -> None:
    assert strange_errors(b"RM" + bytes([WIRE_VERSION, kind]) + data) == []


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
    assert strange_errors(bytes(whole)) == []


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
    assert strange_errors(packed(kind, value)) == []


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
            wire.encode_report(
                dataclasses.replace(REPORT, results=(TicketedResult(1, 1.0, crowd),))
            )
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
