"""The page that is made of the results, and the shape of the results that are kept."""

import json
from dataclasses import asdict, fields
from typing import Any

import pytest

from benchmarks.__main__ import BENCHMARKS, FOLDER
from benchmarks.render import number, rendered
from benchmarks.rows import Row, at_most, stated


def a_page(*rows: Row) -> str:
    run = {"benchmark": "transport", "at": "2026-11-22T17:00", "quick": False, "load": 0.1}
    lines: list[Any] = [{**asdict(row), **run} for row in rows]
    return rendered(lines, {"processor": "2 x something"}, {"roommood": "0.1.0"})


def test_the_page_names_machine_versions_and_command() -> None:
    page = a_page(stated("size", 1.0, "MB"))
    assert "- processor: 2 x something" in page
    assert "roommood 0.1.0" in page
    assert "`python -m benchmarks.transport`" in page


def test_a_row_of_the_table_has_the_peers_beside_it() -> None:
    page = a_page(at_most("cost", 0.1234, "ms", 1.0, {"a peer": 42.0}))
    assert "| cost | 0.123 | ms | <= 1 | held | a peer 42.0 |" in page


def test_what_missed_its_bar_stands_on_top() -> None:
    page = a_page(at_most("cost", 2.0, "ms", 1.0), at_most("other", 0.5, "ms", 1.0))
    assert "1 of 2 bars are held." in page
    assert "Missed: cost." in page


def test_a_note_is_told_once() -> None:
    rows = [stated("size", 1.0, "MB", note="wants quiet")] * 2
    assert a_page(*rows).count("size: wants quiet.") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (0.0421, "0.042"), (2.345, "2.35"), (23.45, "23.4"), (68_123.4, "68,123")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_results_that_are_kept_are_rows_of_benchmarks_that_exist() -> None:
    rows = json.loads((FOLDER / "results.json").read_text())
    assert rows
    for row in rows:
        assert {field.name for field in fields(Row)} <= set(row)
        assert row["benchmark"] in BENCHMARKS
        assert isinstance(row["held"], bool)


def test_the_page_that_is_kept_has_every_row_that_is_kept() -> None:
    rows = json.loads((FOLDER / "results.json").read_text())
    page = (FOLDER / "RESULTS.md").read_text()
    assert all(f"| {row['name'].strip()} | {number(row['value'])} |" in page for row in rows)
