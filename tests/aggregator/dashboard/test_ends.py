"""How the page ends: by what it is sent, and by a terminal that closes."""

import signal
from pathlib import Path

import pytest

from tests.aggregator.dashboard.served import serving
from tests.redis_server import RedisServer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(
    tmp_path: Path, server: RedisServer, number: signal.Signals
) -> None:
    with serving(tmp_path, server.url) as page:
        page.process.send_signal(number)
        assert page.process.wait(timeout=60) == 0
    assert "redis found" in page.log.read_text()


def test_a_second_one_forces_without_a_traceback(tmp_path: Path, server: RedisServer) -> None:
    with serving(tmp_path, server.url) as page:
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            page.process.send_signal(number)
        assert page.process.wait(timeout=60) == 128 + signal.SIGTERM
    assert "Traceback" not in page.log.read_text()
