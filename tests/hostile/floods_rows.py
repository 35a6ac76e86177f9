"""More than anyone asked for, from one peer; the others keep their share."""

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import zmq

from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import BITMAPS_AT_ONCE, MAX_FACES, MAX_RESULTS_PER_REPORT
from roommood.shared.protocol.messages import Report, TicketedResult
from roommood.shared.security.keys import fingerprint
from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import select_for, until
from tests.hostile import jpegs
from tests.hostile.fair import FairCameras, wait_for_credit
from tests.hostile.target import Cost, Target, a_target, rss_mb
from tests.rows import Outcome, Row, Trial
from tests.shared import made

MOST_MB: Final = 250.0
# Part of its rate before the attack that a fair camera keeps at least; a flood also takes the
# processors on which everything here runs.
LEAST_SHARE: Final = 0.3
_CALM_S: Final = 4.0
_RENEWED: Final = fingerprint("a key that the camera was given later")
# Twenty frames a second, so that the processors are not what is shared.
_SLOWLY: Final = ("--min-frame-ms", "50")
# Hellos of a flood after which it is looked how many cameras are known.
_LOOK_EVERY: Final = 250


@contextmanager
def _target(trial: Trial, protection: str, *worker_options: str) -> Iterator[Target]:
    without = "" if trial.protected else protection
    with a_target(trial.folder, without, *worker_options) as target:
        target.check_good_camera()
        yield target


