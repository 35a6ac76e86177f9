"""A camera talks only to workers that have the key it trusts, wherever it learned of them."""

from collections.abc import Iterator

import pytest
import zmq

from roommood.camera_node.publisher import Publisher
from roommood.deploy.keys.site_keys import new_pair
from roommood.shared.protocol import wire
from roommood.shared.security.allow_list import FixedPolicy
from roommood.shared.security.keys import KeyPair
from roommood.shared.security.zap import Authenticator
from roommood.shared.transport.sockets import bind_frames, close, receive
from tests.shared.fakes import Context, FakeWorker
from tests.shared.keyed import WORKERS, client
from tests.shared.made import hello
from tests.shared.peers import free_address, until

CAMERA = new_pair()
IMPOSTOR = new_pair()


class Place:
    """A fake worker with a context of its own, since each has an authenticator of its own."""

    def __init__(self, poller: zmq.Poller, name: str, keys: KeyPair | None) -> None:
        self.context: Context = zmq.Context()
        self.policy = Authenticator(self.context, FixedPolicy(frozenset({CAMERA.public})))
        self.worker = FakeWorker(self.context, poller, free_address(), name, keys)

    def close(self) -> None:
        self.worker.close()
        self.policy.stop()
        self.context.term()


class Learned:
    """A camera that its worker tells of another."""

    def __init__(self, other: KeyPair | None) -> None:
        self.poller = zmq.Poller()
        self.context: Context = zmq.Context()
        self.true = Place(self.poller, "true", WORKERS)
        self.other = Place(self.poller, "other", other)
        self.publisher = Publisher(
            self.context,
            self.poller,
            [self.true.worker.address],
            hello,
            lambda: "ok",
            40_000,
            keys=client(CAMERA),
        )

    def tick(self) -> None:
        self.publisher.tick()
        self.true.worker.tick()
        self.other.worker.tick()

    def until_told(self) -> None:
        """The camera is told of the other worker, and has had seconds to say Hello there."""
        heard = self.true.worker.hellos
        until(lambda: heard, self.tick, self.poller)
        self.true.worker.say(workers=(self.other.worker.address,))
        count = len(heard)
        until(lambda: self.other.worker.hellos or len(heard) > count + 1, self.tick, self.poller)

    def close(self) -> None:
        self.publisher.close()
        self.true.close()
        self.other.close()
        self.context.term()


@pytest.fixture(params=["the trusted key", "another key", "no key"])
def learned(request: pytest.FixtureRequest) -> Iterator[tuple[Learned, bool]]:
    keys = {"the trusted key": WORKERS, "another key": IMPOSTOR}.get(request.param)
    learned = Learned(keys)
    yield learned, keys is WORKERS
    learned.close()


def test_a_learned_address_gets_a_hello_only_if_it_has_the_trusted_key(
    learned: tuple[Learned, bool],
) -> None:
    site, trusted = learned
    site.until_told()
    assert bool(site.other.worker.hellos) is trusted
    assert site.true.worker.hellos


def test_without_keys_any_learned_address_would_get_one() -> None:
    """The control: a camera without keys says Hello to whoever is named to it."""
    poller, context = zmq.Poller(), zmq.Context()
    impostor = bind_frames(context, address := free_address(), insecure=False)
    poller.register(impostor, zmq.POLLIN)
    publisher = Publisher(context, poller, [address], hello, lambda: "ok", 40_000)
    heard: list[list[bytes]] = []

    def tick() -> None:
        publisher.tick()
        if parts := receive(impostor):
            heard.append(parts)

    (_, greeting), *_ = until(lambda: heard, tick, poller)
    assert wire.decode_hello(greeting).camera == hello().camera
    publisher.close()
    close(impostor)
    context.term()
