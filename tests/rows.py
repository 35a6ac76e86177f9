"""Rows of a reliability table: what is done to the system, how often, and what came of it.

`make faults` and `make hostile` run such rows. To add some:

1. Write a function `(trial: Trial) -> Outcome`. It does the fault `trial.times` times, seeded by
   `trial.seed`, with its logs under `trial.folder`, and tells what it counted. With
   `trial.protected` False it does the same with the protection switched off, and must then fail:
   by an Outcome that is not as promised, or by an AssertionError. `trial.note(...)` writes a line
   of history, kept when a row fails.
2. Make `Row`s of such functions and put them into a tuple ROWS of a module `*_rows.py` of
   `tests/faults/` (or `tests/hostile/`); `discover` finds them there.
3. `python -m tests.faults --only NAME` runs one; in a `test_*.py`, `check(row, tmp_path, times=2)`
   is its short form and `check_control(row, tmp_path)` that of its control.

A suite is a `__main__.py` of a few lines:

    if __name__ == "__main__":
        sys.exit(main(Suite("faults", discover("tests.faults"), __doc__)))

with `main` and `Suite` of `tests/suite.py`. It writes `build/<suite>.json`, keeps histories of rows
that failed under `build/<suite>/`, and replaces what stands between `<!-- <suite>:begin -->` and
`<!-- <suite>:end -->` in docs/reliability.md when the whole suite has been run, in full.
"""

import importlib
import json
import pkgutil
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
# A row that ends with another error than an AssertionError shows nothing, nor does its control.
BROKEN: Final = "broken: "


@dataclass(frozen=True, slots=True)
class Trial:
    """How a row is to be run this time."""

    seed: int
    protected: bool
    times: int
    folder: Path
    quick: bool = False

    def note(self, what: str, **fields: object) -> None:
        """Adds a line to the history of this run."""
        line = {"at": round(time.time(), 3), "what": what, **fields}
        with (self.folder / "history.jsonl").open("a") as history:
            history.write(json.dumps(line, default=str) + "\n")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of a row found.

    `lost`: results that were acknowledged, or frames that nobody counts, and are not there;
    `doubled`: what is counted twice; `recovery_s`: the longest time from the end of a fault until
    work went on, None where that means nothing; `wrong`: what else was not as promised; `times`:
    how often it was tried, 0 for as often as was asked; `detail`: what a reader should know.
    """

    lost: int = 0
    doubled: int = 0
    recovery_s: float | None = None
    detail: str = ""
    wrong: str = ""
    times: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `what` is the fault in words; `control` names the protection that the control switches off, ""
    where there is none; `control_tries`: how many runs it may take until one of them fails;
    `recover_within_s`: the bar on `recovery_s`; `timeout_s` bounds each run.
    """

    name: str
    what: str
    run: Callable[[Trial], Outcome] = field(repr=False)
    group: str = ""
    times: int = 1
    quick_times: int = 1
    control: str = ""
    control_times: int = 0
    control_tries: int = 1
    recover_within_s: float | None = None
    timeout_s: float = 600.0

    def failures(self, outcome: Outcome) -> list[str]:
        """In what an outcome falls short of what is promised."""
        late = self.recover_within_s is not None and (
            outcome.recovery_s is None or outcome.recovery_s > self.recover_within_s
        )
        failed = [
            f"{outcome.lost} lost" if outcome.lost else "",
            f"{outcome.doubled} doubled" if outcome.doubled else "",
            f"recovered in {outcome.recovery_s} s, {self.recover_within_s} allowed" if late else "",
            outcome.wrong,
        ]
        return [failure for failure in failed if failure]


class Skipped(Exception):
    """This row cannot be run here; the text says what it wants."""


def discover(package: str) -> list[Row]:
    """The rows of all modules `*_rows` of a package, in the order of the modules' names."""
    folder = str(importlib.import_module(package).__path__[0])
    names = sorted(module_info.name for module_info in pkgutil.iter_modules([folder]))
    modules = [importlib.import_module(f"{package}.{n}") for n in names if n.endswith("_rows")]
    rows: list[Row] = [row for module in modules for row in module.ROWS]
    repeated = {row.name for row in rows if sum(other.name == row.name for other in rows) > 1}
    assert not repeated, f"two rows of one name: {repeated}"
    return rows


