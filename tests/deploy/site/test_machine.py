"""Why a machine cannot be reached, or root there, is told in one line with what to do."""

import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from pyinfra.operations import files as on_disk

from roommood.deploy.site.machine import Machine, MachineError, Operation
from roommood.deploy.site.site_file import Reached
from tests.deploy.site.ssh_machine import SshMachine, make_key


def complaint(reached: Reached, capfd: pytest.CaptureFixture[str]) -> str:
    """What is said of a machine that cannot be used; nothing else is printed."""
    with pytest.raises(MachineError) as error, Machine(reached):
        pass
    assert capfd.readouterr() == ("", "")
    return str(error.value)


def test_sudo_that_wants_a_password_is_told_as_such(
    there: SshMachine, capfd: pytest.CaptureFixture[str]
) -> None:
    output = complaint(there.reached("ada.lovelace"), capfd)
    assert "sudo asks ada.lovelace for a password" in output
    assert "NOPASSWD" in output


def test_a_user_without_sudo_is_told_as_such(
    there: SshMachine, capfd: pytest.CaptureFixture[str]
) -> None:
    there.run("sh", "-c", "rm -f /etc/sudoers.d/of-0")
    output = complaint(there.reached("pi"), capfd)
    assert "pi cannot become root" in output or "sudo asks pi" in output
    there.run("sh", "-c", "echo 'pi ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/of-0")
    with Machine(there.reached("pi")) as machine:
        assert machine.run("id -un") == "root"


def test_a_key_that_is_not_there_is_told_without_a_traceback(
    there: SshMachine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reached = there.reached().model_copy(update={"ssh_key": tmp_path / "none"})
    assert f"there is no ssh_key {tmp_path}/none" in complaint(reached, capfd)


def test_a_file_that_is_no_key_is_told_without_a_traceback(
    there: SshMachine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("hello")
    reached = there.reached().model_copy(update={"ssh_key": tmp_path / "key"})
    assert "cannot be read" in complaint(reached, capfd)


def test_a_key_with_a_passphrase_wants_an_agent_and_works_with_one(
    there: SshMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = make_key(tmp_path / "locked", "secret words")
    reached = there.reached().model_copy(update={"ssh_key": key})
    output = complaint(reached, capfd)
    assert "has a passphrase" in output
    assert f"ssh-add {key}" in output

    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    socket, pid = (agent.split(f"{name}=")[1].split(";")[0]
                   for name in ("SSH_AUTH_SOCK", "SSH_AGENT_PID"))  # fmt: skip
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        # The machine lets in the key of the tests; the agent is asked, since this one is locked.
        subprocess.run(["ssh-add", "-q", str(there.folder / "id")], check=True)
        with Machine(reached) as machine:
            assert machine.run("id -un") == "root"
    finally:
        os.kill(int(pid), 15)


def test_a_host_key_that_is_another_than_before_is_told_with_the_line_that_forgets_it(
    there: SshMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    known = tmp_path / ".ssh/known_hosts"
    known.parent.mkdir(mode=0o700)
    known.write_text(f"[127.0.0.1]:{there.port} {other}")
    output = complaint(there.reached(), capfd)
    forget = output.split("`")[3]
    assert forget == f"ssh-keygen -R '[127.0.0.1]:{there.port}'"
    assert _ssh(there, known) != 0, "control: ssh itself refuses it"
    # It asks the system where its user is at home, not the variable.
    where = [*shlex.split(forget), "-f", str(known)]
    subprocess.run(where, check=True, capture_output=True)
    assert _ssh(there, known) == 0


def _ssh(there: SshMachine, known: Path) -> int:
    words = [
        "ssh", "-q", "-i", str(there.folder / "id"), "-p", str(there.port),
        "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=accept-new",
        "-o", "BatchMode=yes", "root@127.0.0.1", "true",
    ]  # fmt: skip
    return subprocess.run(words, stdin=subprocess.DEVNULL, timeout=30, check=False).returncode


def test_a_machine_where_nobody_listens_is_told_with_the_ssh_line_to_try(
    capfd: pytest.CaptureFixture[str],
) -> None:
    output = complaint(Reached(host="127.0.0.1", user="pi", ssh_port=1), capfd)
    assert "`ssh -p 1 pi@127.0.0.1` must work without a question" in output


def test_what_is_made_there_can_be_read_whatever_mask_root_and_the_user_have(
    there: SshMachine,
) -> None:
    there.run("sh", "-c", "echo 'Defaults umask=0077, umask_override' > /etc/sudoers.d/umask")
    with Machine(there.reached("pi")) as machine:
        machine.run("mkdir /srv/made && touch /srv/made/file")
    there.run("rm", "/etc/sudoers.d/umask")
    there.run("cat", "/srv/made/file", user="pi")


def test_why_a_file_cannot_be_copied_is_told(there: SshMachine, tmp_path: Path) -> None:
    (tmp_path / "wheel").write_bytes(bytes(3_000_000))
    there.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", "/tmp")
    copy = Operation("copy", on_disk.put, {"src": str(tmp_path / "wheel"), "dest": "/srv/wheel"})
    with (
        Machine(there.reached("pi")) as machine,
        pytest.raises(MachineError, match=r"(?s)copy: failed\n.*is /tmp full"),
    ):
        machine.apply([copy])
    there.run("umount", "/tmp")


def test_a_connection_that_is_cut_is_told_in_one_line(there: SshMachine) -> None:
    with Machine(there.reached()) as machine:
        # Of those that it went through, the last sshd is the one that serves this connection.
        cut = (
            "p=$$; while p=$(ps -o ppid= -p $p | tr -d ' '); do "
            "case $(ps -o comm= -p $p) in sshd*) kill -9 $p; exit;; esac; done"
        )
        machine.attempt(cut)
        with pytest.raises(MachineError, match=r"the connection broke .*run this again"):
            machine.run("true")


def test_a_command_without_an_end_is_given_up_and_the_next_one_runs(there: SshMachine) -> None:
    with Machine(there.reached("pi")) as machine:
        began = time.monotonic()
        assert machine.attempt("echo begun; sleep 60", timeout_s=1) == (False, "no end within 1 s")
        assert time.monotonic() - began < 30
        assert machine.run("id -un") == "root"


def test_a_machine_that_answers_no_more_is_told_as_such(there: SshMachine) -> None:
    with pytest.raises(MachineError, match="cannot reach"):
        _ask_one_that_has_fallen_silent(there)


def _ask_one_that_has_fallen_silent(there: SshMachine) -> None:
    with Machine(there.reached()) as machine, there.silent():
        machine.attempt("true", timeout_s=1)
