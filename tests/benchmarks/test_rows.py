"""A row says whether its figure met its bar."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.rows import Options, Row, at_least, at_most, printed, run_alone, stated


@pytest.mark.parametrize(("value", "held"), [(0.9, True), (1.0, True), (1.1, False)])
def test_a_cost_is_held_up_to_its_bar(value: float, held: bool) -> None:
    row = at_most("cost", value, "ms", 1.0)
    assert (row.bar, row.held) == ("<= 1", held)


@pytest.mark.parametrize(("value", "held"), [(0.9, False), (1.0, True), (1.1, True)])
def test_a_rate_is_held_from_its_bar(value: float, held: bool) -> None:
    row = at_least("rate", value, "x", 1.0)
    assert (row.bar, row.held) == (">= 1", held)


def test_a_figure_without_a_bar_is_held() -> None:
    assert stated("size", 3.0, "MB") == Row("size", 3.0, "MB", "", True)


def test_rows_are_printed_with_the_peers_and_the_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    list(printed([at_most("cost", 2.0, "ms", 1.0, {"a peer": 9.5}, "noisy")]))
    text = capsys.readouterr().out
    assert "MISSED" in text
    assert "a peer" in text
    assert "9.500" in text
    assert "(noisy)" in text


def test_a_benchmark_run_alone_writes_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def benchmark(options: Options) -> Iterator[Row]:
        yield stated("length", options.length(60, 5), "s")

    path = tmp_path / "rows.json"
    monkeypatch.setattr("sys.argv", ["benchmark", "--quick", "--json", str(path)])
    run_alone(benchmark, "How long.")
    assert json.loads(path.read_text()) == [asdict(stated("length", 5, "s"))]
