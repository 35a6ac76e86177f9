"""A site on a Redis Cluster: three nodes, rooms on each of them, two aggregators."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from roommood.deploy.cli import app
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.end_to_end.site import (
    Component,
    Site,
    acknowledged,
    assert_counted_exactly_once,
    until,
)
from tests.redis_cluster import Cluster

_CANDIDATES = [f"room-{number}" for number in range(30)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, str(SHIPPED_EXPRESSION))
    site.redis = cast(Any, Cluster())
    with site:
        yield site


def room_of_each_node(cluster: Cluster) -> list[str]:
    rooms = {cluster.node_of(room): room for room in _CANDIDATES}
    return [rooms[place] for place in range(3)]


def counted(worker: Component) -> dict[str, int]:
    """Results acknowledged, by camera."""
    counts: dict[str, int] = {}
    for camera, _, _ in acknowledged([worker]):
        counts[camera] = counts.get(camera, 0) + 1
    return counts


def test_a_lost_node_holds_up_only_its_rooms_and_loses_and_doubles_nothing(site: Site) -> None:
    cluster = cast(Cluster, cast(Any, site.redis))
    rooms = room_of_each_node(cluster)
    reports, frames = [site.address(), site.address()], site.address()
    aggregators = [site.aggregator(report) for report in reports]
    worker = site.worker(frames, " ".join(reports), "--input-size", "160")
    cameras = [
        site.camera(f"cam-{room}", room, "simulated", frames, "--rate-hz", "5") for room in rooms
    ]
    names = [f"cam-{room}" for room in rooms]
    until(lambda: all(counted(worker).get(name, 0) > 5 for name in names), "all rooms are counted")

    cluster.nodes[0].kill()
    before = counted(worker)
    until(
        lambda: all(counted(worker)[name] > before[name] + 10 for name in names[1:]),
        "the other rooms go on",
    )
    assert counted(worker)[names[0]] <= before[names[0]] + 3
    aggregators[0].wait_for("redis lost")
    cluster.nodes[0].start()
    before = counted(worker)
    until(lambda: counted(worker)[names[0]] > before[names[0]] + 10, "the lost room is caught up")
    # Takes turns with the second, which finds what the first had counted already.
    aggregators[0].kill()
    until(lambda: counted(worker)[names[0]] > before[names[0]] + 20, "the second one serves")

    for camera in cameras:
        assert camera.stop() == 0
    assert worker.stop() == 0
    ledger = acknowledged([worker])
    analysed = {(line["camera"], line["seq"]) for line in worker.lines("analysed")}
    assert analysed == {(camera, seq) for camera, _, seq in ledger}
    for room, name in zip(rooms, names, strict=True):
        of_room = {frame for frame in ledger if frame[0] == name}
        assert assert_counted_exactly_once(site, room, of_room) == len(of_room)
    assert aggregators[1].stop() == 0
    look_and_forget(cluster, rooms)


def look_and_forget(cluster: Cluster, rooms: list[str]) -> None:
    """The commands that read and change rooms, on the Cluster."""
    for room in rooms:
        assert room in printed("stats", room, cluster)
    watched = printed("watch", "--seconds", "0", cluster)
    assert all(room in watched for room in rooms)
    assert "is forgotten" in printed("forget", rooms[1], "--yes", cluster)
    left = printed("rooms", cluster)
    assert [room for room in rooms if room in left] == [rooms[0], rooms[2]]


def printed(*words: object) -> str:
    *command, cluster = words
    assert isinstance(cluster, Cluster)
    result = CliRunner().invoke(app, [*map(str, command), "--redis", cluster.url])
    assert result.exit_code == 0, result.output
    return result.output
