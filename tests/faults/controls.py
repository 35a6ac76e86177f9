"""Each protection, switched off: Python that the processes of a control run first."""

from typing import Final

from tests.faults.plant import AGGREGATOR, CAMERA, WORKER

# Every result is new to the script, whatever its bit says.
NO_SEEN_BITS: Final = {
    AGGREGATOR: """
from importlib import resources
from pathlib import Path
_read = Path.read_text
def _unseeing(self, *args, **kwargs):
    text = _read(self, *args, **kwargs)
    if self.name == "count_once.lua":
        assert "redis.call('GETBIT', KEYS[first_seen + row[1]], row[2]) == 1" in text
        text = text.replace("redis.call('GETBIT', KEYS[first_seen + row[1]], row[2]) == 1", "false")
        text = text.replace("taken[bit] or false", "false")
    return text
Path.read_text = _unseeing
"""
}

# Results are acknowledged when they come, and written half a second later.
ACKNOWLEDGED_BEFORE_COMMIT: Final = {
    AGGREGATOR: """
import time
from roommood.aggregator import aggregator as module
from roommood.aggregator.counting.outcomes import CommitReport, Outcome
_commit = module.Store.commit
_late = []
def _behind(self, batch, now_ms):
    _late.append((time.monotonic() + 0.5, list(batch)))
    while _late and _late[0][0] <= time.monotonic():
        _commit(self, _late.pop(0)[1], now_ms)
    return CommitReport(tuple(Outcome.COMMITTED for _ in batch), {})
module.Store.commit = _behind
"""
}

# What is sent to a worker that is gone waits for its successor, credit outlives a connection, and
# a frame before Hello is welcome.
QUEUES_FOR_THE_DEAD: Final = {
    CAMERA: """
import zmq
from roommood.camera_node import publisher, window
_set = zmq.Socket.setsockopt
def _queueing(self, option, value):
    return _set(self, option, 0 if option == zmq.IMMEDIATE else value)
zmq.Socket.setsockopt = _queueing
publisher.sockets.is_writable = lambda socket: True
def _available(self, now_ms):
    return 1 if self.worker_id and self.unsettled < 16 else 0
window.CreditWindow.available = _available
""",
    WORKER: """
from roommood.inference_worker.serving import intake
from roommood.shared.protocol.messages import Hello
_take = intake.Intake._take_frame
def _welcome(self, routing_id, holder, frame):
    if self.sessions.find(routing_id) is None:
        hello = Hello(frame.camera, frame.room, frame.session_id, 99, 0, 0, 1.0, 640, 480, 0, 0.0)
        self.sessions.hello(routing_id, hello, intake.boot_ms())
    _take(self, routing_id, holder, frame)
intake.Intake._take_frame = _welcome
intake.Intake._why_not = lambda self, session, frame, credited: None
""",
}

# A camera that starts again numbers its frames as it did before.
SAME_BOOT_ID: Final = {
    CAMERA: """
from roommood.camera_node import node
node.new_id = lambda: "0123456789abcdef"
"""
}

# A connection whose own address is gone is left to heartbeats: seconds.
ADDRESSES_ARE_NOT_LOOKED_AT: Final = {
    CAMERA: """
import roommood.shared.transport.tcp
roommood.shared.transport.tcp.is_of_this_machine = lambda address: True
"""
}

# A peer that falls silent is never found out.
NO_HEARTBEATS: Final = dict.fromkeys(
    (CAMERA, WORKER),
    """
import zmq
_set = zmq.Socket.setsockopt
def _deaf(self, option, value):
    if option in (zmq.HEARTBEAT_IVL, zmq.HEARTBEAT_TTL, zmq.HEARTBEAT_TIMEOUT):
        return None
    return _set(self, option, value)
zmq.Socket.setsockopt = _deaf
""",
)

# Workers take whatever comes, and ask for more than they can do.
NO_CREDIT: Final = {
    WORKER: """
from roommood.inference_worker.serving import credit, ready_queue, sessions
credit.CreditControl.may_grant = lambda self, fetch_ms, now_ms, soon: True
credit.CreditControl.may_grow = lambda self, now_ms, soon: False
def _put(self, session):
    if session.account.in_flight < 64:
        self._ready.setdefault(session.key, session)
ready_queue.ReadyQueue.put = _put
_grant = sessions.SessionTable.grant
def _grant_more(self, session, *when):
    _grant(self, session, *when)
    self.requeue(session)
sessions.SessionTable.grant = _grant_more
"""
}

# However old a frame is, it is analysed.
OLD_FRAMES_ARE_TAKEN: Final = {
    WORKER: """
from roommood.inference_worker.serving import compute
_init = compute.Compute.__init__
def _patient(self, *args, **kwargs):
    kwargs["max_age_ms"] = 1e9
    _init(self, *args, **kwargs)
compute.Compute.__init__ = _patient
"""
}

# A camera that was asked is waited for, however long it takes.
NO_OVERCOMMIT: Final = {
    WORKER: """
from roommood.inference_worker.serving import credit, sessions
credit.CreditControl.may_grow = lambda self, now_ms, soon: False
sessions.SessionTable.sweep = lambda self, now_ms: []
"""
}

# libzmq looks names up itself, in the thread that serves all connections.
NAMES_ARE_GIVEN_TO_LIBZMQ: Final = dict.fromkeys(
    (CAMERA, WORKER),
    """
from roommood.shared.transport import resolver
resolver.is_number = lambda address: True
""",
)

# redis-py asks the system's resolver, in the thread that has everything else to do.
REDIS_NAMES_ARE_WAITED_FOR: Final = {
    AGGREGATOR: """
from roommood.aggregator.redis import connections
connections.bounded = lambda kind: kind
from roommood.aggregator.redis import client
client.bounded = lambda kind: kind
"""
}

# A name leads for ever where it led first.
NAMES_ARE_LOOKED_UP_ONCE: Final = {
    CAMERA: """
from roommood.shared.transport import client
client.ClientConnection._pause_ms = lambda self, now_ms: float("inf")
"""
}

# What was never reached is never mentioned.
NOBODY_IS_MISSED: Final = dict.fromkeys(
    (CAMERA, WORKER),
    """
from roommood.shared.transport import client
client.ClientConnection._find_out = lambda self, now_ms: None
""",
)

# A worker that listens at all interfaces is advertised where the default route is, else nowhere.
ADVERTISED_BY_DEFAULT_ROUTE_ONLY: Final = {
    WORKER: """
from roommood.shared.transport import advertising
advertising._best = lambda default, reached_at, dialled_from: default
"""
}
