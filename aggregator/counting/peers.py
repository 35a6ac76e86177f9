"""The workers that report to an aggregator: at most so many, and one to a connection."""

from dataclasses import dataclass
from typing import Final

from roommood.shared.clock import TransitClock, TransitClocks
from roommood.shared.process.runtime import ConnectionLog
from roommood.shared.protocol.limits import MAX_ADDRESSES, WORKER_SILENT_MS
from roommood.shared.protocol.messages import Report

# Workers remembered; the one silent for longest is forgotten beyond it.
MAX_WORKERS: Final = 1_024


@dataclass(slots=True)
class Peer:
    """A worker, and the connection over which it was heard last."""

    routing_id: bytes
    address: str
    heard_ms: float
    clock: TransitClock


class Peers:
    """Who reports here. Time is an argument."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._routed: dict[bytes, str] = {}
        self._health: dict[str, Report] = {}
        self._clocks = TransitClocks()
        self._told = ConnectionLog("worker")

    def __len__(self) -> int:
        return len(self._peers)

    def meet(self, routing_id: bytes, report: Report, now_ms: float) -> Peer:
        """Takes in who sent a report, over which connection; a worker that leaves is forgotten."""
        worker_id = report.worker_id
        if self._routed.get(routing_id, worker_id) != worker_id:
            # A connection is one worker's; else one peer could fill the table.
            self._health.pop(self._routed[routing_id], None)
            self._forget(self._routed[routing_id])
        peer = self._peers.get(worker_id) or self._add(worker_id, routing_id)
        self._routed.pop(peer.routing_id, None)
        self._routed[routing_id] = worker_id
        peer.routing_id, peer.address, peer.heard_ms = routing_id, report.address, now_ms
        if report.health:
            self._health[worker_id] = report
        if report.leaving:
            self._drop(worker_id)
            self._told.left(worker_id)  # its report comes again until it is acknowledged
        else:
            self._told.back(worker_id)
        return peer

    def excuse(self, absence_ms: float) -> None:
        """Nobody was heard for so long because nobody listened."""
        for peer in self._peers.values():
            peer.heard_ms += absence_ms

    def drop_silent(self, now_ms: float) -> None:
        for worker_id, peer in list(self._peers.items()):
            if now_ms - peer.heard_ms > WORKER_SILENT_MS:
                self._drop(worker_id)
                self._told.lost(worker_id, "silent")

    def addresses(self) -> tuple[str, ...]:
        """Where live workers can be reached, for Acks."""
        addresses = {peer.address for peer in self._peers.values()}
        return tuple(sorted(addresses - {""}))[:MAX_ADDRESSES]

    def take_health(self) -> list[Report]:
        """The reports of health that came since this was last asked."""
        reports, self._health = self._health, {}
        return list(reports.values())

    def _add(self, worker_id: str, routing_id: bytes) -> Peer:
        if len(self._peers) >= MAX_WORKERS:
            self._forget(min(self._peers, key=lambda one: self._peers[one].heard_ms))
        peer = self._peers[worker_id] = Peer(routing_id, "", 0.0, self._clocks.of(worker_id))
        return peer

    def _drop(self, worker_id: str) -> None:
        peer = self._peers.pop(worker_id)
        self._clocks.keep(worker_id, peer.clock)
        self._routed.pop(peer.routing_id, None)

    def _forget(self, worker_id: str) -> None:
        self._drop(worker_id)
        self._told.forget(worker_id)
