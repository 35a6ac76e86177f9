"""The rows of the reliability table: what counts as held, and what is written down."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests import suite as suite_module
from tests.rows import Outcome, Plan, Row, Skipped, Trial, check, check_control, discover, run_row
from tests.suite import Suite, main, rendered


def protected_only(trial: Trial) -> Outcome:
    return Outcome() if trial.protected else Outcome(doubled=1)


ROW = Row("a-row", "something breaks", protected_only, "Kills", times=3, control="the seen bits")


def plan(tmp_path: Path) -> Plan:
    return Plan(seed=1, times=0, quick=True, with_control=True, histories=tmp_path)


def test_a_row_holds_if_it_fails_only_without_its_protection(tmp_path: Path) -> None:
    line = run_row(ROW, plan(tmp_path))
    assert (line["held"], line["control_failed"], line["failures"]) == (True, True, [])
    assert list(tmp_path.iterdir()) == [], "a history of what went as it should is not kept"


def test_a_row_that_holds_without_its_protection_shows_nothing(tmp_path: Path) -> None:
    line = run_row(replace(ROW, run=lambda _: Outcome()), plan(tmp_path))
    assert (line["held"], line["control_failed"]) == (False, False)
    assert (tmp_path / "a-row-control-0" / "history.jsonl").is_file()


@pytest.mark.parametrize(
    "outcome",
    [Outcome(lost=1), Outcome(doubled=1), Outcome(wrong="a traceback"), Outcome(recovery_s=1.1)],
    ids=repr,
)
def test_what_is_not_as_promised_is_kept_with_its_history(tmp_path: Path, outcome: Outcome) -> None:
    row = Row("a-row", "it breaks", lambda _: outcome, recover_within_s=1.0)
    line = run_row(row, plan(tmp_path))
    assert not line["held"]
    assert line["control_failed"] is None
    history = (tmp_path / "a-row" / "history.jsonl").read_text().splitlines()
    assert [json.loads(entry)["what"] for entry in history] == ["run", "outcome"]


def test_an_assertion_in_a_row_is_an_outcome(tmp_path: Path) -> None:
    def broken(trial: Trial) -> Outcome:
        raise AssertionError("the worker\n died")

    line = run_row(Row("a-row", "it breaks", broken), plan(tmp_path))
    assert line["failures"] == ["the worker died"]


def test_a_row_that_is_broken_shows_nothing_by_failing(tmp_path: Path) -> None:
    def broken(trial: Trial) -> Outcome:
        if trial.protected:
            return Outcome()
        raise KeyError("a typing error")

    line = run_row(replace(ROW, run=broken), plan(tmp_path))
    assert (line["control_failed"], line["held"]) == (False, False)


def test_a_row_that_hangs_is_ended(tmp_path: Path) -> None:
    def hangs(trial: Trial) -> Outcome:
        time.sleep(30)  # the hang itself, which the row's limit ends
        return Outcome()

    line = run_row(Row("a-row", "it hangs", hangs, timeout_s=0.05), plan(tmp_path))
    assert line["failures"] == ["took longer than 0.05 s"]


def test_the_short_forms_say_what_is_wrong(tmp_path: Path) -> None:
    check(ROW, tmp_path)
    check_control(ROW, tmp_path)
    with pytest.raises(AssertionError, match="1 lost"):
        check(replace(ROW, run=lambda _: Outcome(lost=1)), tmp_path)
    with pytest.raises(AssertionError, match="holds without the seen bits"):
        check_control(replace(ROW, run=lambda _: Outcome()), tmp_path)


def test_the_rows_of_the_suite_have_names_of_their_own() -> None:
    assert all(row.name and row.what and row.times >= 1 for row in discover("tests.faults"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(suite_module, "ROOT", tmp_path)
    monkeypatch.setattr(suite_module, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("# Page\n<!-- s:begin -->\nold\n<!-- s:end -->\nrest\n")
    return tmp_path


def test_a_whole_run_writes_the_page_and_the_results(root: Path) -> None:
    assert main(Suite("s", [ROW]), []) == 0
    (line,) = json.loads((root / "build" / "s.json").read_text())
    assert {"name", "times", "lost", "doubled", "recovery_s", "control_failed", "held"} <= set(line)
    assert line["times"] == 3
    page = (root / "page.md").read_text()
    assert page.startswith("# Page\n<!-- s:begin -->\n1 of 1 rows held")
    assert page.endswith("<!-- s:end -->\nrest\n")
    assert "| something breaks | 3 | 0 | 0 |  | the seen bits: fails | yes |" in page


def test_a_run_is_taken_up_where_it_was_left(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no(trial: Trial) -> Outcome:
        return Outcome(lost=2)

    bad = Row("bad", "worse breaks", no)
    assert main(Suite("s", [ROW, bad]), ["--quick"]) == 1
    capsys.readouterr()
    assert main(Suite("s", [ROW, bad]), ["--quick", "--resume"]) == 1
    assert "a-row" not in capsys.readouterr().out


def test_a_row_that_cannot_be_run_here_is_left_out(root: Path) -> None:
    def absent(trial: Trial) -> Outcome:
        raise Skipped("wants root")

    assert main(Suite("s", [Row("a-row", "it breaks", absent)]), []) == 0
    assert not (root / "build" / "s.json").exists()


def test_a_row_that_is_missed_is_shown_as_missed() -> None:
    line = {
        "name": "a", "group": "", "what": "it | breaks", "times": 1, "lost": 2, "doubled": 0,
        "recovery_s": 0.51, "recover_within_s": 1.0, "control": "no bits", "control_failed": False,
        "held": False, "failures": ["2 lost"], "detail": "", "seed": 7, "load": 0.5, "at": "now",
    }  # fmt: skip
    text = rendered([line])
    assert "| it / breaks | 1 | 2 | 0 | 0.5 s (≤ 1) | no bits: **holds too** | **no** |" in text
    assert "- `a`: Not as promised: 2 lost. Seed 7, load 0.5." in text