class Flooder(threading.Thread):
    """Does the same thing over and over until the end of the context; `done` counts."""

    def __init__(self, deed: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._deed, self._stopping = deed, threading.Event()
        self.done = 0

    def run(self) -> None:
        while not self._stopping.is_set():
            self._deed()
            self.done += 1

    def __enter__(self) -> "Flooder":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(20)


def _shares(
    target: Target, trial: Trial, deed: Callable[[], None], paced_s: float = 0.0
) -> Outcome:
    """Three fair cameras, first alone and then beside `deed`, for `trial.times` seconds."""
    cost = Cost(target.worker)
    with FairCameras(target) as fair:
        until(lambda: min(fair.counted()) > 3, "fair cameras are served")
        fair.start_clock()
        select_for(_CALM_S)
        calm = fair.rates()
        with Flooder(deed) as flooder:
            fair.start_clock()
            for _ in range(trial.times):
                select_for(1.0)
                cost.look()
            beside = fair.rates()
    trial.note("rates", calm=calm, beside=beside, flood=flooder.done)
    worst = min(rate / before for rate, before in zip(beside, calm, strict=True))
    wrong = "" if worst >= LEAST_SHARE else f"a fair camera kept {worst:.0%} of its rate"
    good_s = target.check_good_camera()
    if cost.look().peak_mb > MOST_MB:
        wrong = wrong or f"grew by {cost.peak_mb:.0f} MB"
    return Outcome(
        recovery_s=round(good_s, 2),
        wrong=wrong,
        times=flooder.done,
        detail=f"fair cameras kept at least {worst:.0%} of their rate; at most "
        f"{cost.peak_mb:.0f} MB and {cost.cpu_s:.0f} s of processor in {trial.times} s",
    )


def _raw(
    target: Target, address: str = ""
) -> tuple[zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 16)
    socket.setsockopt(zmq.SNDTIMEO, 200)
    socket.connect(f"tcp://{address or target.frames}")
    return context, socket


def _offer(socket: zmq.Socket[bytes], parts: list[bytes]) -> None:
    try:
        socket.send_multipart(parts, copy=False)
    except zmq.Again:
        return


def flood_of_strangers(trial: Trial) -> Outcome:
    """Frames of a megabyte from a peer that never said Hello."""
    with _target(trial, "", *_SLOWLY) as target:
        context, socket = _raw(target)
        header = wire.encode_frame(made.frame(camera="stranger"))
        try:
            outcome = _shares(target, trial, lambda: _offer(socket, [header, bytes(1 << 20)]))
            assert target.worker_refused("unsolicited") > 0
            return outcome
        finally:
            context.destroy(0)


def flood_by_a_camera(trial: Trial) -> Outcome:
    """A camera that said Hello and then never waits for credit."""
    with _target(trial, "credit_check", *_SLOWLY) as target:
        with FakeCamera(target.frames, "greedy", "den") as camera:
            camera.wait_for_credit()

            def deed() -> None:
                camera.send(jpegs.good(), sent_ms=boot_ms())
                if camera.seq % 200 == 0:
                    camera.say_hello()
                while camera._socket.poll(0):
                    camera._socket.recv()

            outcome = _shares(target, trial, deed)
        assert target.worker_refused("unsolicited") > 0
        return outcome


def flood_of_malformed(trial: Trial) -> Outcome:
    """Messages that do not decode, of 16 KiB of random bytes behind a right prefix."""
    with _target(trial, "", *_SLOWLY) as target:
        context, socket = _raw(target)
        dice = random.Random(trial.seed)
        junk = [b"RM\x01" + kind + dice.randbytes(16_000) for kind in (b"H", b"F", b"X", b"R")]
        try:
            outcome = _shares(target, trial, lambda: _offer(socket, [dice.choice(junk)]))
            assert target.worker_refused("malformed") > 0
            return outcome
        finally:
            context.destroy(0)


def _hello_flood(trial: Trial, change: Callable[[int], dict[str, object]]) -> Outcome:
    """`trial.times` Hellos on one connection, each of somebody else; who is served stays few."""
    with _target(trial, "one_link_per_connection") as target, FairCameras(target, 1) as fair:
        until(lambda: fair.counted()[0] > 3, "the fair camera is served")
        cost, fair_before = Cost(target.worker), fair.counted()[0]
        looks: list[tuple[float, float]] = []
        with FakeCamera(target.frames, "many", "den") as camera:
            for number in range(trial.times):
                camera.hello = dataclasses.replace(camera.hello, **change(number))  # type: ignore[arg-type]
                camera.say_hello()
                while camera._socket.poll(0):
                    camera._socket.recv()
                if number % _LOOK_EVERY == 0:
                    looks.append(_known_and_in_flight(target))
            last = camera.hello.camera
            camera.wait_for_credit()
            looks.append(_known_and_in_flight(target))
        # Known is who was heard lately: not so the first by the time that the last has credit.
        cameras, in_flight = (max(values) for values in zip(*looks, strict=True))
        cost.look()
        until(lambda: fair.counted()[0] > fair_before + 3, "the fair camera is still served")
        good_s = target.check_good_camera()
        lines = sum(line["level"] != "debug" for line in target.worker.lines())
        trial.note("after", cameras=cameras, in_flight=in_flight, last=last, lines=lines)
        wrong = f"{cameras:.0f} cameras are known" if cameras > 10 else ""
        wrong = wrong or (f"{lines} lines in its log" if lines > 1_500 else "")
        wrong = wrong or (f"{in_flight:.0f} in flight" if in_flight > 20 else "")
        wrong = wrong or (f"grew by {cost.peak_mb:.0f} MB" if cost.peak_mb > MOST_MB else "")
        return Outcome(
            recovery_s=round(good_s, 2),
            wrong=wrong,
            detail=f"{cameras:.0f} cameras known after it, {lines} lines logged; at most "
            f"{cost.peak_mb:.0f} MB and {cost.cpu_s:.1f} s of processor",
        )


def _known_and_in_flight(target: Target) -> tuple[float, float]:
    metrics = target.metrics()
    return metrics["roommood_worker_cameras"], metrics["roommood_worker_frames_in_flight"]


def many_boots(trial: Trial) -> Outcome:
    return _hello_flood(trial, lambda number: {"session_id": f"boot-{number}"})


def many_names(trial: Trial) -> Outcome:
    return _hello_flood(
        trial, lambda number: {"camera": f"cam-{number}", "session_id": f"b-{number}"}
    )


# At the aggregator


class FakeWorker:
    """A DEALER to the aggregator that says what a test wants."""

    def __init__(self, target: Target, worker_id: str) -> None:
        self.context, self.socket = _raw(target, target.reports)
        self.worker_id = worker_id
        self.settled: dict[int, str] = {}

    def report(self, *results: TicketedResult) -> bytes:
        return wire.encode_report(Report(self.worker_id, "", boot_ms(), results=results))

    def offer(self, message: bytes) -> None:
        _offer(self.socket, [message])

    def say(self, *results: TicketedResult) -> None:
        self.offer(self.report(*results))
        self.hear(0)

    def hear(self, timeout_ms: int) -> None:
        while self.socket.poll(timeout_ms):
            ack = wire.decode_ack(self.socket.recv())
            self.settled |= dict.fromkeys(ack.committed, "committed")
            self.settled |= dict.fromkeys(ack.duplicate, "duplicate")
            self.settled |= dict(ack.refused)
            self.settled |= dict.fromkeys(ack.deferred, "deferred")
            timeout_ms = 0

    def has_heard_of(self, ticket: int) -> bool:
        self.hear(50)
        return ticket in self.settled

    def close(self) -> None:
        self.context.destroy(0)


def boots_at_the_aggregator(trial: Trial) -> Outcome:
    """Each new boot of a camera would allot a bitmap for a day; the same camera's next session is
    counted all the same, if it proves another key."""
    with _target(trial, "aggregator:new_bitmaps") as target:
        worker, cost = FakeWorker(target, "liar"), Cost(target.aggregator)
        for start in range(0, trial.times, MAX_RESULTS_PER_REPORT):
            numbers = range(start, min(start + MAX_RESULTS_PER_REPORT, trial.times))
            rows = [
                TicketedResult(
                    n, 0.0, made.result(0, camera="liar", room="den", session_id=f"b{n}")
                )
                for n in numbers
            ]
            worker.say(*rows)
            until(partial(worker.has_heard_of, numbers[-1]), "they are settled")
        cost.look()
        with target.site.redis.client() as client:
            bitmaps = len(list(client.scan_iter("roommood:{den}:seen:liar:*", count=1000)))
        deferred = sum(how == "deferred" for how in worker.settled.values())
        renewed = made.result(0, camera="liar", room="den", session_id="real", key=_RENEWED)
        worker.say(TicketedResult(trial.times, 0.0, renewed))
        until(partial(worker.has_heard_of, trial.times), "the renewed key is answered")
        worker.close()
        trial.note("after", bitmaps=bitmaps, deferred=deferred)
        good_s = target.check_good_camera()
        wrong = f"{bitmaps} bitmaps in Redis" if bitmaps > BITMAPS_AT_ONCE + 10 else ""
        if worker.settled[trial.times] != "committed":
            wrong = wrong or f"the renewed key's result is {worker.settled[trial.times]}"
        detail = f"{bitmaps} bitmaps in Redis, {deferred} results deferred; {cost.peak_mb:.0f} MB"
        return Outcome(recovery_s=round(good_s, 2), wrong=wrong, detail=detail)


def flood_of_reports(trial: Trial) -> Outcome:
    """The largest reports there are, as fast as they go; another worker's results are counted."""
    with _target(trial, "aggregator:turn_limit") as target:
        crowd = made.crowded_report(MAX_RESULTS_PER_REPORT)
        rows = tuple(
            dataclasses.replace(
                result, ticket=n, age_ms=0.0,
                result=dataclasses.replace(result.result, seq=n, camera="crowd", room="den"),
            )
            for n, result in enumerate(crowd.results)
        )  # fmt: skip
        liar, cost = FakeWorker(target, "liar"), Cost(target.aggregator)
        message = liar.report(*rows)

        def deed() -> None:
            _offer(liar.socket, [message])
            while liar.socket.poll(0):
                liar.socket.recv()

        with Flooder(deed) as flooder:
            select_for(2.0)
            began, slowest_s = time.monotonic(), 0.0
            while time.monotonic() - began < trial.times:
                slowest_s = max(slowest_s, target.check_good_camera(60.0))
                cost.look()
        liar.close()
        good_s = target.check_good_camera()
        wrong = f"a result took {slowest_s:.1f} s" if slowest_s > 10 else ""
        wrong = wrong or (f"grew by {cost.peak_mb:.0f} MB" if cost.peak_mb > 1000 else "")
        return Outcome(
            recovery_s=round(good_s, 2),
            wrong=wrong,
            times=flooder.done,
            detail=f"reports of {len(message) / (1 << 20):.1f} MB, {MAX_FACES} faces a result; "
            f"another worker's result counted after {slowest_s:.1f} s at most; at most "
            f"{cost.peak_mb:.0f} MB",
        )


# Said again


def replayed(trial: Trial) -> Outcome:
    """Frames that were sent before, again and in another order, by the camera and by a stranger."""
    with _target(trial, "") as target:
        dice = random.Random(trial.seed)
        with FakeCamera(target.frames, "echo", "den") as camera:
            for number in range(trial.times):
                wait_for_credit(camera)
                camera.send(jpegs.good(), seq=dice.randrange(8) if number > 7 else 7 - number)
            until(lambda: _settled(target) >= trial.times, "all are settled", 60.0)
        counted = target.site.frames("den", "echo")
        duplicates = target.metrics("aggregator")
        twice = sum(n for key, n in duplicates.items() if '"duplicate"' in key)
        doubled = counted - 8
        wrong = "" if twice == trial.times - 8 else f"{twice:.0f} told to be duplicates"
        good_s = target.check_good_camera()
        return Outcome(
            doubled=max(0, doubled), lost=max(0, -doubled), recovery_s=round(good_s, 2),
            wrong=wrong, detail=f"8 frames sent {trial.times} times, counted {counted} times",
        )  # fmt: skip


def _settled(target: Target) -> int:
    lines = target.worker.lines("acknowledged")
    return sum(line["camera"] == "echo" for line in lines)


def _worker_up_s(target: Target) -> float:
    """How long the worker ran when it made the last report that was read; 0 before any."""
    with target.site.redis.client() as client:
        ups = [client.hget(key, "up_s") for key in client.scan_iter("roommood:worker:*")]
    return max((float(up) for up in ups if up), default=0.0)


def lying_clocks(trial: Trial) -> Outcome:
    """A camera whose clock leaps must not make its worker's reports undecodable."""
    with _target(trial, "") as target:
        leaps = (1e15, 0.0, 1.0, 1e15, 5e14)
        with FakeCamera(target.frames, "leaper", "den") as camera:
            for number in range(trial.times):
                wait_for_credit(camera)
                camera.send(jpegs.good(), sent_ms=leaps[number % len(leaps)], age_ms=0.0)
            told_s = _worker_up_s(target) + 2
            until(
                lambda: target.refused("malformed", "aggregator") or _worker_up_s(target) > told_s,
                "reports of the worker after the leaps are read",
            )
        refused = target.refused("malformed", "aggregator")
        wrong = f"{refused:.0f} of the worker's reports were malformed" if refused else ""
        return Outcome(recovery_s=round(target.check_good_camera(), 2), wrong=wrong)


def bad_pictures_in_the_log(trial: Trial) -> Outcome:
    """A camera that sends nothing but rubbish fills no disk with warnings."""
    with _target(trial, "") as target:
        before = rss_mb(Cost(target.worker)._proc)
        with FakeCamera(target.frames, "rubbish", "den") as camera:
            for _ in range(trial.times):
                wait_for_credit(camera)
                camera.send(b"\xff\xd8\xff\xe0 rubbish")
            until(lambda: target.worker_refused("damaged") >= trial.times, "all are refused")
        lines = sum(line["level"] == "warning" for line in target.worker.lines())
        grown = rss_mb(Cost(target.worker)._proc) - before
        wrong = f"{lines} warnings for {trial.times} pictures" if lines > 60 else ""
        wrong = wrong or (f"grew by {grown:.0f} MB" if grown > MOST_MB else "")
        detail = f"{lines} warnings for {trial.times} pictures"
        return Outcome(recovery_s=round(target.check_good_camera(), 2), wrong=wrong, detail=detail)


_GROUP: Final = "Floods and lies"
ROWS: Final = (
    Row(
        "flood-of-strangers", "frames of 1 MB from a peer that never said Hello, for 20 s",
        flood_of_strangers, _GROUP, times=20, quick_times=5, recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "flood-by-a-camera", "frames without credit by one camera, for 20 s", flood_by_a_camera,
        _GROUP, times=20, quick_times=5, control="the credit check", control_times=10,
        recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "flood-of-malformed", "messages of 16 KiB that do not decode, for 20 s", flood_of_malformed,
        _GROUP, times=20, quick_times=5, recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "many-boots", "Hellos on one connection, each of another boot", many_boots, _GROUP,
        times=10_000, quick_times=2_000, recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "many-names", "Hellos on one connection, each of another camera", many_names, _GROUP,
        times=10_000, quick_times=2_000, control="one camera a connection", control_times=2_000,
        recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "boots-at-the-aggregator", "results of one camera, each of another boot",
        boots_at_the_aggregator, _GROUP, times=10_000, quick_times=1_024,
        control="the limit on new boots", control_times=1_024, recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "flood-of-reports", "the largest reports from a worker, for 20 s", flood_of_reports, _GROUP,
        times=20, quick_times=5, control="the bound on a turn", control_times=10,
        recover_within_s=10.0, timeout_s=240,
    ),
    Row(
        "replayed", "eight frames sent again and again, in any order", replayed, _GROUP,
        times=200, quick_times=30, recover_within_s=10.0, timeout_s=240,
    ),
    Row(
        "lying-clocks", "a camera's clock leaps by 30,000 years and back", lying_clocks, _GROUP,
        times=50, quick_times=10, recover_within_s=10.0, timeout_s=240,
    ),
    Row(
        "rubbish-in-the-log", "pictures that do not decode, one after the other",
        bad_pictures_in_the_log, _GROUP, times=2_000, quick_times=150, recover_within_s=10.0,
        timeout_s=240,
    ),
)  # fmt: skip
