import sys

import pytest
import typer

from roommood.shared.process.command import run_app


def test_a_python_of_32_bits_is_refused_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    with pytest.raises(SystemExit) as ended:
        run_app(lambda: typer.echo("begun"))
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert output.out == ""
    assert "32 bits" in output.err
    assert "Raspberry Pi OS (64-bit)" in output.err


def test_with_64_bits_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    run_app(lambda: typer.echo("begun"))
    assert capsys.readouterr().out == "begun\n"
