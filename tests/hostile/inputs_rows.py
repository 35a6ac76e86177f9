"""Pictures and messages made to hurt, at a real worker and a real aggregator."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgpack
import zmq

from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import (
    MAX_JPEG_BYTES,
    MAX_JPEG_MARKERS,
    MAX_JPEG_SCANS,
    WIRE_VERSION,
)
from roommood.shared.protocol.messages import Report
from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import until
from tests.hostile import jpegs
from tests.hostile.fair import wait_for_credit
from tests.hostile.target import Cost, Target, a_target
from tests.rows import Outcome, Row, Trial
from tests.shared.wire_examples import KINDS, holder, packed, places, unpacked

MOST_MB: Final = 400.0
_SPARE: Final = jpegs.GOLDEN / "jpeg"


def pictures() -> Iterator[tuple[str, bytes]]:
    """What becomes of it, and a JPEG or what pretends to be one."""
    for path in sorted(_SPARE.glob("*.jpg")):
        yield path.stem.partition("--")[0], path.read_bytes()
    yield "not-a-jpeg", b""
    yield "too-large", jpegs.claiming(65_535, 65_535)
    yield "too-large", jpegs.claiming(32_000, 32_000)
    yield "damaged", jpegs.claiming(15, 16)
    for width, height in ((16, 16), (3840, 2160), (65_500, 16), (16, 65_500), (65_500, 126)):
        yield "taken", jpegs.claiming(width, height)
    # Within our limits; libjpeg's own is 65,500 pixels a side.
    yield "damaged", jpegs.claiming(65_535, 16)
    for marker in (jpegs.SOF, jpegs.PROGRESSIVE):
        yield "taken", jpegs.many_scans(MAX_JPEG_SCANS, marker=marker)
        yield "too-large", jpegs.many_scans(MAX_JPEG_SCANS + 1, marker=marker)
        yield "too-large", jpegs.many_scans(5_000, 2880, marker=marker)
    yield "taken", jpegs.behind(jpegs.filler(jpegs.APP1, 900_000))
    yield "damaged", jpegs.behind(jpegs.filler(jpegs.APP2, 1_200_000))
    yield "damaged", jpegs.behind(b"\xff" * MAX_JPEG_MARKERS)
    # What follows the end is none of the picture, as behind a telephone's "motion photo".
    yield "taken", jpegs.good() + b"junk" * 1000
    yield "taken", jpegs.good() + b"junk" * 20_000
    yield "taken", jpegs.zeroed_middle()
    yield "damaged", jpegs.good()[:-2] + bytes(MAX_JPEG_BYTES - len(jpegs.good()))


@contextmanager
def _target(trial: Trial, protection: str) -> Iterator[Target]:
    with a_target(trial.folder, "" if trial.protected else protection) as target:
        target.check_good_camera()
        yield target


def every_picture(trial: Trial) -> Outcome:
    """Each ends under its reason in /metrics, and nowhere else."""
    with _target(trial, "jpeg_limits") as target:
        cost, due, sent = Cost(target.worker), Counter[str](), 0
        with FakeCamera(target.frames, "liar", "den") as camera:
            for _ in range(trial.times):
                for what, jpeg in pictures():
                    wait_for_credit(camera)
                    camera.send(jpeg)
                    due[what] += 1
                    sent += 1
                    cost.look()
            until(lambda: _ended(target).total() >= sent + 1, "all have ended", 60.0)
        due["taken"] += 1  # the good camera's before
        ended = _ended(target)
        trial.note("ended", ended=dict(ended), due=dict(due))
        assert ended == due, f"{dict(ended)} instead of {dict(due)}"
        assert cost.look().peak_mb < MOST_MB, f"grew by {cost.peak_mb:.0f} MB"
        return Outcome(
            recovery_s=round(target.check_good_camera(), 2),
            times=sent,
            detail=f"{dict(sorted(due.items()))}; at most {cost.peak_mb:.0f} MB, "
            f"{cost.cpu_s / sent * 1000:.0f} ms of processor each",
        )


def _ended(target: Target) -> "Counter[str]":
    """The worker's frames by what became of them, as /metrics tells."""
    outcomes: Counter[str] = Counter()
    for key, count in target.metrics().items():
        if key.startswith("roommood_worker_frames_total{") and count:
            outcome, reason = key.split('"')[1::2]
            outcomes["taken" if outcome == "analysed" else reason] += int(count)
    return outcomes


# Messages


def odd_messages(dice: random.Random, kinds: tuple[str, ...]) -> Iterator[list[bytes]]:
    """For ever: random, changed, cut, of other versions, and in another number of parts."""
    odd: tuple[object, ...] = (
        None,
        -1,
        1 << 64,
        float("nan"),
        float("inf"),
        "",
        "a:b",
        "../x",
        b"\xff",
        [],
        {},
        [[]],
    )
    while True:
        kind = dice.choice(kinds)
        whole = KINDS[kind][0]
        value = unpacked(kind)
        place = dice.choice(places(value))
        holder(value, place)[place[-1]] = dice.choice(odd)
        changed = bytearray(whole)
        changed[dice.randrange(4, len(whole))] ^= 1 << dice.randrange(8)
        yield dice.choice(
            [
                [dice.randbytes(dice.randrange(300))],
                [whole[: dice.randrange(len(whole))]],
                [packed(kind, value) if _packs(kind, value) else b"RM"],
                [bytes(changed)],
                [whole[:2] + bytes([dice.choice([0, WIRE_VERSION + 1, 255])]) + whole[3:]],
                [whole[:4] + bytes(msgpack.packb(_nested(dice.randrange(2000))))],
                [whole[:4] + b"\xdf\xff\xff\xff\xff", b""],
                [whole[:4] + b"\xdd\x7f\xff\xff\xff"],
                [b""] * dice.choice([1, 2, 3, 100]),
                [whole] * dice.choice([3, 100]),
                [whole, b"jpeg", b"more"],
            ]
        )


