import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from roommood.shared.errors import ConfigError
from roommood.shared.process.command import fail, run_app


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


def run(code: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own, whose app is `code`; `Path.home` and the like are what they are."""
    start = f"import sys, typer; from roommood.shared.process.command import run_app; {code}"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "app",
    ["typer.echo('much')", "__import__('rich.console').console.Console().print('much')"],
)
def test_an_output_that_takes_no_more_is_one_clear_line(app: str) -> None:
    done = run(f"sys.stdout = open('/dev/full', 'w'); run_app(lambda: {app})")
    assert done.stderr == "error: the output takes no more: No space left on device\n"
    assert done.returncode == 1


def without(numbers: str, code: str) -> "subprocess.CompletedProcess[bytes]":
    """A process of its own with these descriptors closed."""
    start = f"import sys, typer; from roommood.shared.process.command import run_app; {code}"
    command = ["sh", "-c", f'exec "$@" {numbers}', "sh", sys.executable, "-c", start]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("app", ["typer.echo('much')", "sys.stdout.writelines(['much'])"])
def test_an_output_that_is_closed_is_one_clear_line(app: str) -> None:
    done = without(">&-", f"run_app(lambda: ({app}, sys.stdout.flush()))")
    assert done.stderr == b"error: the output takes no more: Bad file descriptor\n"
    assert done.returncode == 1


def test_no_file_or_socket_gets_the_number_of_a_closed_output(tmp_path: Path) -> None:
    app = f"open({str(tmp_path / 'mine')!r}, 'w').fileno() > 2 or sys.exit(3)"
    assert without("<&- >&- 2>&-", f"run_app(lambda: {app})").returncode == 0


def test_a_user_without_a_home_is_told_so() -> None:
    code = (
        "import os, pathlib; [os.environ.pop('HOME', None)]; "
        "home = lambda: pathlib.Path('~nobody-has-this-name/keys').expanduser(); run_app(home)"
    )
    done = run(code)
    assert done.stderr.startswith("error: this user has no home directory: set HOME")
    assert done.returncode == 2


def test_a_file_that_cannot_be_used_is_named_without_a_traceback(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "file"
    done = run("run_app(lambda: open(sys.argv[1], 'w'))", str(missing))
    assert done.stderr == f"error: {missing}: No such file or directory\n"
    assert done.returncode == 1


def test_a_failure_of_the_system_that_is_neither_keeps_its_traceback() -> None:
    done = run("app = lambda: (_ for _ in ()).throw(ConnectionResetError(104, 'reset')); "
               "run_app(lambda: next(app()))")  # fmt: skip
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("latin-1", "'h\\u00e9 \\u2026'", "h\xe9 \\u2026\n".encode("latin-1")),
        ("utf-8:strict", "'h\\udcff'", b"h\xff\n"),
    ],
)
def test_a_terminal_that_lacks_a_letter_is_no_error(encoding: str, text: str, shown: bytes) -> None:
    code = f"from rich.console import Console; run_app(lambda: Console().print({text}))"
    start = f"from roommood.shared.process.command import run_app; {code}"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", start]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=environment)
    assert (done.returncode, done.stdout) == (0, shown), done.stderr


LOADS = """
def app():
    try:
        os.kill(os.getpid(), signal.{signal})
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None
    raise ImportError("initialization failed")
"""


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGCONT", 1)])
def test_a_library_that_is_interrupted_while_it_loads_is_not_told_as_broken(
    number: str, code: int
) -> None:
    done = run(f"import os, signal; exec({LOADS.format(signal=number)!r}); run_app(app)")
    assert done.returncode == code
    assert ("Traceback" in done.stderr) == (code == 1)


def test_an_interrupt_outside_of_the_app_is_no_traceback() -> None:
    done = run("import os, signal; run_app(lambda: os.kill(os.getpid(), signal.SIGINT))")
    assert (done.returncode, done.stderr) == (130, "")


def test_what_a_terminal_would_obey_is_shown_and_not_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A name of a file, or what a server says: "é" is a letter, and lines stay lines."""
    assert fail(ConfigError("a\x1b]0;owned\x07é\r\n  line 2")) == 2
    assert capsys.readouterr().err == "error: a\\x1b]0;owned\\x07é\\r\n  line 2\n"


def test_a_traceback_has_no_values() -> None:
    """With typer's default of older versions it shows each variable (`make lowest`)."""
    code = (
        "from roommood.shared.process.command import new_app, run_app\n"
        "app = new_app()\n"
        "@app.command()\n"
        "def command() -> None:\n"
        "    password = ''.join(('S3', 'CRET'))\n"
        "    raise ValueError('broken')\n"
        "run_app(app)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "broken" in done.stderr, "S3CRET" in done.stderr) == (1, True, False)
