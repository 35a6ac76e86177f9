"""Short forms of the rows of `make hostile`: real processes, a few seconds each."""

from pathlib import Path

import pytest

from tests.hostile import connections_rows
from tests.rows import Row, check, check_control, discover

ROWS = {row.name: row for row in discover("tests.hostile")}
SHORT_MUTE = Row(
    "short-mute", "mute connections, cut after 2 s", connections_rows.mute_for_two_seconds
)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("every-picture", 1),
        ("messages-at-the-worker", 400),
        ("messages-at-the-aggregator", 400),
        ("endless-message", 1),
        ("replayed", 16),
        ("one-cameras-key", 4),
        ("the-workers-key", 4),
    ],
)
def test_it_holds(name: str, times: int, tmp_path: Path) -> None:
    outcome = check(ROWS[name], tmp_path, times=times)
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, "")


def test_mute_connections_are_cut_and_counted(tmp_path: Path) -> None:
    assert check(SHORT_MUTE, tmp_path, times=50).wrong == ""


def test_an_endless_message_takes_all_memory_without_its_limit(tmp_path: Path) -> None:
    assert check_control(ROWS["endless-message"], tmp_path)


def test_every_row_has_a_name_of_its_own_and_bounds() -> None:
    assert len(ROWS) >= 20
    assert all(row.recover_within_s for row in ROWS.values())
