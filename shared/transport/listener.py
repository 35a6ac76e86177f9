"""Where others come in: a bound socket, who is let through, and what happens to the rest."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import zmq

from roommood.shared.process.metrics import Health, Sample
from roommood.shared.process.settings import AggregatorSettings, WorkerSettings
from roommood.shared.protocol.limits import MAX_JPEG_BYTES
from roommood.shared.security.allow_list import AccessPolicy
from roommood.shared.security.keys import KeyPair
from roommood.shared.security.zap import Authenticator
from roommood.shared.transport.connection_monitor import ConnectionMonitor
from roommood.shared.transport.sockets import Router, close

_UNBOUNDED: Final = "strangers are bounded no more: their thread has ended; restart"


class Bind(Protocol):
    """`shared.transport.sockets.bind_frames` or `bind_reports`."""

    def __call__(
        self,
        context: zmq.Context[Router],
        address: str,
        *,
        insecure: bool,
        keys: KeyPair | None = None,
    ) -> Router: ...


class Listener:
    """The bound socket of a component, as `router`, with an authenticator where it has keys.

    Register `router` with the poller for reading, and tell `connections` of each message (see
    `receive_from`). Those that stay mute or end no message are cut at the next `tick`, for which
    `wake` asks from another thread; without keys those, too, whose first message takes more than
    `first` bytes. Raises ConfigError if it cannot be bound.
    """

    def __init__(
        self,
        context: zmq.Context[Router],
        bind: Bind,
        settings: WorkerSettings | AggregatorSettings,
        keys: KeyPair | None,
        policy: AccessPolicy | None,
        first: int = MAX_JPEG_BYTES,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._policy = policy
        self._authenticator = Authenticator(context, policy) if policy is not None else None
        try:
            self.router = bind(context, settings.bind, insecure=settings.insecure, keys=keys)
        except BaseException:
            self._stop_authenticator()
            raise
        self._monitor = ConnectionMonitor(self.router, first, wake)
        self.connections = self._monitor.connections

    def tick(self, health: Health) -> None:
        """Ends who is mute or endless; not ready while the authenticator is dead or hangs, or
        strangers are bounded no more. To be called after messages were received."""
        self._monitor.tick()
        health.fail("connections", "" if self._monitor.alive else _UNBOUNDED)
        if self._authenticator is None or self._policy is None:
            return
        health.fail("authenticator", self._authenticator.fault)
        if not self._authenticator.alive:
            # Who is revoked is still evicted, though nobody new can be let in. Not so while it
            # hangs: what holds it up would hold up this thread as well.
            self._policy.refresh()

    def samples(self, component: str) -> Iterator[Sample]:
        """Metrics of who did not get in, and whether the list of those who may can be read."""
        yield from self._monitor.samples(component)
        if self._policy is not None:
            name = f"roommood_{component}_allow_list_readable"
            yield Sample(name, "1 if the list as it is now is in force.", not self._policy.problem)

    def close(self, linger_ms: int) -> None:
        """Closes all; what is queued has `linger_ms` to leave."""
        self._monitor.stop()
        close(self.router, linger_ms=linger_ms)
        self._stop_authenticator()

    def _stop_authenticator(self) -> None:
        if self._authenticator is not None:
            self._authenticator.stop()
