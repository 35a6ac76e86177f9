"""What `roommood doctor` says of a port: which component answers there, or which other program."""

import contextlib
import socket
import time
from pathlib import Path
from typing import Final

import zmq

from roommood.deploy.doctor.findings import Finding, fail, ok, warn
from roommood.shared.errors import ConfigError, WireError
from roommood.shared.process.runtime import Deadline
from roommood.shared.protocol import wire
from roommood.shared.security.keys import (
    CAMERA_FILE,
    ClientKeys,
    read_bundle,
    worker_keys,
)
from roommood.shared.security.private_file import credentials_folder
from roommood.shared.transport.sockets import close, connect_frames, receive, send

COMMANDS: Final = {"worker": "inference-worker", "aggregator": "aggregator"}
_CONNECT_TIMEOUT_S: Final = 3.0
_GREETING_S: Final = 2.0
_ANSWER_S: Final = 3.0
# A greeting's signature and major version (ZMTP 3.1, rfc.zeromq.org/spec/37), on which the other
# side sends all of its own: 64 bytes, the name of its security at 12 to 32.
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03"
_GREETING_BYTES: Final = 64
_SECURITY: Final = slice(12, 32)
# What Redis, web servers and RTSP cameras all answer, with an error of theirs.
_REQUEST: Final = b"PING / HTTP/1.0\r\n\r\n"
_OTHERS: Final = {
    b"-": "Redis",
    b"HTTP/": "a web server",
    b"SSH-": "an ssh server",
    b"RTSP/": "an RTSP camera",
}
_ANSWERS: Final = {b"C": "worker", b"A": "aggregator"}


def greet(host: str, port: int) -> tuple[str, bytes | None]:
    """This machine's address on the way there, and what comes back; None where nothing does."""
    own_address = ""
    try:
        for says in (_GREETING, _REQUEST):
            with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S) as link:
                own_address = str(link.getsockname()[0])
                link.sendall(says)
                if (greeting := _read(link)) is not None:
                    break
        return own_address, greeting
    except (ConnectionResetError, BrokenPipeError):
        return own_address, b""


def _read(link: socket.socket) -> bytes | None:
    """Up to a whole greeting; what came before it took too long, or None."""
    deadline, data = time.monotonic() + _GREETING_S, b""
    with contextlib.suppress(TimeoutError):
        while len(data) < _GREETING_BYTES:
            link.settimeout(max(0.001, deadline - time.monotonic()))
            if not (more := link.recv(_GREETING_BYTES - len(data))):
                return data
            data += more
    return data or None


def speaks_zeromq(greeting: bytes | None) -> bool:
    """Of what `greet` gave."""
    return greeting is not None and greeting[:1] == _GREETING[:1]


def peer_finding(
    kind: str, number: str, shown: str, greeting: bytes | None, keys: Path | None
) -> Finding:
    """Whether it is a `kind`; `number` is its address, `shown` that as the user knows it."""
    command = COMMANDS[kind]
    if greeting is None:
        todo = f"is it the port of {command}? Then that process hangs: start it again"
        return fail(kind, f"{shown} accepts connections, and says nothing", todo)
    if not speaks_zeromq(greeting):
        names = (name for start, name in _OTHERS.items() if greeting.startswith(start))
        is_named = f" (it is {name})" if (name := next(names, "")) else ""
        todo = f"give the port of {command}, not another program's or that of its metrics"
        return fail(kind, f"{shown} answers, but does not speak ZeroMQ{is_named}", todo)
    has_keys = greeting[_SECURITY].rstrip(b"\0") == b"CURVE"
    own = _own_keys(kind, keys) if has_keys else None
    if has_keys and own is None:
        todo = f"give --keys PATH with a {'camera' if kind == 'worker' else 'worker'}'s key"
        text = "is reachable and wants keys, without which it does not say what it is"
        return warn(kind, f"{shown} {text}", todo)
    return _by_its_answer(kind, shown, _ask(number, own))


def _by_its_answer(kind: str, shown: str, answer: str) -> Finding:
    if answer == kind:
        return ok(kind, f"{shown} is reachable, and answers as one does")
    todo = f"give the port of {COMMANDS[kind]}: an aggregator's is 5700, workers' are from 5701 on"
    if answer:
        return fail(kind, f"{shown} is the port of a component of another kind: {answer}", todo)
    text = "speaks ZeroMQ, but does not answer as it should: is it another component's port?"
    return fail(kind, f"{shown} {text}", todo)


def _own_keys(kind: str, place: Path | None) -> ClientKeys | None:
    """Those with which a peer of this kind is asked, as far as there are any."""
    folder = place.expanduser() if place else credentials_folder()
    with contextlib.suppress(ConfigError):  # told as that of the keys
        if folder is None:
            return None
        if kind == "aggregator":
            workers = worker_keys(place)
            return workers.to_aggregators if workers else None
        for path in bundles(folder):
            return read_bundle(path).keys
    return None


def bundles(folder: Path) -> list[Path]:
    """The cameras' keys at a place where keys are."""
    if folder.is_file():
        return [folder]
    named = [*folder.glob("camera-*.key"), *folder.glob("to-copy/camera-*.key")]
    return sorted([*named, *folder.glob(CAMERA_FILE)])


def _ask(number: str, keys: ClientKeys | None) -> str:
    """The component that answers there, "" where none does. Nothing secret is said, so that it
    may go out in the clear."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer, monitor = connect_frames(context, number, insecure=True, keys=keys)
    deadline = Deadline(_ANSWER_S)
    try:
        is_asked = False
        while not deadline.passed:
            is_asked = is_asked or send(dealer, [wire.question()])
            dealer.poll(50)
            with contextlib.suppress(WireError):
                if parts := receive(dealer):
                    return _ANSWERS.get(wire.kind_of(parts[0]), "")
        return ""
    finally:
        close(dealer, monitor)
        context.term()
