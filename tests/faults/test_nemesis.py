"""Whatever is killed or frozen, in whatever order: what was acknowledged is counted once."""

from pathlib import Path

import pytest

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from tests.end_to_end.site import Site, acknowledged, assert_counted_exactly_once
from tests.faults.nemesis import ROOM, House, Nemesis


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_nothing_acknowledged_is_lost_or_doubled_under_a_nemesis(tmp_path: Path, seed: int) -> None:
    redis = {"appendonly": "yes", "appendfsync": "always"}
    with Site(tmp_path, str(SHIPPED_EXPRESSION), **redis) as site:
        house = House(site)
        nemesis = Nemesis(house, seed)
        nemesis.rage(10.0)
        codes = house.stop()
        ledger = acknowledged(house.all_workers)
        assert codes == [0] * len(codes), (codes, nemesis.done)
        for room in set(ROOM.values()):
            own = {frame for frame in ledger if ROOM[frame[0]] == room}
            assert assert_counted_exactly_once(site, room, own) >= len(own) > 0
        begun = [
            (line["camera"], line["session"], line["seq"])
            for worker in house.all_workers
            for line in worker.lines("started")
        ]
        assert len(begun) == len(set(begun)), "a frame was begun with twice"
        logs = [component.log for component in site.components]
        assert not [log.name for log in logs if "Traceback" in log.read_text()]
