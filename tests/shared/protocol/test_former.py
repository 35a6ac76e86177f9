"""Peers of former versions: what they said is understood, and what is said to them has all that
they read. `tests/golden/wire/former` holds one message of each kind as the main branch of that day
wrote it; another is added before a message changes."""

from pathlib import Path
from typing import Any, Final

import msgpack
import pytest

from tests.shared.wire_examples import KINDS, unpacked

FORMER: Final = Path(__file__).parents[2] / "golden" / "wire" / "former"
SAMPLES: Final = [
    pytest.param(kind, path.read_bytes(), id=f"{path.parent.name}-{kind}")
    for kind in KINDS
    for path in sorted(FORMER.glob(f"*/{kind}.bin"))
]
OF_EACH: Final = pytest.mark.parametrize(("kind", "data"), SAMPLES)
# What the versions that have it did without where it was missing.
OPTIONAL: Final = {
    "deferred", "empty_seq", "held_us", "hold_ms", "holds", "look_ms", "luma", "paused_cameras",
    "pauses_unknown", "provider", "refused_frames", "refused_why", "unchanged", "unreached",
}  # fmt: skip
# Their keys are free.
FREE: Final = {"confusion", "counts"}
# Elements of a result that every version has read.
ROW: Final = 9


def test_there_are_samples_of_each_kind() -> None:
    assert len(SAMPLES) >= 4 * len(KINDS)


@OF_EACH
def test_what_a_former_version_said_is_understood(kind: str, data: bytes) -> None:
    message = KINDS[kind][1](data)
    for name, value in msgpack.unpackb(data[4:]).items():
        if isinstance(value, str | int | float):
            assert getattr(message, {"boot_id": "session_id"}.get(name, name)) == value


@OF_EACH
def test_what_is_said_today_has_all_that_a_former_version_reads(kind: str, data: bytes) -> None:
    assert _lacks(msgpack.unpackb(data[4:]), unpacked(kind), kind) == []


@OF_EACH
def test_and_a_message_without_it_would_be_noticed(kind: str, data: bytes) -> None:
    former = msgpack.unpackb(data[4:])
    for name in set(former) - OPTIONAL:
        less = {key: value for key, value in unpacked(kind).items() if key != name}
        assert _lacks(former, less, kind) == [f"{kind}.{name}"]
    if kind == "report":
        report = unpacked(kind)
        del report["results"][0][-1], report["cameras"][0]["health"]["captured"]
        places = ["report.cameras[].health.captured", "report.results[]"]
        assert _lacks(former, report, kind) == places


def _lacks(former: Any, today: Any, place: str) -> list[str]:
    """Where a part of today's message is missing, or of another type."""
    if type(former) is not type(today):
        return [place]
    if isinstance(former, dict):
        names = sorted(set(former) - OPTIONAL - FREE)
        missing = [f"{place}.{name}" for name in names if name not in today]
        parts = [(f".{name}", former[name], today[name]) for name in names if name in today]
    elif isinstance(former, list) and len({type(value) for value in former}) > 1:
        former = former[:ROW]
        missing = [place] if len(today) < len(former) else []
        parts = [(f"[{n}]", a, b) for n, (a, b) in enumerate(zip(former, today, strict=False))]
    else:
        pairs = zip(former, today, strict=False) if isinstance(former, list) else ()
        missing, parts = [], [("[]", *pair) for pair in pairs]
    return missing + [lack for name, a, b in parts for lack in _lacks(a, b, f"{place}{name}")]
