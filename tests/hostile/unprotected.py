"""A component with one protection switched off, for the controls: MODULE WHAT OPTIONS...

Address space is limited, so that what the protection is there to prevent ends this process and
not the machine.
"""

import importlib
import resource
import sys
from collections.abc import Callable
from typing import Any, Final

MEMORY_BYTES: Final = 3 << 30
DESCRIPTORS: Final = 512


def set_in(module: str, **values: Any) -> None:
    target = importlib.import_module(module)
    for name, value in values.items():
        assert hasattr(target, name), f"{module} has no {name}"
        setattr(target, name, value)


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def few_descriptors() -> None:
    """Nothing off, but so few descriptors that an attack on them is short."""
    _few_descriptors()


def handshake_limit() -> None:
    set_in("roommood.shared.transport.sockets", HANDSHAKE_MS=0)
    set_in("roommood.shared.transport.connections", MUTE_MS=float("inf"))
    _few_descriptors()


def mute_limit() -> None:
    set_in("roommood.shared.transport.connections", MUTE_MS=float("inf"))
    _few_descriptors()


def short_mute_limit() -> None:
    """Nothing off, but two seconds of silence instead of fifteen."""
    set_in("roommood.shared.transport.connections", MUTE_MS=2_000.0)


def unfinished_limit() -> None:
    huge = 1 << 60
    set_in(
        "roommood.shared.transport.connections",
        MAX_UNFINISHED_BYTES=huge,
        MAX_UNFINISHED_BYTES_IN_ALL=huge,
    )


def strangers() -> None:
    huge = 1 << 60
    unbounded = ("MAX_HANDSHAKE_BYTES", "MAX_UNSHAKEN_BYTES_IN_ALL", "MAX_UNSHAKEN_OF_ADDRESS")
    set_in("roommood.shared.transport.strangers", **dict.fromkeys(unbounded, huge))
    unfinished_limit()


def message_size() -> None:
    set_in("roommood.shared.transport.sockets", MAX_JPEG_BYTES=-1, MAX_REPORT_BYTES=-1)


def credit_check() -> None:
    from roommood.inference_worker.serving.sessions import SessionTable

    set_in("roommood.inference_worker.serving.intake", SessionTable=SessionTable)
    received = SessionTable.receive
    SessionTable.receive = lambda *given: received(*given) or True  # type: ignore[method-assign]


def one_link_per_connection() -> None:
    from roommood.inference_worker.serving.sessions import SessionTable

    hello = SessionTable.hello

    def forgetful(self: SessionTable, routing_id: bytes, *rest: Any) -> Any:
        self._by_routing.pop(routing_id, None)
        return hello(self, routing_id, *rest)

    SessionTable.hello = forgetful  # type: ignore[assignment, method-assign]


def turn_limit() -> None:
    set_in("roommood.aggregator.aggregator", _TICK_MS=float("inf"))


def new_bitmaps() -> None:
    from roommood.aggregator.counting.newcomers import Rate

    endless = Rate(1 << 60, 1.0, 1 << 20)
    set_in("roommood.aggregator.counting.admission", BITMAPS=endless, BITMAPS_IN_ALL=endless)


def whatever_is_new() -> None:
    from roommood.aggregator.counting.newcomers import Rate

    rates = ("BITMAPS", "BITMAPS_IN_ALL", "ROOMS", "SENDERS", "MODELS", "WORKERS", "HEALTH")
    endless = Rate(1 << 60, 1.0, 1 << 20)
    set_in("roommood.aggregator.counting.admission", **dict.fromkeys(rates, endless))


def jpeg_limits() -> None:
    set_in("roommood.shared.protocol.jpeg", MAX_JPEG_SCANS=1 << 30, MAX_PICTURE_PIXELS=1 << 40)


OFF: Final[dict[str, Callable[[], None]]] = {
    switch_off.__name__: switch_off
    for switch_off in (
        few_descriptors, handshake_limit, mute_limit, short_mute_limit, unfinished_limit, strangers,
        message_size, credit_check, one_link_per_connection, turn_limit, new_bitmaps,
        whatever_is_new, jpeg_limits,
    )
}  # fmt: skip


def main() -> None:
    module, what, *options = sys.argv[1:]
    sys.argv[1:] = options
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    OFF[what]()
    importlib.import_module(module).main()