# Short forms


def check(row: Row, folder: Path, *, seed: int = 1, times: int = 1) -> Outcome:
    """Runs a row as a test: raises AssertionError if it does not hold."""
    outcome = run_once(row, Trial(seed, True, times, folder, quick=True))
    assert not row.failures(outcome), f"{row.name}: {row.failures(outcome)}, {outcome.detail}"
    return outcome


def check_control(row: Row, folder: Path, *, seed: int = 1, times: int = 1) -> list[str]:
    """Runs a row's control as a test: raises AssertionError if all is well without protection.

    In what it fell short.
    """
    trial = Trial(seed, False, times, folder, quick=True)
    outcome = run_once(row, trial)
    assert not outcome.wrong.startswith(BROKEN), outcome.wrong
    failures = row.failures(outcome)
    assert failures, f"{row.name} holds without {row.control}"
    return failures


# One run


def run_once(row: Row, trial: Trial) -> Outcome:
    """What the row found; an AssertionError in it is an outcome too."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    trial.note("run", row=row.name, seed=trial.seed, protected=trial.protected, times=trial.times)
    try:
        with _time_limit(row.timeout_s):
            outcome = row.run(trial)
    except AssertionError as error:
        trial.note("failed", why=traceback.format_exc())
        outcome = Outcome(wrong=_first_lines(error))
    except Skipped:
        raise
    except Exception as error:
        trial.note("broken", why=traceback.format_exc())
        outcome = Outcome(wrong=f"{BROKEN}{error!r}")
    trial.note("outcome", outcome=repr(outcome), failures=row.failures(outcome))
    return outcome


def _first_lines(error: AssertionError) -> str:
    return " ".join(str(error).split())[:500] or "an assertion failed"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends what is inside with an AssertionError if it takes longer. Main thread only."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


# A row with its control


@dataclass(frozen=True, slots=True)
class Plan:
    """How a suite is run: `times` 0 for what each row says."""

    seed: int
    times: int
    quick: bool
    with_control: bool
    histories: Path


def run_row(row: Row, plan: Plan) -> dict[str, Any]:
    """One row, then its control; the line of the JSON file. Raises Skipped."""
    times = plan.times or (row.quick_times if plan.quick else row.times)
    began = time.monotonic()
    outcome = _kept_if(
        row, Trial(plan.seed, True, times, plan.histories / row.name, plan.quick), good=True
    )
    failures = row.failures(outcome)
    took_s = time.monotonic() - began
    # What fails with its protection shows nothing by failing without.
    shows = bool(row.control) and plan.with_control and not failures
    control_failed = _control_failed(row, plan) if shows else None
    return {
        "name": row.name,
        "group": row.group,
        "what": row.what,
        "times": outcome.times or times,
        "lost": outcome.lost,
        "doubled": outcome.doubled,
        "recovery_s": None if outcome.recovery_s is None else round(outcome.recovery_s, 2),
        "recover_within_s": row.recover_within_s,
        "control": row.control,
        "control_failed": control_failed,
        "held": not failures and control_failed is not False,
        "failures": failures,
        "detail": outcome.detail,
        "seed": plan.seed,
        "quick": plan.quick,
        "took_s": round(took_s, 1),
    }


def _control_failed(row: Row, plan: Plan) -> bool:
    """True if the row failed, as it must, with its protection switched off."""
    for n in range(row.control_tries):
        times = row.control_times or plan.times or row.quick_times
        folder = plan.histories / f"{row.name}-control-{n}"
        outcome = _kept_if(row, Trial(plan.seed + n, False, times, folder, plan.quick), good=False)
        if row.failures(outcome) and not outcome.wrong.startswith(BROKEN):
            return True
    return False


def _kept_if(row: Row, trial: Trial, *, good: bool) -> Outcome:
    """Runs a row; its folder stays only if the outcome is not the one that is expected."""
    shutil.rmtree(trial.folder, ignore_errors=True)
    outcome = run_once(row, trial)
    if good is not bool(row.failures(outcome)):
        shutil.rmtree(trial.folder, ignore_errors=True)
    return outcome
