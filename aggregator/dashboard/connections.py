"""Connections to the page that ask for nothing are cut, and one address holds only so many: half a
request, written slowly, would otherwise keep a place from everybody else."""

import asyncio
from collections import Counter
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

# Seconds in which a request must be there, whole.
PATIENCE_S: Final = 10.0
# A browser opens six; several people may share an address, and a proxy in front shares its own.
MOST_OF_ONE_ADDRESS: Final = 128
# Seconds for which a proxy's connection may rest between two requests. Longer than proxies let them
# (Caddy: 120): one that is cut as the next request sets out makes the proxy answer 502.
PROXY_RESTS_S: Final = 150
_LOCAL: Final = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class Places:
    """How many connections each address holds at a server."""

    def __init__(self, behind_proxy: bool) -> None:
        self._behind_proxy = behind_proxy
        self._held: Counter[str] = Counter()

    def protocol(self) -> Any:
        """What makes uvicorn's protocols, which share these places."""
        return partial(PatientProtocol, places=self)

    def take(self, address: str) -> bool:
        """Whether the address may have one more; it is counted in any case."""
        self._held[address] += 1
        return address in _LOCAL or self._held[address] <= MOST_OF_ONE_ADDRESS

    def is_proxy(self, address: str) -> bool:
        return self._behind_proxy and address in _LOCAL

    def give_back(self, address: str) -> None:
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Uvicorn's protocol, with an end to its patience."""

    def __init__(self, *args: Any, places: Places, **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = places
        self._clock: asyncio.TimerHandle | None = None
        self._address = ""
        self._rests_s = PATIENCE_S

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername") or ("",)
        self._address = str(peer[0])
        if not self._places.take(self._address):
            transport.close()
        if self._places.is_proxy(self._address):
            self.timeout_keep_alive = self._rests_s = PROXY_RESTS_S
        self._wait(PATIENCE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, *args: Any) -> None:
        self._let_go()
        super().handle_websocket_upgrade(*args)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait(self._rests_s)

    def _wait(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = self.loop.call_later(seconds, self._cut_if_idle)

    def _cut_if_idle(self) -> None:
        """An answer may take as long as it likes; what is asked may not."""
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        if not is_answering:
            self.transport.close()

    def _let_go(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._address:
            self._places.give_back(self._address)
            self._address = ""
