"""What a test does that lacks a program: skips for whoever has none, fails where CI is set."""

import pytest

from tests.needs import missing


@pytest.mark.parametrize("value", ["true", "1"])
def test_what_is_missing_in_ci_fails(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match="no such program"):
        missing("no such program")


@pytest.mark.parametrize("value", ["", None])
def test_what_is_missing_elsewhere_skips(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if value is not None:
        monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="no such program"):
        missing("no such program")
