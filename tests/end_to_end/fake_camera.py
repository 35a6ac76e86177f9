"""A camera that says whatever a test wants it to, over a real socket."""

import contextlib
import dataclasses
import time
from types import TracebackType

import zmq

from roommood.shared.clock import boot_ms
from roommood.shared.errors import WireError
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Credit, Frame, Hello
from roommood.shared.security.keys import ClientKeys


class FakeCamera:
    """A DEALER to one worker; keeps `sent` as an honest camera does."""

    def __init__(
        self,
        address: str,
        camera: str = "fake",
        room: str = "den",
        keys: ClientKeys | None = None,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            self._socket.curve_serverkey = keys.server.encode()
            self._socket.curve_publickey = keys.own.public.encode()
            self._socket.curve_secretkey = keys.own.secret.encode()
        self._socket.connect(f"tcp://{address}")
        self.hello = Hello(camera, room, f"boot-{camera}", 0, 1, 0, 10.0, 640, 480, 0, 0.0)
        self.seq = 0

    def __enter__(self) -> "FakeCamera":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()

    def say_hello(self) -> None:
        hello = dataclasses.replace(self.hello, sent=self.seq, sent_ms=boot_ms())
        self._socket.send(wire.encode_hello(hello))

    def send_raw(self, *parts: bytes) -> None:
        self._socket.send_multipart(list(parts))

    def send(self, jpeg: bytes, **changes: object) -> None:
        """Sends a frame, with fields changed as given."""
        own = self.hello
        frame = Frame(
            own.camera,
            own.room,
            own.session_id,
            self.seq,
            640,
            480,
            0,
            1.0,
            100_000,
            boot_ms(),
            jpeg,
        )
        changed = dataclasses.replace(frame, **changes)  # type: ignore[arg-type]
        self._socket.send_multipart([wire.encode_frame(changed), jpeg])
        self.seq += 1

    def credit(self, timeout_s: float = 10.0) -> Credit:
        """The next Credit."""
        assert self._socket.poll(int(timeout_s * 1000)), "no credit came"
        try:
            return wire.decode_credit(self._socket.recv())
        except WireError as error:
            raise AssertionError(f"not a credit: {error}") from error

    def wait_for_credit(self) -> Credit:
        """Says Hello until another frame may be sent: a worker that starts waits for a few seconds
        to be told what is paused."""
        end_s = time.monotonic() + 30
        while time.monotonic() < end_s:
            self.say_hello()
            credit = self.credit()
            while self._socket.poll(20):
                credit = self.credit()
            if credit.granted > self.seq:
                return credit
        raise AssertionError(f"never granted: {credit}")

    def try_all(self, jpeg: bytes) -> None:
        """Says Hello and sends a frame, if anyone lets it."""
        self._socket.setsockopt(zmq.SNDTIMEO, 0)
        with contextlib.suppress(zmq.Again):
            self.say_hello()
            self.send(jpeg)

    def has_heard(self) -> bool:
        """True if the worker has said anything at all."""
        return bool(self._socket.poll(0))
