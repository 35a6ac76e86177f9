"""What beginners meet: what is not there, or not right, is said, and what to do."""

import os
from pathlib import Path

import pytest

from roommood.deploy.keys.site_keys import SiteKeys
from tests.end_to_end.site import Site, until
from tests.faults.plant import CHEAP, ROOM, WORKER, FaultSite
from tests.faults.reach_rows import CASES, ROWS
from tests.rows import check

EVERY_PICTURE_IS_REFUSED = {
    WORKER: """
from roommood.inference_worker.vision import analysis
from roommood.shared.errors import PictureDamaged
def _refuse(*_, **__):
    raise PictureDamaged("as if it were cut off")
analysis.decode = _refuse
"""
}


@pytest.mark.parametrize("name", CASES)
def test_who_is_never_reached_is_told_with_the_exact_reason(name: str, tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.name == f"never-reached-{name}")
    check(row, tmp_path)


def test_refused_pictures_reach_the_cameras_status(tmp_path: Path) -> None:
    with FaultSite(tmp_path, EVERY_PICTURE_IS_REFUSED) as site:
        reports, frames = site.address(), site.address()
        site.aggregator(reports)
        site.worker(frames, reports, *CHEAP)
        site.camera("a", ROOM, "simulated", frames, "--rate-hz", "20")
        with site.redis.client() as client:
            until(
                lambda: (
                    client.hget("roommood:camera:a", "source")
                    == "refused: 30 of 30 pictures: cut off or damaged"
                ),
                "its status says that its pictures are refused",
            )
            assert client.hget("roommood:camera:a", "picture") == "ok"


def test_who_is_not_reached_beside_others_is_in_the_health_of_camera_and_worker(
    site: Site,
) -> None:
    reports, frames, nowhere = site.address(), site.address(), site.address()
    site.aggregator(reports)
    site.worker(frames, f"{reports} {nowhere}")
    site.camera("a", "den", "simulated", f"{frames} {nowhere}", "--rate-hz", "5")
    reason = f"{nowhere}: refused: nothing listens at {nowhere}"
    with site.redis.client() as client:
        until(
            lambda: client.hget("roommood:camera:a", "source") == f"unreached: {reason}",
            "the camera's status names the worker",
        )

        def worker_says() -> bool:
            (key,) = client.keys("roommood:worker:*")
            return bool(client.hget(key, "unreached") == reason)

        until(worker_says, "the worker's names the aggregator")


def test_an_aggregator_is_not_ready_before_its_redis_is(site: Site) -> None:
    site.redis.stop()
    where = ("--bind", site.address(), "--redis", site.redis.url)
    started = site.start("roommood.aggregator.cli", *where)
    started.wait_for("redis lost")
    assert started.lines("aggregator ready") == []
    site.redis.start()
    started.wait_for("aggregator ready")
    assert len(started.lines("aggregator ready")) == 1


def test_a_worker_with_keys_that_only_its_own_machine_reaches_says_so(site: Site) -> None:
    site.keys = SiteKeys(site.folder / "keys")
    site.keys.init()
    frames = site.address()
    worker = site.worker(frames, site.address())
    line = worker.wait_for("only this machine reaches this worker")
    assert (line["level"], line["todo"]) == (
        "warning", f"--bind 0.0.0.0:{frames.rpartition(':')[2]}",
    )  # fmt: skip


def test_an_address_in_use_names_who_has_it(site: Site) -> None:
    frames = site.address()
    first = site.worker(frames, site.address())
    second = site.start_worker(frames, site.address())
    assert second.wait() == 2
    assert f"taken by process {first.process.pid} (python" in second.tail()
    assert "--bind 127.0.0.1:" in second.tail()


def test_a_model_that_was_not_pulled_names_the_command_that_does(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "ROOMMOOD_CACHE", str(site.folder / "cache"))
    started = site.start("roommood.inference_worker.cli", "--detector", "yunet-n")
    assert started.wait() == 2
    assert "roommood models pull yunet-n" in started.tail()
