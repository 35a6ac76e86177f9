"""Pages that are asked for and never opened are few, whoever asks; those of browsers come in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from roommood.aggregator.dashboard.pages.unopened import MOST_OF_ONE_ADDRESS, UNOPENED_S
from tests.aggregator.dashboard.served import Served, reader_of, serving
from tests.browser.viewers import Viewers, resident_mb, run
from tests.end_to_end.site import until
from tests.redis_server import RedisServer

REQUESTS = 1_000
# 158 MB, and for good, where each page is kept and none is given back.
MOST_MB = 40.0


@pytest.fixture
def stranger(dashboard: Served) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(local_address="127.0.0.4")
    with httpx.Client(base_url=dashboard.url, transport=transport, timeout=20.0) as client:
        yield client


async def nothing() -> None:
    await asyncio.sleep(0)


def test_pages_that_are_never_opened_are_few_of_one_address_and_keep_nobody_out(
    dashboard: Served, stranger: httpx.Client
) -> None:
    answers = [stranger.get("/") for _ in range(MOST_OF_ONE_ADDRESS + 3)]
    assert [answer.status_code for answer in answers] == [200] * MOST_OF_ONE_ADDRESS + [503] * 3
    assert "not opened" in answers[-1].text
    assert answers[-1].headers["retry-after"] == f"{UNOPENED_S:.0f}"
    run(Viewers(dashboard.url, 1), nothing)  # fails where its web socket is refused
    until(lambda: stranger.get("/").status_code == 200, "those were let go", UNOPENED_S + 30.0)


def test_one_address_may_open_more_than_that(dashboard: Served) -> None:
    run(Viewers(dashboard.url, MOST_OF_ONE_ADDRESS + 3), nothing)


def test_asking_over_and_over_costs_little_memory(
    shared_server: RedisServer, tmp_path: Path
) -> None:
    with serving(tmp_path, *reader_of(shared_server, tmp_path)) as served:
        served.get("/")
        before = resident_mb(served.process.pid)
        for path in ("/", "/room/no%20name"):
            codes = [served.get(path).status_code for _ in range(REQUESTS)]
            # The oldest of the pages may be let go meanwhile, on a busy machine.
            assert (503 if path == "/" else 404) in codes[MOST_OF_ONE_ADDRESS:]
        assert resident_mb(served.process.pid) - before < MOST_MB
