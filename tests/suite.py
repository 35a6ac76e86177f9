"""The command line of a suite of rows, its JSON file, and its table in docs/reliability.md."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tests.rows import ROOT, Plan, Row, Skipped, run_row

Line = Mapping[str, Any]
PAGE: Final = ROOT / "docs" / "reliability.md"


@dataclass(frozen=True, slots=True)
class Suite:
    """Rows that are run and shown together under a name ("faults", "hostile")."""

    name: str
    rows: Sequence[Row]
    about: str = ""

    @property
    def results(self) -> Path:
        return ROOT / "build" / f"{self.name}.json"

    @property
    def histories(self) -> Path:
        return ROOT / "build" / self.name


def main(suite: Suite, arguments: Sequence[str] | None = None) -> int:
    """Runs the rows that were asked for; 0 if all of them held."""
    given = _parser(suite).parse_args(arguments)
    if given.list:
        for row in suite.rows:
            print(f"{row.name:36} {row.times:5} x  {row.what}")
        return 0
    if given.table:
        write_page(suite, _kept(suite))
        return 0
    chosen = [row for row in suite.rows if not given.only or row.name in given.only]
    lines = _run(suite, chosen, given)
    missed = [line["name"] for line in lines if not line["held"]]
    print(f"{len(lines) - len(missed)} of {len(lines)} rows held", *missed, sep="\n  ")
    if not (given.only or given.quick or given.times):
        write_page(suite, _kept(suite))
    return 1 if missed else 0


def _parser(suite: Suite) -> argparse.ArgumentParser:
    about = (suite.about or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(prog=f"python -m tests.{suite.name}", description=about)
    names = [row.name for row in suite.rows]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=0, help="instead of what each row says")
    parser.add_argument("--quick", action="store_true", help="a few times each, shorter faults")
    parser.add_argument("--resume", action="store_true", help="leave out rows that held before")
    parser.add_argument("--no-control", action="store_true", help="leave out the controls")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--table", action="store_true", help="only write docs/reliability.md again")
    return parser


def _run(suite: Suite, rows: Sequence[Row], given: argparse.Namespace) -> list[Line]:
    kept = {line["name"]: line for line in _kept(suite)}
    plan = Plan(given.seed, given.times, given.quick, not given.no_control, suite.histories)
    done: list[Line] = []
    for number, row in enumerate(rows, start=1):
        before = kept.get(row.name)
        if given.resume and before and before["held"] and before["quick"] <= given.quick:
            continue
        print(f"[{number}/{len(rows)}] {row.name}: {row.what}", flush=True)
        start = {"at": _now(), "load": round(os.getloadavg()[0], 1)}
        try:
            line = {**run_row(row, plan), **start}
        except Skipped as why:
            print(f"    skipped: {why}", flush=True)
            continue
        kept[row.name] = line
        done.append(line)
        _say(line)
        _write(suite, kept)
    return done


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="minutes")


def _say(line: Line) -> None:
    verdict = "held" if line["held"] else "NOT HELD: " + "; ".join(line["failures"])
    control = {None: "", True: ", control failed as it must", False: ", CONTROL DID NOT FAIL"}
    recovery = "" if line["recovery_s"] is None else f", back in {line['recovery_s']:g} s"
    print(
        f"    {line['times']} times in {line['took_s']:g} s, {line['lost']} lost, "
        f"{line['doubled']} doubled{recovery}{control[line['control_failed']]}: {verdict}",
        flush=True,
    )
    if line["detail"]:
        print(f"    {line['detail']}", flush=True)


def _kept(suite: Suite) -> list[Line]:
    """The lines of earlier runs, of rows that still exist."""
    lines = json.loads(suite.results.read_text()) if suite.results.is_file() else []
    names = {row.name for row in suite.rows}
    return [line for line in lines if line["name"] in names]


def _write(suite: Suite, kept: Mapping[str, Line]) -> None:
    lines = [kept[row.name] for row in suite.rows if row.name in kept]
    suite.results.parent.mkdir(exist_ok=True)
    suite.results.write_text(json.dumps(lines, indent=2) + "\n")


# The page


def write_page(suite: Suite, lines: Sequence[Line]) -> None:
    """Puts the table between the suite's marks. The page must have them."""
    begin, end = f"<!-- {suite.name}:begin -->", f"<!-- {suite.name}:end -->"
    text = PAGE.read_text()
    if begin not in text or end not in text:
        sys.exit(f"error: {PAGE} has no marks {begin} ... {end}")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    absent = [row.name for row in suite.rows if row.name not in {line["name"] for line in lines}]
    PAGE.write_text(f"{head}{begin}\n{rendered(lines, absent)}\n{end}{tail}")


def rendered(lines: Sequence[Line], absent: Sequence[str] = ()) -> str:
    """Markdown: a table for each group, and the names of the rows that have no result."""
    if not lines:
        return "Not run yet."
    held = sum(bool(line["held"]) for line in lines)
    when = sorted(line["at"] for line in lines)
    about = (
        f"{held} of {len(lines) + len(absent)} rows held, {when[0]} to {when[-1]}, on {_machine()}."
    )
    missing = ["", f"Without a result: {', '.join(absent)}."] if absent else []
    return "\n".join([about, *missing, *_tables(lines)])


def _machine() -> str:
    return f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"


def _tables(lines: Sequence[Line]) -> Iterator[str]:
    for group, rows in groupby(lines, lambda line: str(line["group"])):
        yield from ("", f"### {group}", "") if group else ("",)
        yield "| What is done | Times | Lost | Doubled | Back in | Without its protection | Held |"
        yield "| --- | ---: | ---: | ---: | ---: | --- | --- |"
        notes = []
        for row in rows:
            yield _row(row)
            if row["detail"] or row["failures"]:
                notes.append(_note(row))
        yield from ("", *notes) if notes else ()


def _row(line: Line) -> str:
    recovery = "" if line["recovery_s"] is None else f"{line['recovery_s']:.1f} s"
    if line["recover_within_s"] is not None:
        recovery += f" (≤ {line['recover_within_s']:g})"
    cells = (
        line["what"],
        f"{line['times']:,}",
        str(line["lost"]),
        str(line["doubled"]),
        recovery,
        _control(line),
        "yes" if line["held"] else "**no**",
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _control(line: Line) -> str:
    if line["control_failed"] is None:
        return ""
    return f"{line['control']}: " + ("fails" if line["control_failed"] else "**holds too**")


def _note(line: Line) -> str:
    missed = f" Not as promised: {'; '.join(line['failures'])}." if line["failures"] else ""
    detail = f" {line['detail']}." if line["detail"] else ""
    return f"- `{line['name']}`:{detail}{missed} Seed {line['seed']}, load {line['load']}."
