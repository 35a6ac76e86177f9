"""A short form of some rows of `make faults`; their controls stay there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import kill_rows, net_rows
from tests.faults.beacon import beacon
from tests.faults.network import Network, why_no_namespaces
from tests.rows import Row, check

ROWS = {row.name: row for row in (*kill_rows.ROWS, *net_rows.ROWS)}
pytestmark = pytest.mark.timeout(240)


def row(name: str) -> Row:
    return ROWS[name]


def test_a_death_between_commit_and_acknowledgement_counts_nothing_twice(tmp_path: Path) -> None:
    outcome = check(row("kill-between-commit-and-ack"), tmp_path, times=2)
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, "")


def test_a_connection_that_the_far_side_forgot_is_made_anew(tmp_path: Path) -> None:
    outcome = check(row("proxy-forgotten"), tmp_path)
    assert outcome.recovery_s is not None
    assert outcome.recovery_s <= 1.0


@pytest.mark.skipif(bool(why_no_namespaces()), reason=why_no_namespaces() or "-")
def test_a_network_of_namespaces_fails_as_it_is_told(tmp_path: Path) -> None:
    with Network("a", "b") as network:
        path, host = tmp_path / "beacon", network.address("b")
        with beacon(path, network.on("a"), network.on("b"), host) as light:
            light.back_at(0.0)
            faults: list[tuple[Callable[[], None], Callable[[], None]]] = [
                (lambda: network.cut("a"), lambda: network.join("a")),
                (lambda: network.deafen("a", "b", "up"), lambda: network.undeafen("a", "b", "up")),
                (
                    lambda: network.deafen("a", "b", "down"),
                    lambda: network.undeafen("a", "b", "down"),
                ),
            ]
            for fail, heal in faults:
                fail()
                assert light.is_dark_for(0.3)
                heal()
                light.back_at(light.now())
