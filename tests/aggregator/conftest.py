"""A real Redis for the tests of this folder, started once and emptied before each test."""

from collections.abc import Iterator

import pytest
import redis

from roommood.aggregator.counting.store import Store
from tests.aggregator.rooms import Rooms
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    with shared_server.client() as client:
        client.flushall()
    return shared_server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def store(server: RedisServer) -> Iterator[Store]:
    store = Store(server.patient_url)
    yield store
    store.close()


@pytest.fixture
def rooms(server: RedisServer) -> Iterator[Rooms]:
    rooms = Rooms(server)
    yield rooms
    rooms.close()
