"""redis-py's connections, except that a host name holds nobody up for long.

redis-py asks the system's resolver in the thread that waits for Redis, without a bound: half a
minute for a name that no server answers.
"""

import functools
import ssl
from typing import Any, Final

from roommood.shared.transport.addresses import host_of
from roommood.shared.transport.resolver import look_up_within

# Seconds until a silent Redis, or name server, counts as away.
TIMEOUT_S: Final = 2.0


@functools.cache
def bounded(kind: type[Any]) -> type[Any]:
    """This kind of connection, with names looked up beside it, for at most TIMEOUT_S.

    The name stays for messages and for the certificate of TLS.
    """

    class Bounded(kind):  # type: ignore[misc]
        host: str
        _name = ""

        def _connect(self) -> Any:
            self._name = self.host
            try:
                return self._connect_to(*_numbers(self._name, self.port))
            finally:
                self.host = self._name

        def _connect_to(self, number: str, *others: str) -> Any:
            self.host = number
            try:
                return super()._connect()
            except ssl.SSLError:
                raise  # it is there, and not trusted
            except OSError:
                if not others:
                    raise
            return self._connect_to(*others)

        def _wrap_socket_with_ssl(self, sock: Any) -> Any:
            number, self.host = self.host, self._name
            try:
                return super()._wrap_socket_with_ssl(sock)
            finally:
                self.host = number

    return Bounded


def _numbers(host: str, port: int) -> tuple[str, ...]:
    """Raises OSError where the name leads nowhere."""
    answer = look_up_within(f"tcp://{f'[{host}]' if ':' in host else host}:{port}", TIMEOUT_S)
    if not answer.addresses:
        raise OSError(answer.why)
    return tuple(map(host_of, answer.addresses))
