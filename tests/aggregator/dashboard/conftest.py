"""One dashboard for the tests of this folder, with a reader's rights."""

from collections.abc import Iterator

import pytest

pytest.importorskip("nicegui", reason="the dashboard extra is not installed")

from tests.aggregator.dashboard.served import Served, reader_of, serving
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def dashboard(
    shared_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("dashboard")
    with serving(folder, *reader_of(shared_server, folder)) as served:
        yield served
