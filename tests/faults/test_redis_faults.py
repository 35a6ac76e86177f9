"""Short forms of rows of `redis_strange_rows.py`; `make faults` runs all of them, for longer."""

from pathlib import Path

import pytest

from tests.faults.redis_strange_rows import ROWS
from tests.rows import Row, check, check_control

ROW = {row.name: row for row in ROWS}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("row", "times"),
    [(ROW["redis-reply-cut-off"], 2), (ROW["redis-wrong-type"], 1)],
    ids=lambda value: value.name if isinstance(value, Row) else "",
)
def test_results_are_counted_exactly_once_whatever_redis_does(
    tmp_path: Path, row: Row, times: int
) -> None:
    outcome = check(row, tmp_path, times=times)
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, "")


@pytest.mark.timeout(300)
def test_without_checks_before_the_first_write_a_wrong_type_loses_results(tmp_path: Path) -> None:
    assert check_control(ROW["redis-wrong-type"], tmp_path)
