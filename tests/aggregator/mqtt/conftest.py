"""A real broker, and rooms in a real Redis, for the tests of this folder."""

from collections.abc import Iterator

import pytest

from roommood.aggregator.counting.store import Store
from roommood.shared.clock import wall_ms
from tests.aggregator.mqtt.bridges import commit_frames
from tests.aggregator.mqtt.listener import Listener
from tests.mosquitto import Mosquitto
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def broker(shared_broker: Mosquitto) -> Mosquitto:
    """Started anew, so that it retains nothing of the test before."""
    shared_broker.kill()
    shared_broker.start()
    return shared_broker


@pytest.fixture
def fed(server: RedisServer, store: Store) -> RedisServer:
    """A kitchen with two happy faces until now, and a hall long silent."""
    commit_frames(store, "happiness")
    store.touch_rooms({"hall": wall_ms() - 9e8})
    return server


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    listener = Listener(broker)
    yield listener
    listener.close()
