"""docs/sources.md tells what the tests try: its tables are made from theirs."""

import importlib

from benchmarks.source_cost import NAMES
from tests.camera_node.sources.manners import manners
from tests.camera_node.sources.page import PAGE, age_names, cost_rows, manner_rows, rows_of

MADE = "python -m tests.camera_node.sources.page"


def first_cells(name: str) -> list[str]:
    return [row.split(" | ")[0].removeprefix("| ") for row in rows_of(PAGE.read_text(), name)]


def test_the_page_tells_every_manner_that_is_tried_and_no_other() -> None:
    assert rows_of(PAGE.read_text(), "manners") == manner_rows(), MADE


def test_every_manner_of_the_page_has_its_test() -> None:
    for row in manners():
        module, test = row.test
        assert hasattr(importlib.import_module(f"tests.camera_node.{module}"), test), row


def test_every_source_with_a_clock_has_its_measured_age() -> None:
    assert first_cells("ages") == age_names(), MADE


def test_every_source_of_the_benchmark_has_its_cost() -> None:
    assert first_cells("costs") == NAMES, MADE
    assert rows_of(PAGE.read_text(), "costs") == cost_rows(), MADE
