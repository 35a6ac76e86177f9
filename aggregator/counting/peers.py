"""The workers that report to an aggregator: at most so many, and one to a connection."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
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
    met_ms: float
    heard_ms: float
    clock: TransitClock


class Peers:
    """Who reports here. Time is an argument.

    Whose results were counted goes before whoever only says that it is there: neither is pushed
    out by any number of names that somebody makes up.
    """

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._routed: dict[bytes, str] = {}
        self._health: dict[str, Report] = {}
        # Addresses of workers of which a result was counted; a worker has a new id at each start.
        self._proved: OrderedDict[str, None] = OrderedDict()
        self._clocks = TransitClocks()
        self._log = ConnectionLog("worker")

    def __len__(self) -> int:
        return len(self._peers)

    def meet(self, routing_id: bytes, report: Report, now_ms: float) -> Peer:
        """Takes in who sent a report, over which connection; a worker that leaves is forgotten."""
        worker_id = report.worker_id
        if self._routed.get(routing_id, worker_id) != worker_id:
            # A connection is one worker's; else one peer could fill the table.
            self._health.pop(self._routed[routing_id], None)
            self._forget(self._routed[routing_id])
        peer = self._peers.get(worker_id) or self._add(worker_id, routing_id, now_ms)
        self._routed.pop(peer.routing_id, None)
        self._routed[routing_id] = worker_id
        peer.routing_id, peer.address, peer.heard_ms = routing_id, report.address, now_ms
        if report.health and (worker_id in self._health or len(self._health) < MAX_WORKERS):
            self._health[worker_id] = report
        if report.leaving:
            self._drop(worker_id)
            self._log.left(worker_id)  # its report comes again until it is acknowledged
        else:
            self._log.back(worker_id)
        return peer

    def excuse(self, absence_ms: float) -> None:
        """Nobody was heard for so long because nobody listened."""
        for peer in self._peers.values():
            peer.heard_ms += absence_ms

    def drop_silent(self, now_ms: float) -> None:
        for worker_id, peer in list(self._peers.items()):
            if now_ms - peer.heard_ms > WORKER_SILENT_MS:
                self._drop(worker_id)
                self._log.lost(worker_id, "silent")

    def counted(self, routing_id: bytes) -> None:
        """A result that came over this connection was counted."""
        peer = self._peers.get(self._routed.get(routing_id, ""))
        if peer is not None and peer.address:
            self._proved[peer.address] = None
            self._proved.move_to_end(peer.address)
            if len(self._proved) > MAX_WORKERS:
                self._proved.popitem(last=False)

    def addresses(self) -> tuple[str, ...]:
        """Where live workers can be reached, for Acks."""
        ranked = sorted(self._peers.values(), key=lambda peer: (self._is_new(peer), peer.met_ms))
        addresses = dict.fromkeys(peer.address for peer in ranked if peer.address)
        return tuple(sorted(islice(addresses, MAX_ADDRESSES)))

    def _is_new(self, peer: Peer) -> bool:
        return peer.address not in self._proved

    def take_health(self) -> list[Report]:
        """The reports of health that came since this was last asked."""
        reports, self._health = self._health, {}
        return list(reports.values())

    def _add(self, worker_id: str, routing_id: bytes, now_ms: float) -> Peer:
        if len(self._peers) >= MAX_WORKERS:
            self._forget(min(self._peers, key=self._worth))
        peer = Peer(routing_id, "", now_ms, 0.0, self._clocks.of(worker_id))
        self._peers[worker_id] = peer
        return peer

    def _worth(self, worker_id: str) -> tuple[bool, float]:
        peer = self._peers[worker_id]
        return not self._is_new(peer), peer.heard_ms

    def _drop(self, worker_id: str) -> None:
        peer = self._peers.pop(worker_id)
        self._clocks.keep(worker_id, peer.clock)
        self._routed.pop(peer.routing_id, None)

    def _forget(self, worker_id: str) -> None:
        self._drop(worker_id)
        self._log.forget(worker_id)
