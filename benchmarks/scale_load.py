"""Simulated workers that report the results of simulated cameras to a real aggregator."""

import random
import time
from typing import Final

import zmq

from benchmarks.scale_model import REPORTS_EVERY_MS, Site
from benchmarks.scale_units import result
from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Report, TicketedResult


class Load:
    """So many workers, each with its share of the cameras, one report every 20 ms at most."""

    _AGE_MS: Final = 50.0

    def __init__(self, address: str, site: Site, workers: int) -> None:
        self._site = site
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._sockets = [context.socket(zmq.DEALER) for _ in range(workers)]
        for socket in self._sockets:
            socket.connect(address)
        rng = random.Random(1)
        self._made = [
            result(rng, f"room-{camera % site.rooms:04d}", f"cam-{camera:05d}", 0)
            for camera in range(site.cameras)
        ]
        self._order = list(range(site.cameras))
        rng.shuffle(self._order)
        self._sent = 0
        self._settled = 0

    def rest(self, seconds: float) -> None:
        """Nothing comes."""
        time.sleep(seconds)

    def run(self, seconds: float) -> None:
        """Each camera's results come evenly over time, the cameras' one after the other."""
        began_s, first, step_s = time.monotonic(), self._sent, REPORTS_EVERY_MS / 1000
        steps = round(seconds / step_s)
        for step in range(1, steps + 1):
            due = first + round(step * step_s * self._site.results_hz)
            self._report(due)
            self._take_acks()
            time.sleep(max(0.0, began_s + step * step_s - time.monotonic()))
        assert self._settled > self._sent * 0.8, "the aggregator does not keep up"

    def _report(self, due: int) -> None:
        batches: dict[int, list[TicketedResult]] = {}
        for number in range(self._sent, due):
            camera = self._order[number % self._site.cameras]
            one = self._made[camera]
            seq = number // self._site.cameras
            fresh = type(one)(
                one.camera, one.room, one.session_id, seq, one.interval_us, one.model, one.faces
            )
            row = TicketedResult(number, self._AGE_MS, fresh)
            batches.setdefault(camera % len(self._sockets), []).append(row)
        for worker, rows in batches.items():
            report = Report(f"{worker:016x}", "", boot_ms(), "bench", results=tuple(rows))
            self._sockets[worker].send(wire.encode_report(report))
        self._sent = due

    def _take_acks(self) -> None:
        for socket in self._sockets:
            while socket.poll(0):
                self._settled += len(wire.decode_ack(socket.recv()).committed)

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(0)
