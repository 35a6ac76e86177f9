"""A result as a row of a Report, and back: the wire's busiest part, so an array without names."""

import re
from typing import Final

from roommood.shared.protocol import limits
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.fields import BadField, integer_in, number_in, short, typed
from roommood.shared.protocol.messages import Face, Result, TicketedResult
from roommood.shared.protocol.names import is_name

# As `shared.security.keys.fingerprint` writes it.
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{4}(-[0-9a-f]{4}){3}", re.ASCII)


def result_row(result: TicketedResult) -> list[object]:
    """What msgpack is given; the key's fingerprint and "repeated" end it, where they are so."""
    r = result.result
    faces = [(f.box, f.score, f.size, f.probabilities, f.sure) for f in r.faces]
    row: list[object] = [result.ticket, result.age_ms, r.camera, r.room, r.session_id, r.seq]
    row += [r.interval_us, r.model, faces]
    if r.repeated:
        return [*row, r.key, True]
    return [*row, r.key] if r.key else row


def read_result(row: object) -> TicketedResult:
    """What msgpack gave. Raises BadField."""
    if not isinstance(row, list) or len(row) < 9:
        raise BadField(f"a result is not an array of 9: {short(row)}")
    ticket, age_ms, camera, room, session_id, seq, interval_us, model, faces = row[:9]
    for what, name in (
        ("camera", camera),
        ("room", room),
        ("session", session_id),
        ("model", model),
    ):
        if not is_name(name):
            raise BadField(f"a result's {what} is not a name: {short(name)}")
    if not isinstance(faces, list) or len(faces) > limits.MAX_FACES:
        raise BadField(f"a result's faces are not an array of at most {limits.MAX_FACES}")
    result = Result(
        camera,
        room,
        session_id,
        integer_in("seq", seq, 0, limits.MAX_SEQ),
        integer_in("interval_us", interval_us, 0, limits.MAX_INTERVAL_US),
        model,
        tuple(_read_face(face) for face in faces),
        _fingerprint(row[9:]),
        not faces and row[10:11] == [True],
    )
    return TicketedResult(integer_in("ticket", ticket), number_in("age_ms", age_ms), result)


def _fingerprint(extra: list[object]) -> str:
    """What follows a result, if that is a fingerprint: older workers name none, and what later ones
    may put there is not for us."""
    key = extra[0] if extra else ""
    return key if isinstance(key, str) and _FINGERPRINT.fullmatch(key) else ""


def _read_face(row: object) -> Face:
    if not isinstance(row, list) or len(row) < 5:
        raise BadField(f"a face is not an array of 5: {short(row)}")
    box, score, size, probabilities, sure = row[:5]
    if not isinstance(box, list) or len(box) != 4:
        raise BadField(f"a box is not an array of 4: {short(box)}")
    if not isinstance(probabilities, list) or len(probabilities) != len(EXPRESSIONS):
        raise BadField(f"probabilities are not an array of {len(EXPRESSIONS)}")
    x, y, width, height = box
    return Face(
        (
            integer_in("x", x, -65_535, 65_535),
            integer_in("y", y, -65_535, 65_535),
            integer_in("width", width, 0, 65_535),
            integer_in("height", height, 0, 65_535),
        ),
        number_in("score", score, 0.0, 1.0),
        integer_in("size", size, 0, len(SIZE_CLASSES) - 1),
        tuple([number_in("probability", p, 0.0, 1.0001) for p in probabilities]),
        typed("sure", sure, bool),
    )
