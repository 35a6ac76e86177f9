"""Connections that are there to hurt: silent, slow, endless; and too many of each."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from roommood.shared.protocol.limits import (
    HANDSHAKE_MS,
    MAX_JPEG_BYTES,
    MAX_REPORT_BYTES,
    MAX_UNFINISHED_BYTES_IN_ALL,
    MUTE_MS,
)
from tests.end_to_end.site import select_for, until
from tests.hostile import zmtp
from tests.hostile.target import Cost, Target, a_target, descriptors
from tests.hostile.unprotected import DESCRIPTORS
from tests.rows import Outcome, Row, Trial

# Generous: what a component of this suite may grow by, and what an attack may cost it.
MOST_MB: Final = 150.0
# libzmq keeps 64 bytes for a part of which three came.
MOST_MB_OF_PARTS: Final = 1.2 * MAX_UNFINISHED_BYTES_IN_ALL * (64 / 3) / (1 << 20)
# What strangers may cost, however fast loopback is between two looks, and what may be left of it.
MOST_MB_OF_STRANGERS: Final = 192.0
MOST_MB_LEFT: Final = 48.0
_POUR_S: Final = 4.0
_SPARE_S: Final = 20.0
_OF_ONE_ADDRESS: Final = 60


@contextmanager
def _without(trial: Trial, protection: str, otherwise: str = "") -> Iterator[Target]:
    with a_target(trial.folder, otherwise if trial.protected else protection) as target:
        target.check_good_camera()
        yield target


class Crowd:
    """Sockets that connect without waiting; each is told apart by its number."""

    def __init__(self, address: str, count: int) -> None:
        host, _, port = address.rpartition(":")
        self.open: list[socket.socket] = []
        for number in range(count):
            connection = socket.socket()
            # So many of one address would be cut at once.
            connection.bind((f"127.0.0.{2 + number // _OF_ONE_ADDRESS}", 0))
            connection.setblocking(False)
            connection.connect_ex((host, int(port)))
            self.open.append(connection)

    def say(self, what: Callable[[int], bytes]) -> None:
        """To each that can be written to; what is closed or full stays unsaid."""
        for number, connection in enumerate(self.open):
            try:
                connection.send(what(number))
            except OSError:
                continue

    def close(self) -> None:
        for connection in self.open:
            connection.close()

    def left(self) -> int:
        """How many the other side has not closed."""
        self.open = [connection for connection in self.open if not _is_closed(connection)]
        return len(self.open)


def _is_closed(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLHUP | select.POLLERR)
    if not poll.poll(0):
        return False
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True


def _crowd_row(
    trial: Trial, protection: str, says: Callable[..., bytes], limit_s: float
) -> Outcome:
    """As many as asked for, more than there are descriptors; `says(number, round)` each second.

    The kernel's queue may hold some that the worker never sees, so its descriptors are counted.
    """
    with _without(trial, protection, "few_descriptors") as target:
        free, cost = descriptors(target.worker) + 8, Cost(target.worker)
        crowd, began, most = Crowd(target.frames, trial.times), time.monotonic(), 0
        looks: list[int] = []
        while looks[-2:] != [0, 0] and time.monotonic() < began + limit_s + _SPARE_S:
            crowd.say(partial(says, turn=len(looks)))
            select_for(1.0)
            cost.look()
            taken = descriptors(target.worker)
            most = max(most, taken)
            looks.append(max(0, taken - free) if len(looks) > 1 else taken)
        took_s = time.monotonic() - began
        assert most > free + trial.times // 4, "the attack did not arrive"
        assert looks[-1] == 0, f"{looks[-1]} descriptors are still taken after {took_s:.0f} s"
        good_s = target.check_good_camera()
        crowd.close()
        return Outcome(
            recovery_s=round(good_s, 2),
            wrong=_too_much(cost, cpu_s=10.0 + 0.02 * trial.times),
            detail=f"up to {most} of {DESCRIPTORS} descriptors taken, free again after "
            f"{took_s:.0f} s; {_cost(cost)}",
        )


def _too_much(cost: Cost, cpu_s: float, most_mb: float = MOST_MB) -> str:
    cost.look()
    if cost.peak_mb > most_mb:
        return f"grew by {cost.peak_mb:.0f} MB, {most_mb:.0f} allowed"
    return f"took {cost.cpu_s:.1f} s of processor" if cost.cpu_s > cpu_s else ""


def _cost(cost: Cost) -> str:
    return f"at most {cost.peak_mb:.0f} MB and {cost.cpu_s:.1f} s of processor"


def silent(trial: Trial) -> Outcome:
    def nothing(number: int, turn: int) -> bytes:
        return b""

    return _crowd_row(trial, "handshake_limit", nothing, HANDSHAKE_MS / 1000)


def byte_by_byte(trial: Trial) -> Outcome:
    def one_byte(number: int, turn: int) -> bytes:
        return zmtp.GREETING[turn : turn + 1]

    return _crowd_row(trial, "handshake_limit", one_byte, HANDSHAKE_MS / 1000)


def half_a_greeting(trial: Trial) -> Outcome:
    def half(number: int, turn: int) -> bytes:
        return b"" if turn else zmtp.GREETING[: 1 + number % 63]

    return _crowd_row(trial, "handshake_limit", half, HANDSHAKE_MS / 1000)


def mute(trial: Trial) -> Outcome:
    def greet(number: int, turn: int) -> bytes:
        return b"" if turn else zmtp.GREETING + zmtp.ready()

    # A connection that found no descriptor waits in the kernel's queue for its turn.
    return _crowd_row(trial, "mute_limit", greet, 3 * MUTE_MS / 1000)


def mute_for_two_seconds(trial: Trial) -> Outcome:
    """The short form: as `mute`, with a limit of two seconds instead of fifteen."""
    with a_target(trial.folder, "short_mute_limit") as target:
        crowd = Crowd(target.frames, trial.times)
        select_for(0.3)
        crowd.say(lambda _: zmtp.GREETING + zmtp.ready())
        until(lambda: not crowd.left(), "mute connections are cut")
        until(lambda: target.ended("mute") == trial.times, "each is counted")
        return Outcome(recovery_s=target.check_good_camera())


def _known(target: Target) -> zmtp.Peer:
    """One that has said something whole, and so is no stranger any more."""
    before = target.worker_refused("malformed")
    peer = zmtp.Peer(target.frames).shake_hands()
    peer.send(b"well met")
    until(lambda: target.worker_refused("malformed") > before, "it is heard")
    return peer


def _endless(target: Target, trial: Trial, part: bytes, most_mb: float) -> Outcome:
    cost, sent = Cost(target.worker), 0
    most_bytes = 40 * MAX_UNFINISHED_BYTES_IN_ALL
    for _ in range(trial.times):
        with _known(target) as peer:
            while peer.say(part) and sent < most_bytes * trial.times:
                sent += len(part)
                cost.look()
                assert cost.peak_mb <= most_mb, f"grew by {cost.peak_mb:.0f} MB"
    assert sent < most_bytes * trial.times, "it was never cut"
    until(lambda: target.ended("endless") == trial.times, "each is counted")
    good_s = target.check_good_camera()
    detail = f"cut after {sent / trial.times / (1 << 20):.0f} MB on average; {_cost(cost)}"
    return Outcome(recovery_s=round(good_s, 2), wrong=_too_much(cost, 60.0, most_mb), detail=detail)


def endless_message(trial: Trial) -> Outcome:
    with _without(trial, "unfinished_limit") as target:
        part = zmtp.frame(bytes(1 << 20), more=True)
        # What comes until the next look comes on top: a gigabyte a second on loopback.
        return _endless(target, trial, part, 1000.0)


def endless_small_parts(trial: Trial) -> Outcome:
    with _without(trial, "unfinished_limit") as target:
        return _endless(target, trial, zmtp.frame(b"x", more=True) * 300_000, MOST_MB_OF_PARTS)


def _large_frames(trial: Trial, *, keyed: bool) -> Outcome:
    """Greetings, then as much as goes of the largest frame there may be; to either component."""
    peaks = {}
    without = "" if trial.protected else "both:strangers"
    with a_target(trial.folder, without, keyed=keyed) as target:
        target.check_good_camera()
        for component, address, largest in (
            (target.worker, target.frames, MAX_JPEG_BYTES),
            (target.aggregator, target.reports, MAX_REPORT_BYTES),
        ):
            cost = Cost(component)
            _pour(Crowd(address, trial.times), cost, largest - 1, keyed)
            until(lambda cost=cost: cost.now_mb < MOST_MB_LEFT, "memory is given back", 10.0)  # type: ignore[misc]
            peaks[component.name] = cost.peak_mb
        crowd = sum(target.ended("crowd", name) for name in peaks)
        good_s = target.check_good_camera()
    grown = ", ".join(f"the {name} by {peak:.0f} MB at most" for name, peak in peaks.items())
    wrong = f"grew: {grown}" if max(peaks.values()) > MOST_MB_OF_STRANGERS else ""
    return Outcome(
        recovery_s=round(good_s, 2), wrong=wrong, detail=f"{crowd:.0f} cut; grew: {grown}"
    )


def _pour(crowd: Crowd, cost: Cost, largest: int, keyed: bool) -> None:
    start = zmtp.greeting(b"CURVE") if keyed else zmtp.GREETING + zmtp.ready()
    some, end = bytes(1 << 18), time.monotonic() + _POUR_S
    crowd.say(lambda _: start + zmtp.header(largest))
    while time.monotonic() < end:
        crowd.say(lambda _: some)
        cost.look()
    crowd.close()


def large_frames(trial: Trial) -> Outcome:
    return _large_frames(trial, keyed=False)


def large_frames_keyed(trial: Trial) -> Outcome:
    return _large_frames(trial, keyed=True)


def oversize(trial: Trial) -> Outcome:
    """A part one byte larger than allowed ends the connection; as large as allowed does not."""
    with _without(trial, "message_size") as target:
        cost, header = Cost(target.worker), b"RM\x01F\x80"
        for more, cut in ((-1, False), (0, False), (1, True), (1 << 27, True)):
            with _known(target) as peer:
                before = target.worker_refused("malformed")
                peer.say(zmtp.frame(header, more=True))
                peer.send(bytes(MAX_JPEG_BYTES + more))
                until(
                    lambda peer=peer, before=before: (
                        peer.is_closed()  # type: ignore[misc]
                        or target.worker_refused("malformed") > before
                    ),
                    "it is refused or cut",
                )
                assert peer.is_closed() == cut, f"{more} bytes more: cut is {not cut}"
            cost.look()
        return Outcome(
            recovery_s=round(target.check_good_camera(), 2),
            wrong=_too_much(cost, 30.0),
            detail=_cost(cost),
        )


def slow_readers_of_metrics(trial: Trial) -> Outcome:
    """Silent connections to the metrics' port: it answers others, and the worker works."""
    with _without(trial, "") as target:
        port = target._ports["worker"]
        before, cost = descriptors(target.worker), Cost(target.worker)
        crowd = Crowd(f"127.0.0.1:{port}", trial.times)
        crowd.say(lambda number: b"GET /met"[: number % 8])
        target.metrics()
        for byte in b"GET / HTTP/1.0\r\n":
            crowd.say(lambda _, byte=byte: bytes([byte]))  # type: ignore[misc]
            select_for(1.0)
        good_s = target.check_good_camera()
        until(lambda: descriptors(target.worker) <= before + 8, "all are closed", 40.0)
        crowd.close()
        wrong = _too_much(cost.look(), 30.0)
        return Outcome(recovery_s=round(good_s, 2), wrong=wrong, detail=_cost(cost))


