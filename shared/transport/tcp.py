"""What the kernel knows of a TCP connection that libzmq holds, by its file descriptor.

The descriptor stays libzmq's: nothing here closes it.
"""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, TypeVar

# struct tcp_info of linux/tcp.h, since Linux 4.1: tcpi_bytes_acked and _received, 64 bits.
_BYTES_ACKED_AT: Final = 120
_BYTES_RECEIVED_AT: Final = 128
_INFO_BYTES: Final = 136
_COUNTER: Final = struct.Struct("=Q")
# As plain numbers: an enum's members are slow to look up. No system but Linux has TCP_INFO.
_FAMILY, _STREAM = int(socket.AF_INET6), int(socket.SOCK_STREAM)
_TCP, _INFO = int(socket.IPPROTO_TCP), int(getattr(socket, "TCP_INFO", -1))
# struct linger: on, for 0 s.
_NO_LINGER: Final = struct.pack("ii", 1, 0)

T = TypeVar("T")
Address = tuple[Any, ...]


def peer_of(fd: int) -> Address | None:
    """The other side's address; None where the connection is gone."""
    return _asked(fd, lambda sock: _address(sock.getpeername()), None)


def own_address_of(fd: int) -> Address | None:
    """The address that this side speaks from; None where the connection is gone."""
    return _asked(fd, lambda sock: _address(sock.getsockname()), None)


def _address(name: object) -> Address | None:
    """Text is that of a Unix socket, as of a pair, which has the descriptor of what is gone."""
    return name if isinstance(name, tuple) else None


def bytes_received(fd: int) -> int:
    """All that ever came; 0 where the connection is gone, no TCP, or the kernel is too old."""
    return _counter(fd, _BYTES_RECEIVED_AT)


def bytes_acked(fd: int) -> int:
    """All that was sent and arrived, and one for the SYN; 0 as `bytes_received`."""
    return _counter(fd, _BYTES_ACKED_AT)


def shut_down(fd: int) -> None:
    """Ends the connection; libzmq sees it end, and closes it with a reset: whoever still pours into
    a full buffer would never learn of it, and the kernel would wait for him."""
    _asked(fd, _shut_down, None)


def _shut_down(sock: socket.SocketType) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.shutdown(socket.SHUT_RDWR)


def is_of_this_machine(address: Address) -> bool:
    """False where no interface has this address any more."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address[0], 0, *address[2:]))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def _counter(fd: int, at: int) -> int:
    """As `_asked`, at half of its cost: it is asked of every connection, four times a second."""
    try:
        sock = socket.SocketType(_FAMILY, _STREAM, _TCP, fd)
    except OSError:
        return 0
    try:
        info = sock.getsockopt(_TCP, _INFO, _INFO_BYTES)
        return int(_COUNTER.unpack_from(info, at)[0])
    except (OSError, struct.error):
        return 0
    finally:
        sock.detach()


def _asked(fd: int, question: Callable[[socket.SocketType], T], otherwise: T) -> T:
    try:
        # Without the wrapper `socket.socket`, which would take half of what it costs to ask.
        sock = socket.SocketType(_FAMILY, _STREAM, _TCP, fd)
    except OSError:
        return otherwise
    try:
        return question(sock)
    except OSError:
        return otherwise
    finally:
        sock.detach()
