"""A release that does not come up, and two deployments at once: on a machine reached by ssh."""

import subprocess
import threading
from collections.abc import Iterator

import pytest

from roommood.deploy.site.machine import Machine
from roommood.deploy.site.parts import ACTIVATE, camera_part
from roommood.deploy.site.release import Release
from roommood.deploy.site.rollout import Outcome, Rollout
from tests.deploy.site.ssh_machine import SshMachine
from tests.end_to_end.site import until

PART = camera_part("den-1")
UNIT = "camera-node@den-1.service"
RELEASE = Release(PART, {}, (UNIT,), (), (), ())


@pytest.fixture
def machine(there: SshMachine) -> Iterator[Machine]:
    there.run("rm", "-rf", "/opt/roommood")
    for release in ("old", "new"):
        there.run("mkdir", "-p", f"{PART.root}/releases/{release}")
    with Machine(there.reached()) as machine:
        yield machine


def activates(there: SshMachine, script: str) -> None:
    """Stands for what systemd would do: there is none."""
    there.run(
        "sh", "-c", f"printf '%s\\n' '#!/bin/sh' '{script}' > {ACTIVATE}; chmod 755 {ACTIVATE}"
    )


def switch(machine: Machine, before: str) -> Outcome:
    outcome = Outcome("pi")
    Rollout(machine, RELEASE, (), None)._switch("new", before, lambda *_: None, outcome, [])
    return outcome


@pytest.mark.parametrize("before", ["", "new", "old"], ids=["first", "again", "never-good"])
def test_what_is_left_started_where_there_is_no_release_to_go_back_to_is_told(
    there: SshMachine, machine: Machine, before: str
) -> None:
    activates(there, f"echo not started: {UNIT}; exit 1")
    outcome = switch(machine, before)
    assert not outcome.rolled_back_to
    assert f"no release to go back to: {UNIT} stay" in outcome.problem
    assert "--remove --only den-1" in outcome.problem


def test_it_goes_back_to_a_release_that_came_up_once(there: SshMachine, machine: Machine) -> None:
    there.run("touch", f"{PART.root}/releases/old/good")
    activates(there, "test $2 = old")
    outcome = switch(machine, "old")
    assert outcome.rolled_back_to == "old"
    assert "no release to go back to" not in outcome.problem


def test_of_two_deployments_at_once_the_second_waits_for_what_the_first_does_there(
    there: SshMachine, machine: Machine
) -> None:
    activates(there, "echo second >> /srv/log")
    first = "echo holds; until test -e /srv/go; do sleep 0.05; done; echo first >> /srv/log"
    holder = subprocess.Popen(
        there.inside("flock", str(PART.root), "sh", "-c", first), stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds\n"
    second = threading.Thread(target=switch, args=(machine, ""))
    second.start()
    until(
        lambda: _waiting(there) or not second.is_alive(), "the second has come as far as the lock"
    )
    there.run("touch", "/srv/go")
    second.join(60)
    holder.communicate(timeout=60)
    assert there.run("cat", "/srv/log").split() == ["first", "second"]


def _waiting(there: SshMachine) -> bool:
    processes = there.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    return f"flock {PART.root} {ACTIVATE}" in processes
