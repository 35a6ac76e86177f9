"""What is secret on a machine is so at every moment: looked at while it is written, over ssh."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from roommood.deploy.site.machine import Machine, MachineError, Operation
from roommood.deploy.site.secrets import Secret, lying, put_secrets, without
from tests.deploy.site.ssh_machine import SshMachine
from tests.end_to_end.site import until

CONTENT = "secret = 'never to be seen by others'\n"
PATH = "/etc/roommood/keys/camera.key"
OTHERS = "nobody"
# The environment of the tests may lie in /tmp, which the machine has of its own.
PYTHON = f"{sys.base_prefix}/bin/python3"
# Asks without rest for whatever appears in /tmp and in the folder of keys.
WATCHER = f"""
import os, pwd, sys
os.setgroups([])
os.setgid(pwd.getpwnam({OTHERS!r}).pw_gid)
os.setuid(pwd.getpwnam({OTHERS!r}).pw_uid)
print('looking', flush=True)
while True:
    for folder in ('/tmp', '/etc/roommood/keys'):
        try:
            names = [os.path.join(folder, name) for name in os.listdir(folder)]
        except OSError:
            names = []
        for path in (*names, {PATH!r}):
            try:
                with open(path) as file:
                    if 'never to be seen' in file.read():
                        print('READ', path, flush=True)
                        sys.exit()
            except (OSError, UnicodeDecodeError):
                pass
"""


@pytest.fixture(autouse=True)
def clean(there: SshMachine) -> None:
    there.run("rm", "-rf", "/etc/roommood")


@contextlib.contextmanager
def watched(there: SshMachine, log: Path) -> Iterator[Callable[[], str]]:
    """Another user looks on; gives what it has read so far."""
    with log.open("wb") as file:
        process = subprocess.Popen(there.inside(PYTHON, "-c", WATCHER), stdout=file, stderr=file)
    try:
        until(lambda: "looking" in log.read_text(), "the other user looks")
        yield lambda: log.read_text().replace("looking\n", "")
    finally:
        process.kill()
        process.wait(10)


def put_openly(machine: Machine) -> None:
    """As files that everybody may read are put, with the rights set after."""
    from pyinfra.operations import files

    source = Path(machine.reached.ssh_key or "").parent / "source"
    source.write_text(CONTENT)
    arguments = {"src": str(source), "dest": PATH, "mode": "600", "user": "root"}
    machine.apply([Operation("openly", files.put, arguments)])


@pytest.mark.parametrize("user", ["root", "pi"])
def test_nobody_else_reads_a_secret_at_any_moment(
    there: SshMachine, tmp_path: Path, user: str
) -> None:
    with Machine(there.reached(user)) as machine, watched(there, tmp_path / "log") as read:
        for number in range(5):
            secret = Secret(PATH, f"{CONTENT}# {number}\n")
            assert put_secrets(machine, [secret]) == [PATH]
            assert machine.run(f"cat {PATH}") == secret.text.strip()
        assert read() == ""
    assert there.run("stat", "-c", "%a %U", PATH, "/etc/roommood/keys") == "600 root\n700 root\n"


def test_the_control_as_other_files_are_put_it_is_read_on_the_way(
    there: SshMachine, tmp_path: Path
) -> None:
    with Machine(there.reached("root")) as machine, watched(there, tmp_path / "log") as read:
        there.run("mkdir", "-p", "-m", "755", "/etc/roommood/keys")
        for _ in range(20):
            machine.run(f"rm -f {PATH}")
            put_openly(machine)
            if read():
                break
        assert read() == f"READ {PATH}\n"


def test_what_is_copied_is_under_no_name_that_others_know(
    there: SshMachine, tmp_path: Path
) -> None:
    with Machine(there.reached("pi")) as machine, watched(there, tmp_path / "log") as read:
        there.run("mkdir", "-p", "-m", "700", "/etc/roommood/keys")
        for _ in range(5):
            machine.run(f"rm -f {PATH}")
            put_openly(machine)
        assert read() == ""
    assert there.run("ls", "/tmp") == "", "the folder for copying went with the connection"


def test_a_secret_that_lies_there_is_left_alone(there: SshMachine) -> None:
    secret = Secret(PATH, CONTENT)
    with Machine(there.reached("pi")) as machine:
        assert put_secrets(machine, [secret], dry_run=True) == [PATH]
        assert not machine.attempt(f"ls {PATH}")[0]
        put_secrets(machine, [secret])
        assert put_secrets(machine, [secret]) == []


@pytest.mark.parametrize("slip", [f"chmod 644 {PATH}", "chmod 755 /etc/roommood/keys"])
def test_a_secret_that_others_could_reach_is_put_anew(there: SshMachine, slip: str) -> None:
    secret = Secret(PATH, CONTENT)
    with Machine(there.reached("pi")) as machine:
        put_secrets(machine, [secret])
        machine.run(slip)
        assert put_secrets(machine, [secret]) == [PATH]
    assert there.run("stat", "-c", "%a", PATH, "/etc/roommood/keys") == "600\n700\n"


def test_a_service_reads_its_own_file_and_nothing_beside_it(there: SshMachine) -> None:
    secret = Secret("/etc/roommood/allowed/cameras.toml", CONTENT, owner="pi", is_live=True)
    with Machine(there.reached("root")) as machine:
        put_secrets(machine, [secret])
    assert there.run("cat", secret.path, user="pi") == CONTENT
    with pytest.raises(AssertionError, match="Permission denied"):
        there.run("cat", secret.path, user=OTHERS)


def test_a_secret_replaces_a_link_and_leaves_what_it_pointed_to(there: SshMachine) -> None:
    there.run("mkdir", "-p", "-m", "700", "/etc/roommood/keys")
    there.run("ln", "-s", "/srv/elsewhere", PATH)
    with Machine(there.reached("root")) as machine:
        put_secrets(machine, [Secret(PATH, CONTENT)])
    assert there.run("cat", PATH) == CONTENT
    with pytest.raises(AssertionError, match="No such file"):
        there.run("cat", "/srv/elsewhere")


def test_a_secret_that_is_needed_no_more_is_out_of_sight_and_then_deleted(
    there: SshMachine,
) -> None:
    path = PurePosixPath(PATH)
    with Machine(there.reached("pi")) as machine:
        assert lying(machine, [path]) == []
        put_secrets(machine, [Secret(PATH, CONTENT)])
        assert lying(machine, [path]) == [path]
        with without(machine, [path, path.with_name("never.there")]):
            assert not machine.attempt(f"test -e {PATH}")[0]
            assert lying(machine, [path]) == [path], "a next run finds what this one leaves"
        assert machine.run("ls -A /etc/roommood/keys") == ""


def test_a_secret_is_back_where_what_needs_it_no_more_does_not_start(there: SshMachine) -> None:
    path = PurePosixPath(PATH)
    with Machine(there.reached("pi")) as machine:
        put_secrets(machine, [Secret(PATH, CONTENT)])
        with pytest.raises(MachineError), without(machine, [path]):
            machine.run("false")
        assert machine.run(f"stat -c '%a %U' {PATH}; ls -A /etc/roommood/keys") == (
            "600 root\ncamera.key"
        )
