"""Nothing is kept without an agreement, and the agreement is kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from roommood.shared.errors import ConfigError
from roommood.training.collect.consent import RECORD, agree

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize("answer", ["", "no", "y", "yes please"])
def test_anything_but_yes_writes_nothing(answer: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not agreed"):
        agree(tmp_path / "faces", "source 0", "a test", lambda _: answer, NOW)
    assert not (tmp_path / "faces").exists()


def test_the_record_has_date_purpose_source_and_the_text_that_was_shown(tmp_path: Path) -> None:
    shown: list[str] = []

    def ask(text: str) -> str:
        shown.append(text)
        return " Yes "

    agree(tmp_path, "source 0", "a test of cameras", ask, NOW)
    record = (tmp_path / RECORD).read_text()
    assert "by typing yes on 2026-03-04 05:06:07 UTC" in record
    assert shown[0] in record
    assert "a test of cameras" in record
    assert "source 0" in record


def test_each_session_adds_to_the_record(tmp_path: Path) -> None:
    for _ in range(2):
        agree(tmp_path, "source 0", "a test", None, NOW)
    assert (tmp_path / RECORD).read_text().count("with --i-have-consent") == 2
