"""Messages: today's decoders read what version 1 wrote, and refuse whatever is none."""

import contextlib
import dataclasses
import math
import resource
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.shared.clock import TransitClock
from roommood.shared.errors import DecodeError, VersionMismatch, WireError
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import WIRE_VERSION
from roommood.shared.protocol.messages import Report
from tests.hostile.jpegs import GOLDEN
from tests.shared import made
from tests.shared.wire_examples import CAMERA, DECODERS, EVERY_KIND, KINDS, unpacked

SEEDS = sorted((GOLDEN / "seeds" / "wire").iterdir())


@EVERY_KIND
def test_a_message_of_the_first_release_is_still_read(kind: str) -> None:
    """If this fails, the version must change: other machines run the release before."""
    data = (GOLDEN / "wire" / f"{kind}-v1.bin").read_bytes()
    assert data[2] == 1 == WIRE_VERSION
    today: Any = KINDS[kind][1](KINDS[kind][0])
    if hasattr(today, "pauses_unknown"):
        today = dataclasses.replace(today, pauses_unknown=None)  # of which it said nothing
    assert KINDS[kind][1](data) == today


def test_what_fuzzing_came_by_raises_only_wire_errors() -> None:
    assert len(SEEDS) >= 20
    for path in SEEDS:
        for decode in DECODERS:
            with contextlib.suppress(WireError):
                decode(path.read_bytes()[1:])


@EVERY_KIND
@pytest.mark.parametrize("version", [0, WIRE_VERSION + 1, 127, 255])
def test_another_version_is_refused_by_name_whatever_follows(kind: str, version: int) -> None:
    data, decode = KINDS[kind]
    for rest in (data[3:], data[3:4], b"", b"\xff" * 9):
        with pytest.raises((VersionMismatch, DecodeError)) as refused:
            decode(data[:2] + bytes([version]) + rest)
        if rest:
            assert f"version {version} received" in str(refused.value)


@EVERY_KIND
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e300, -0.1])
def test_no_number_that_is_none_gets_in(kind: str, value: float) -> None:
    from tests.shared.wire_examples import packed

    fields = unpacked(kind)
    numbers = [name for name, was in fields.items() if isinstance(was, float)]
    assert numbers
    for name in numbers:
        with pytest.raises(DecodeError, match=name):
            KINDS[kind][1](packed(kind, fields | {name: value}))


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=20), st.floats(0, 1e12))
def test_no_clock_of_a_camera_makes_a_report_that_is_refused(
    sent_ms: list[float], now_ms: float
) -> None:
    """What a worker tells of a camera must fit its own message, whatever the camera says."""
    clock = TransitClock()
    for n, sent in enumerate(sent_ms):
        transit_ms = clock.transit_ms(sent, now_ms + n)
        camera = dataclasses.replace(CAMERA, counts={"transit_ms": transit_ms})
        report = Report("w", "", 1.0, health={"up_s": 1.0}, cameras=(camera,))
        assert wire.decode_report(wire.encode_report(report)) == report
        credit = made.credit(transit_ms=transit_ms)
        assert wire.decode_credit(wire.encode_credit(credit)) == credit


BOMBS = {
    "a map of 2^32": b"\xdf\xff\xff\xff\xff",
    "an array of 2^32": b"\xdd\xff\xff\xff\xff",
    "a text of 2^32": b"\xdb\xff\xff\xff\xff",
    "bytes of 2^32": b"\xc6\xff\xff\xff\xff",
    "an extension of 2^32": b"\xc9\xff\xff\xff\xff\x01",
    "a map of as many as there are bytes": b"\xdf\x00\x3f\xff\x00",
    "arrays in arrays": b"\x91" * 4_000_000,
    "maps in maps": b"\x81\xa1a" * 1_000_000,
    "empty maps": b"\xdd\x00\x3d\x09\x00" + b"\x80" * 4_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("kind", ["hello", "report"])
def test_a_bomb_is_refused(kind: str, bomb: bytes) -> None:
    with pytest.raises(DecodeError):
        KINDS[kind][1](KINDS[kind][0][:4] + bomb)


_ALL_BOMBS = """
import contextlib
from roommood.shared.errors import WireError
from tests.hostile.test_messages import BOMBS
from tests.shared.wire_examples import KINDS
for data, decode in KINDS.values():
    for bomb in BOMBS.values():
        with contextlib.suppress(WireError):
            decode(data[:4] + bomb)
print(__import__("resource").getrusage(__import__("resource").RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_all_bombs_together_fit_into_half_a_gigabyte() -> None:
    """Four million empty maps are the worst: 64 bytes for each byte of a message of 4 MB."""

    def half_a_gigabyte() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-c", _ALL_BOMBS],
        capture_output=True, text=True, timeout=120, check=False, preexec_fn=half_a_gigabyte,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 512


@EVERY_KIND
def test_unknown_fields_of_any_kind_are_ignored(kind: str) -> None:
    from tests.shared.wire_examples import decoded

    more = {"new": 1, "other": [None, {"a": b"x"}], "": "", "x" * 300: -1}
    assert decoded(kind, unpacked(kind) | more) == decoded(kind, unpacked(kind))
