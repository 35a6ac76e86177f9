"""One figure beside its bar: what every benchmark yields, prints and keeps."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

Beside = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `beside` holds what the peers, or another way of doing it, cost in `unit`.

    `held` says whether `value` met `bar`; a figure without a bar is held by being stated.
    `note` says what a reader must know to judge the figure.
    """

    name: str
    value: float
    unit: str
    bar: str = ""
    held: bool = True
    beside: Beside = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How a benchmark is to be run; `detector` and `yunet` are paths, "" for what is shipped."""

    quick: bool = False
    detector: str = ""
    yunet: str = ""

    def length(self, full: float, quick: float) -> float:
        return quick if self.quick else full


Benchmark = Callable[[Options], Iterable[Row]]


def at_most(
    name: str, value: float, unit: str, bar: float, beside: Beside | None = None, note: str = ""
) -> Row:
    return Row(name, value, unit, f"<= {bar:g}", value <= bar, beside or {}, note)


def at_least(
    name: str, value: float, unit: str, bar: float, beside: Beside | None = None, note: str = ""
) -> Row:
    return Row(name, value, unit, f">= {bar:g}", value >= bar, beside or {}, note)


def stated(name: str, value: float, unit: str, beside: Beside | None = None, note: str = "") -> Row:
    """A figure without a bar."""
    return Row(name, value, unit, beside=beside or {}, note=note)


def printed(rows: Iterable[Row]) -> Iterator[Row]:
    """Passes rows on as they come, each with a line on the terminal."""
    for row in rows:
        verdict = "" if not row.bar else "held" if row.held else "MISSED"
        print(f"  {row.name:60} {row.value:10.3f} {row.unit:12} {row.bar:10} {verdict}")
        for who, value in row.beside.items():
            print(f"      {who:56} {value:10.3f} {row.unit}")
        if row.note:
            print(f"      ({row.note})", flush=True)
        yield row


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="shorter runs, coarser figures")
    parser.add_argument("--detector", default="", help="a face detector's ONNX file, or haar")
    parser.add_argument("--yunet", default="", help="YuNet's ONNX file, to be measured beside")


def options_of(given: argparse.Namespace) -> Options:
    return Options(given.quick, given.detector, given.yunet)


def run_alone(benchmark: Benchmark, description: str | None) -> None:
    """The command line of one benchmark."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--json", type=Path, help="write the rows there")
    given = parser.parse_args()
    began = time.monotonic()
    rows = list(printed(benchmark(options_of(given))))
    print(f"  {time.monotonic() - began:.0f} s")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
