"""What ssh's own files say of a machine counts, and what ssh cannot do is told in one line."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from roommood.deploy.site.machine import Machine, MachineError
from roommood.deploy.site.site_file import Reached
from tests.deploy.site.ssh_machine import SshMachine, make_key
from tests.end_to_end.site import until

ROOT: Final = Path(__file__).parents[3]
ALIAS: Final = "Host pi-k\n HostName 127.0.0.1\n Port {port}\n IdentityFile {key}\n"
JUMP: Final = (
    "Host jump\n HostName 127.0.0.1\n User root\n Port {port}\n IdentityFile {key}\n"
    " UserKnownHostsFile {home}/.ssh/known_jumps\n"
)
PLAIN: Final = "Host pi-k\n HostName 127.0.0.1\n IdentityFile {key}\n Port {port}\n"
NEW: Final = " StrictHostKeyChecking accept-new\n"
BY_ALIAS: Final = Reached(host="pi-k", user="root")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def configure(home: Path, there: SshMachine, text: str) -> None:
    filled = text.format(port=there.port, key=there.folder / "id", home=home)
    (home / ".ssh/config").write_bytes(filled.encode("latin-1"))


def who(reached: Reached) -> str:
    with Machine(reached) as machine:
        # Once more, as before each round of operations.
        machine.apply([])
        return machine.run("id -un")


@pytest.mark.parametrize(
    "text",
    [
        ALIAS,
        "# für die Küche\n" + ALIAS,
        "Include {home}/.ssh/none\n" + ALIAS,
        'Match exec "true"\n IdentityFile {key}\nHost pi-k\n HostName 127.0.0.1\n Port {port}\n',
        PLAIN + " ProxyJump none\n",
        PLAIN + " ProxyCommand none\n",
        PLAIN + " UserKnownHostsFile ~/.ssh/not/there\n",
        PLAIN + " ProxyJump jump\n" + JUMP + NEW,
        PLAIN + " ProxyJump jump,jump\n" + JUMP + NEW,
        PLAIN + " ProxyCommand ssh -F {home}/.ssh/config -W %h:%p jump 2>&1\n" + JUMP + NEW,
    ],
)
def test_an_alias_is_reached_as_ssh_reaches_it(home: Path, there: SshMachine, text: str) -> None:
    configure(home, there, text)
    assert who(BY_ALIAS) == "root"


def test_the_second_of_two_keys_is_tried_as_well(home: Path, there: SshMachine) -> None:
    other = make_key(home / "other")
    configure(home, there, f"Host *\n IdentityFile {other}\n" + ALIAS)
    assert who(BY_ALIAS) == "root"


def test_the_port_of_the_sites_file_goes_first(home: Path, there: SshMachine) -> None:
    configure(home, there, ALIAS.replace("{port}", "1"))
    assert who(BY_ALIAS.model_copy(update={"ssh_port": there.port})) == "root"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Port abc\n", "line 1: Bad port 'abc'"),
        ("Foo bar\n" + ALIAS, "line 1: Bad configuration option: foo"),
        (PLAIN + " StrictHostKeyChecking yes\n", "No host key"),
        (PLAIN + " ProxyCommand nosuchprogram %h\n", "nosuchprogram: not found"),
        (PLAIN + " ProxyJump jump\n" + JUMP, "Host key verification failed"),
    ],
)
def test_what_ssh_cannot_do_is_told_without_a_traceback_or_a_question(
    home: Path, there: SshMachine, capfd: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    configure(home, there, text)
    with pytest.raises(MachineError, match="cannot reach pi-k") as error:
        who(BY_ALIAS)
    assert message in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_new_host_key_is_noted_once_and_on_a_line_of_its_own(
    home: Path, there: SshMachine
) -> None:
    configure(home, there, ALIAS)
    known = home / ".ssh/known_hosts"
    known.write_text("# no end of this line")
    who(BY_ALIAS)
    lines = known.read_text().splitlines()
    assert lines[0] == "# no end of this line"
    assert [line.split()[0] for line in lines[1:]] == [f"[127.0.0.1]:{there.port}"]


def test_the_public_half_of_a_key_is_told_as_that(there: SshMachine) -> None:
    key = there.folder / "id"
    public = there.reached().model_copy(update={"ssh_key": key.with_suffix(".pub")})
    with pytest.raises(MachineError, match=f"public half, .* give {key}$"):
        who(public)


def test_a_default_key_with_a_passphrase_is_told_with_what_to_do(
    home: Path, there: SshMachine
) -> None:
    make_key(home / ".ssh/id_ed25519", "secret words")
    with pytest.raises(MachineError, match="ssh-add"):
        who(Reached(host="127.0.0.1", user="root", ssh_port=there.port))


def with_shell(there: SshMachine, name: str, script: str, rule: str = "ALL") -> Reached:
    """A user of that login shell, who may use sudo by that rule."""
    there.run("sh", "-c", 'printf %s "$1" >/srv/$2; chmod 755 /srv/$2', "sh", script, name)
    there.run("useradd", "-M", "-d", "/srv", "-s", f"/srv/{name}", name)
    there.run("usermod", "-p", "*", name)
    line = f"{name} ALL=(ALL) NOPASSWD: {rule}\n"
    there.run("sh", "-c", 'printf %s "$1" >/etc/sudoers.d/$2', "sh", line, name)
    return there.reached(name)


def test_a_shell_that_prints_where_nobody_looks_on_is_told_with_what_to_do(
    there: SshMachine,
) -> None:
    chatty = with_shell(there, "chatty", '#!/bin/sh\necho Welcome\nexec /bin/sh "$@"\n')
    with pytest.raises(MachineError, match=r"'Welcome' before .*bashrc.*\[ -t 1 \]"):
        who(chatty)


def test_a_shell_that_runs_nothing_is_told_as_that(there: SshMachine) -> None:
    nobody = with_shell(there, "nobody-in", "#!/bin/sh\necho No login here\nexit 1\n")
    with pytest.raises(MachineError, match=r"runs no commands: No login here: `chsh"):
        who(nobody)


def test_a_shell_that_ends_a_word_at_the_end_of_a_line_and_looks_for_history_is_served(
    there: SshMachine,
) -> None:
    """As csh does: what it is given must have neither."""
    script = (
        '#!/bin/sh\ncase "$2" in *"\n"*|*!*) echo "Unmatched." >&2; exit 1;; esac\n'
        'exec /bin/sh "$@"\n'
    )
    user = with_shell(there, "csh-like", script)
    assert who(user) == "root"
    with Machine(user) as machine:
        assert machine.run("cat\n[ ! -e /none ] && echo 'a b'", stdin="in\n") == "in\na b"


def test_sudo_for_some_programs_alone_is_told_and_asks_nothing(
    there: SshMachine, capfd: pytest.CaptureFixture[str]
) -> None:
    some = with_shell(there, "some", '#!/bin/sh\nexec /bin/sh "$@"\n', "/usr/bin/id")
    with pytest.raises(MachineError, match="sudo asks some for a password"):
        who(some)
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_ends_it_without_a_traceback(home: Path, there: SshMachine) -> None:
    configure(home, there, ALIAS)
    program = (
        "import signal\n"
        "from roommood.deploy.site.machine import Machine\n"
        "from roommood.deploy.site.site_file import Reached\n"
        # What a shell starts in the background is deaf to it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        '    with Machine(Reached(host="pi-k", user="root")) as machine:\n'
        '        machine.run("touch /tmp/waits; sleep 3")\n'
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=dict(os.environ), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(lambda: there.run("ls", "/tmp").split().count("waits"), "the command runs")
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)[1]
    assert (process.returncode, printed) == (130, "")