_GROUP: Final = "Connections"
ROWS: Final = (
    Row(
        "silent-connections", "connections that say nothing at all", silent, _GROUP,
        times=1000, quick_times=600, control="HANDSHAKE_IVL", control_times=600,
        recover_within_s=10.0, timeout_s=120,
    ),
    Row(
        "byte-by-byte", "handshakes of a byte a second", byte_by_byte, _GROUP,
        times=1000, quick_times=600, control="HANDSHAKE_IVL", control_times=600,
        recover_within_s=10.0, timeout_s=120,
    ),
    Row(
        "half-greetings", "greetings that stop after 1 to 63 bytes", half_a_greeting, _GROUP,
        times=1000, quick_times=600, control="HANDSHAKE_IVL", control_times=600,
        recover_within_s=10.0, timeout_s=120,
    ),
    Row(
        "mute-connections", "connections that are mute after their handshake", mute, _GROUP,
        times=1000, quick_times=600, control="the limit on silence", control_times=600,
        recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "endless-message", "a message whose parts never end, of a megabyte each", endless_message,
        _GROUP, times=5, quick_times=1, control="the limit on unfinished messages",
        control_times=1, recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "endless-small-parts", "a message whose parts never end, of a byte each",
        endless_small_parts, _GROUP, times=3, quick_times=1,
        control="the limit on unfinished messages", control_times=1,
        recover_within_s=10.0, timeout_s=180,
    ),
    Row(
        "strangers-large-frames", "strangers that begin the largest frames there may be",
        large_frames, _GROUP, times=400, quick_times=400, control="the bounds on strangers",
        control_times=400, control_tries=3, recover_within_s=10.0, timeout_s=120,
    ),
    Row(
        "strangers-large-frames-keys", "the same where the site has keys", large_frames_keyed,
        _GROUP, times=400, quick_times=400, control="the bounds on strangers", control_times=400,
        control_tries=3, recover_within_s=10.0, timeout_s=120,
    ),
    Row(
        "oversize", "parts one byte below, at and above the largest, and 128 MB", oversize, _GROUP,
        times=4, quick_times=4, control="MAXMSGSIZE", recover_within_s=10.0, timeout_s=120,
    ),
    Row(
        "metrics-loris", "silent and half-written requests to the metrics' port",
        slow_readers_of_metrics, _GROUP, times=300, quick_times=50, recover_within_s=10.0,
        timeout_s=120,
    ),
)  # fmt: skip
