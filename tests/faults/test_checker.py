"""The checker sees what is missing and what is there twice: otherwise its silence means nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.site import Component
from tests.faults.checker import Verdict, judge
from tests.faults.plant import CAMERA, WORKER, FaultSite

SESSION = "b00t"
HOUR = "roommood:{den}:1h:1795374000"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FaultSite]:
    """A site of books only: three frames sent, begun with, acknowledged, and in Redis."""
    with FaultSite(tmp_path) as site:
        write(site, CAMERA, line("camera ready", room="den"), ended(3))
        lines = [line(text, seq=seq) for seq in range(3) for text in ("started", "analysed")]
        acks = [line("acknowledged", seq=seq, outcome="committed") for seq in range(3)]
        write(site, WORKER, *lines, *acks)
        with site.redis.client() as client:
            for seq in range(3):
                client.setbit(f"roommood:{{den}}:seen:a:{SESSION}:0", seq, 1)
            for span in ("10s", "1m", "1h"):
                client.hset(f"roommood:{{den}}:{span}:1795374000", "frames:a", 3)
        yield site


def line(message: str, **fields: object) -> dict[str, Any]:
    time = "2026-11-22T19:00:00.000Z"
    return {"time": time, "message": message, "camera": "a", "session": SESSION, **fields}


def ended(sent: int, lost_with_worker: int = 0, skipped: int = 0) -> dict[str, Any]:
    counts = {"captured": sent + skipped, "sent": sent, "skipped": skipped}
    return line("camera ended", **counts, lost_with_worker=lost_with_worker)


def write(site: FaultSite, module: str, *lines: dict[str, Any]) -> None:
    log = site.folder / f"{len(site.components)}.log"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    site.components.append(Component(module, [], log, process))


def counts_of(site: FaultSite) -> tuple[int, int, int]:
    verdict = judge(site)
    return verdict.lost, verdict.doubled, verdict.unexplained


def test_books_that_agree_are_found_to_agree(site: FaultSite) -> None:
    assert judge(site) == Verdict(acknowledged=3, counted=3)


def test_an_acknowledged_result_without_its_bit_is_lost(site: FaultSite) -> None:
    with site.redis.client() as client:
        client.setbit(f"roommood:{{den}}:seen:a:{SESSION}:0", 1, 0)
        for span in ("10s", "1m", "1h"):
            client.hset(f"roommood:{{den}}:{span}:1795374000", "frames:a", 2)
    assert counts_of(site) == (1, 0, 0)


def test_an_empty_redis_has_lost_everything(site: FaultSite) -> None:
    with site.redis.client() as client:
        client.flushall()
    assert counts_of(site) == (3, 0, 0)


def test_more_frames_in_the_sums_than_bits_are_doubled(site: FaultSite) -> None:
    with site.redis.client() as client:
        client.hset(HOUR, "frames:a", 5)
    assert counts_of(site) == (0, 2, 0)


def test_a_bit_without_its_frame_in_the_sums_is_lost(site: FaultSite) -> None:
    with site.redis.client() as client:
        client.hset(HOUR, "frames:a", 2)
    assert counts_of(site) == (1, 0, 0)


def test_a_frame_begun_with_by_two_workers_is_doubled(site: FaultSite) -> None:
    write(site, WORKER, line("started", seq=2))
    assert counts_of(site) == (0, 1, 0)


def test_a_frame_without_any_count_is_unexplained(site: FaultSite) -> None:
    write(site, CAMERA, ended(7))
    assert counts_of(site) == (0, 0, 4)


def test_every_count_explains_its_frames(site: FaultSite) -> None:
    write(site, CAMERA, ended(9, lost_with_worker=1))
    refused = line("frame refused", why="paused")
    early = line("frame before Hello refused")
    stale = line("refused", seq=3, why="stale")
    write(site, WORKER, refused, early, stale, line("lost on wire", frames=2))
    assert counts_of(site) == (0, 0, 0)


def test_a_traceback_is_noted(site: FaultSite) -> None:
    log = site.components[0].log
    log.write_text(log.read_text() + "Traceback (most recent call last):\n")
    assert judge(site).outcome().wrong == "a traceback in 0.log"
