"""A camera over HTTP for each test."""

import threading
from collections.abc import Iterator

import pytest

from tests.camera_node.sources.network.http_cameras import HttpCamera


@pytest.fixture
def camera() -> Iterator[HttpCamera]:
    server = HttpCamera()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()
