"""Several parts on one machine: none ends, moves or removes another."""

from pathlib import Path

import pytest

from roommood.deploy.site import neighbours
from roommood.deploy.site.machine import Machine
from roommood.deploy.site.parts import DESKTOP_PART, Part, camera_part
from tests.deploy.site.deploys import deploy
from tests.deploy.site.ssh_machine import SshMachine

# Two names for 127.0.0.1 that every resolver knows.
DESK, DEN = "127.1", "127.0.1"
SITE = """
[desktop]
host = "{desk}"
ssh_port = {port}
ssh_key = "{key}"

[[camera]]
name = "den-1"
room = "den"
host = "{host}"
user = "root"
ssh_port = {port}
ssh_key = "{key}"
"""
# As a machine with one part had it.
FORMER = """
mkdir -p /opt/roommood/releases/abc/units /opt/roommood/venvs/v/bin /etc/roommood/keys
ln -s ../../venvs/v /opt/roommood/releases/abc/venv
echo {unit} > /opt/roommood/releases/abc/units.run
echo ExecStart=/opt/roommood/current/venv/bin/x > /opt/roommood/releases/abc/units/{unit}
touch /opt/roommood/venvs/v/bin/x /etc/roommood/keys/camera.key
ln -s releases/abc /opt/roommood/current
"""


@pytest.fixture(autouse=True)
def clean(there: SshMachine) -> None:
    there.run("rm", "-rf", "/opt/roommood", "/etc/roommood")


def lies(there: SshMachine, path: str) -> bool:
    return "yes" in there.run("sh", "-c", f"test -e {path} && echo yes || echo no")


def dry_run(there: SshMachine, folder: Path, host: str, *options: str) -> str:
    """What would be done on a site whose hosts are names for that one machine."""
    text = SITE.format(desk=DESK, port=there.port, key=there.folder / "id", host=host)
    return deploy(folder, text, "--dry-run", *options)


def test_the_same_machine_under_two_names_is_noticed(there: SshMachine, tmp_path: Path) -> None:
    output = dry_run(there, tmp_path, DEN)
    assert f"den-1: FAILED: {DESK} and {DEN} are the same machine under two names" in output

    control = dry_run(there, tmp_path, DESK)
    assert "two names" not in control
    assert "den-1: would change" in control


def test_a_desktop_is_noticed_when_a_camera_comes_alone_under_another_name(
    there: SshMachine, tmp_path: Path
) -> None:
    there.run("mkdir", "-p", "/opt/roommood/desktop")
    output = dry_run(there, tmp_path, DEN, "--only", "den-1")
    assert f"den-1: FAILED: {DESK} and {DEN} are the same machine under two names" in output


def test_a_machine_that_has_nothing_yet_has_no_parts(there: SshMachine) -> None:
    with Machine(there.reached("pi")) as machine:
        assert neighbours.parts_of(machine) == []


def test_a_camera_that_the_file_no_longer_has_there_goes(there: SshMachine, tmp_path: Path) -> None:
    there.run("mkdir", "-p", "/opt/roommood/cameras/hall-1", "/opt/roommood/desktop")
    output = dry_run(there, tmp_path, DESK, "--only", "den-1")
    assert f"den-1: would change: hall-1, which {DESK} no longer has, goes" in output
    assert "desktop" not in output
    assert lies(there, "/opt/roommood/cameras/hall-1"), "a dry run changes nothing"


@pytest.mark.parametrize(
    ("unit", "part", "other"),
    [
        ("aggregator.service", DESKTOP_PART, camera_part("den-1")),
        ("camera-node.service", camera_part("den-1"), DESKTOP_PART),
    ],
)
def test_a_release_from_before_parts_becomes_its_parts(
    there: SshMachine, unit: str, part: Part, other: Part
) -> None:
    there.run("sh", "-c", FORMER.format(unit=unit))
    with Machine(there.reached("pi")) as machine:
        assert not neighbours.adopt(machine, other)
        assert neighbours.adopt(machine, part)
        assert not neighbours.adopt(machine, part), "once"
        assert neighbours.parts_of(machine) == [part]
        for old in ("current", "releases/abc", part.folder + "/current"):
            assert lies(there, f"/opt/roommood/{old}/venv/bin/x"), "what runs still finds its files"

        neighbours.forget_former(machine)
        assert lies(there, "/opt/roommood/current"), "one can go back to it"
        there.run("rm", "-r", f"/opt/roommood/{part.folder}/releases/abc")
        neighbours.forget_former(machine)
    left = there.run("ls", "/opt/roommood").split()
    assert left == [part.folder.partition("/")[0]]
    assert not lies(there, "/etc/roommood/keys/camera.key")


def test_removing_one_part_leaves_the_others_and_what_they_share(there: SshMachine) -> None:
    den, hall = camera_part("den-1"), camera_part("hall-1")
    for part in (DESKTOP_PART, den, hall):
        there.run("mkdir", "-p", f"/opt/roommood/{part.folder}", "/etc/roommood/keys")
        there.run("touch", *(str(path) for path in part.secrets if path.parent.name == "keys"))
    with Machine(there.reached()) as machine:
        assert neighbours.remove(machine, den, purge=False) == ["/opt/roommood/cameras/den-1"]
        assert neighbours.parts_of(machine) == [hall, DESKTOP_PART]
        assert not lies(there, "/etc/roommood/keys/camera-den-1.key")
        assert lies(there, "/etc/roommood/keys/camera-hall-1.key")
        neighbours.remove(machine, DESKTOP_PART, purge=False)
        assert not lies(there, "/etc/roommood/keys/workers.key")
        assert lies(there, "/etc/roommood/keys/camera-hall-1.key")
        assert "/etc/roommood" in neighbours.remove(machine, hall, purge=False)
        assert neighbours.remove(machine, hall, purge=False) == []
    assert not lies(there, "/opt/roommood")


def test_data_goes_with_the_desktop_and_only_when_asked(there: SshMachine) -> None:
    data = "/srv/counted"
    there.run("mkdir", "-p", "/opt/roommood/desktop", "/opt/roommood/cameras/den-1", data)
    with Machine(there.reached()) as machine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "DATA", data)
        assert data not in neighbours.remove(machine, camera_part("den-1"), purge=True)
        assert data not in neighbours.remove(machine, DESKTOP_PART, purge=False)
        assert lies(there, data)
        assert data in neighbours.remove(machine, DESKTOP_PART, purge=True)
    assert not lies(there, data)
