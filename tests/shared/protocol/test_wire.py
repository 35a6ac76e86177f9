"""Bytes become messages or one of our errors, never anything else."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from roommood.shared.errors import DecodeError, VersionMismatch
from roommood.shared.protocol import results, wire
from roommood.shared.protocol.limits import (
    WIRE_VERSION,
)
from roommood.shared.protocol.messages import Ack, TicketedResult
from roommood.shared.security.keys import fingerprint
from tests.shared import made
from tests.shared.wire_examples import (
    ACK,
    DECODERS,
    EVEN,
    EVERY_KIND,
    KINDS,
    REPORT,
    decoded,
    holder,
    packed,
    places,
    unpacked,
)

# Of maps with free keys only the values are judged.
FIELDS = [
    pytest.param(kind, place, id=f"{kind}-{'.'.join(map(str, place))}")
    for kind in KINDS
    for place in places(unpacked(kind))
    if "confusion" not in place[:-1] and not set(place[:-1]) & {"counts"}
    if not (kind == "report" and place[0] == "health" and len(place) > 1)
]


# What older versions do not send.
NEW = {
    "refused_frames", "refused_why", "unreached", "luma", "provider", "holds", "unchanged",
    "pauses_unknown",
}  # fmt: skip


# There and back


@given(made.hellos)
def test_any_hello_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_hello(wire.encode_hello(message)) == message


@given(made.credits | made.holding_credits)
def test_any_credit_comes_back_as_it_was(message: Any) -> None:
    assert wire.decode_credit(wire.encode_credit(message)) == message


@given(made.frames | made.held_frames)
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


@pytest.mark.parametrize(("kind", "letter"), list(zip(KINDS, b"HCFRA", strict=True)))
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


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ([], ""),
        (["0123-4567-89ab-cdef"], "0123-4567-89ab-cdef"),
        (["0123-4567-89AB-cdef"], ""),
        (["0123-4567-89ab-cdef-0123"], ""),
        ([None], ""),
        ([[[]]], ""),
    ],
)
def test_a_result_may_name_the_fingerprint_of_its_cameras_key(extra: list[Any], key: str) -> None:
    report = unpacked("report")
    report["results"][0] += extra
    assert decoded("report", report).results[0].result.key == key


@pytest.mark.parametrize("key", ["", fingerprint("any public key")])
def test_a_repeated_look_comes_back_as_one_with_and_without_a_key(key: str) -> None:
    row = TicketedResult(1, 2.0, made.result(key=key, repeated=True))
    assert results.read_result(results.result_row(row)).result == row.result


def test_a_look_with_faces_is_none_that_was_spared_whatever_its_sender_says() -> None:
    row = unpacked("report")["results"][0]
    assert row[8] != []
    assert not results.read_result([*row[:9], "", True]).result.repeated


def test_workers_and_aggregators_before_repeated_looks_are_understood_and_understand() -> None:
    looked = results.result_row(TicketedResult(1, 2.0, made.result()))
    spared = results.result_row(TicketedResult(1, 2.0, made.result(repeated=True)))
    assert len(looked) == 9
    assert not results.read_result(looked).result.repeated
    assert spared[:9] == looked
    assert spared[9] == ""


def test_a_fingerprint_comes_back_as_it_was() -> None:
    row = TicketedResult(1, 2.0, made.result(key=fingerprint("any public key")))
    report = dataclasses.replace(REPORT, results=(row,))
    assert wire.decode_report(wire.encode_report(report)) == report


def test_an_older_aggregators_ack_defers_nothing() -> None:
    ack = Ack("agg", 1000.0, deferred=(3, 4))
    assert wire.decode_ack(wire.encode_ack(ack)) == ack
    older = {key: value for key, value in unpacked("ack").items() if key != "deferred"}
    assert decoded("ack", older).deferred == ()


def test_an_older_aggregators_ack_pauses_no_camera_by_itself() -> None:
    ack = Ack("agg", 1000.0, paused_cameras=("door",))
    assert wire.decode_ack(wire.encode_ack(ack)) == ack
    older = {key: value for key, value in unpacked("ack").items() if key != "paused_cameras"}
    assert decoded("ack", older).paused_cameras == ()


def test_each_says_whether_it_knows_what_is_paused_and_an_older_one_says_nothing() -> None:
    for kind in ("ack", "credit"):
        value = unpacked(kind)
        assert value.pop("pauses_unknown") is False
        assert decoded(kind, value).pauses_unknown is None
        assert decoded(kind, value | {"pauses_unknown": True}).pauses_unknown is True


def test_older_workers_say_nothing_of_refusals_nor_of_aggregators_not_reached() -> None:
    older = {name: value for name, value in unpacked("credit").items() if name not in NEW}
    read = decoded("credit", older)
    assert (read.refused_frames, read.refused_why, read.luma) == (0, "", False)
    older = {name: value for name, value in unpacked("report").items() if name not in NEW}
    assert decoded("report", older).unreached == ""
    assert decoded("report", older).provider == ""


def test_older_peers_neither_hold_pictures_nor_let_them_be_held() -> None:
    older = {name: value for name, value in unpacked("hello").items() if name not in NEW}
    assert not decoded("hello", older).holds
    assert "hold_ms" not in unpacked("credit")
    assert decoded("credit", unpacked("credit")).hold_ms == 0
    assert "held_us" not in unpacked("frame")
    assert decoded("frame", unpacked("frame")).held_us == 0


def test_what_was_held_has_a_number_before_the_frames() -> None:
    assert decoded("frame", {**unpacked("frame"), "seq": 1, "held_us": 5}).held_us == 5
    with pytest.raises(DecodeError, match="held_us of the first frame"):
        decoded("frame", {**unpacked("frame"), "seq": 0, "held_us": 5})


# What is wrong is named


@pytest.mark.parametrize(("kind", "place"), FIELDS)
def test_a_missing_field_is_named(kind: str, place: tuple[Any, ...]) -> None:
    value = unpacked(kind)
    if place[-1] in NEW:
        return
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
    named = {str(place[-1]), "map", "result", "ticket", "room", "labels", "refusal"}
    assert any(name in str(caught.value) for name in named)


def test_true_is_no_number_and_one_is_no_flag() -> None:
    with pytest.raises(DecodeError, match="sent is not a whole number"):
        decoded("hello", unpacked("hello") | {"sent": True})
    with pytest.raises(DecodeError, match="paused is not bool"):
        decoded("credit", unpacked("credit") | {"paused": 1})


RESULT_ELEMENTS = ["ticket", "age_ms", "camera", "room", "session", "seq", "interval_us", "model"]


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
@pytest.mark.parametrize("wrong", [None, -1, float("nan"), 5, [1, 2], [2.0] * 8])
def test_a_wrong_element_of_a_face_is_named(place: int, wrong: object) -> None:
    report = unpacked("report")
    report["results"][0][8][0][place] = wrong
    with pytest.raises(DecodeError, match=FACE_ELEMENTS[place]):
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