def _packs(kind: str, value: object) -> bool:
    try:
        packed(kind, value)
    except (OverflowError, ValueError):
        return False
    return True


def _nested(depth: int) -> object:
    value: object = 0
    for _ in range(min(depth, 400)):
        value = [value]
    return {"camera": value}


def _messages(trial: Trial, name: str, kinds: tuple[str, ...]) -> Outcome:
    with _target(trial, "") as target:
        component = target.worker if name == "worker" else target.aggregator
        cost, context = Cost(component), zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        address = target.frames if name == "worker" else target.reports
        socket.connect(f"tcp://{address}")
        messages = odd_messages(random.Random(trial.seed), kinds)
        for number in range(trial.times):
            socket.send_multipart(next(messages))
            while socket.poll(0):
                socket.recv()
            if number % 500 == 0:
                cost.look()
        good_s = target.check_good_camera(60.0)
        context.destroy(0)
        malformed, version = (_refused(target, name, why) for why in ("malformed", "wire-version"))
        trial.note("refused", malformed=malformed, version=version)
        assert malformed + version > 0.6 * trial.times, f"{malformed} and {version} are counted"
        warnings = sum(line["level"] == "warning" for line in component.lines())
        wrong = f"{warnings} warnings" if warnings > 100 else ""
        wrong = wrong or (f"grew by {cost.peak_mb:.0f} MB" if cost.look().peak_mb > 150 else "")
        return Outcome(
            recovery_s=round(good_s, 2),
            wrong=wrong,
            detail=f"refused: {malformed:.0f} malformed, {version:.0f} of another version; at most "
            f"{cost.peak_mb:.0f} MB, {cost.cpu_s / trial.times * 1e6:.0f} us of processor each",
        )


def _refused(target: Target, name: str, why: str) -> float:
    if name == "worker":
        return target.worker_refused(why)
    return target.refused(why, "aggregator")


def at_the_worker(trial: Trial) -> Outcome:
    return _messages(trial, "worker", ("hello", "frame", "credit", "report", "ack"))


def at_the_aggregator(trial: Trial) -> Outcome:
    return _messages(trial, "aggregator", ("report", "ack", "hello"))


_BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "empty maps": lambda: b"\xdd\x00\x3f\xff\x00" + b"\x80" * 0x3FFF00,
    "empty arrays": lambda: b"\xdd\x00\x3f\xff\x00" + b"\x90" * 0x3FFF00,
    "nested": lambda: b"\x91" * 0x3FFF00,
    "many keys": lambda: bytes(msgpack.packb({f"{n:x}": 0 for n in range(400_000)})),
    "one text": lambda: bytes(msgpack.packb({"release": "x" * 0x3FFF00})),
}


def bombs_at_the_aggregator(trial: Trial) -> Outcome:
    """Messages as large as allowed that unpack to as much as can be."""
    with _target(trial, "") as target:
        cost, context = Cost(target.aggregator), zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(f"tcp://{target.reports}")
        prefix = wire.encode_report(Report("w", "", 0.0))[:4]
        for _ in range(trial.times):
            for bomb in _BOMBS.values():
                before = target.refused("malformed", "aggregator")
                socket.send(prefix + bomb())
                until(
                    lambda before=before: (
                        cost.look()  # type: ignore[misc]
                        and target.refused("malformed", "aggregator") > before
                    ),
                    "it is refused",
                )
        good_s = target.check_good_camera()
        context.destroy(0)
        wrong = f"grew by {cost.peak_mb:.0f} MB" if cost.peak_mb > 800 else ""
        count = trial.times * len(_BOMBS)
        detail = f"at most {cost.peak_mb:.0f} MB and {cost.cpu_s / count:.2f} s of processor each"
        return Outcome(recovery_s=round(good_s, 2), wrong=wrong, times=count, detail=detail)


_GROUP: Final = "Pictures and messages"
ROWS: Final = (
    Row(
        "every-picture", "the golden corpus and JPEGs that lie", every_picture, _GROUP,
        times=10, quick_times=1, control="the limits on pixels and scans", control_times=1,
        recover_within_s=10.0, timeout_s=300,
    ),
    Row(
        "messages-at-the-worker", "random, spoilt and cut messages, other versions, 1 to 100 parts",
        at_the_worker, _GROUP, times=50_000, quick_times=3_000, recover_within_s=10.0,
        timeout_s=300,
    ),
    Row(
        "messages-at-the-aggregator",
        "random, spoilt and cut messages, other versions, 1 to 100 parts", at_the_aggregator,
        _GROUP, times=50_000, quick_times=3_000, recover_within_s=10.0, timeout_s=300,
    ),
    Row(
        "bombs-at-the-aggregator", "4 MB that unpack to as much as can be", bombs_at_the_aggregator,
        _GROUP, times=4, quick_times=1, recover_within_s=10.0, timeout_s=300,
    ),
)  # fmt: skip
