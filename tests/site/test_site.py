"""`roommood deploy` on a desktop and two Pis that boot, over ssh, from an empty disk to removal.

The desktop has a camera too, and tells a broker and a Prometheus what the rooms show.

The tests tell one story and run in the order in which they stand.
"""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from roommood.deploy.site.site_file import read_site
from tests.needs import missing
from tests.site.machines import Booted, base_root, make_key, network, why_not_here
from tests.site.place import BUILD, Place, hang_portraits, link_wheels, until
from tests.site.wheelhouse import ROOT

pytestmark = pytest.mark.timeout(1_200)
ROOMS = ("kitchen", "study", "den")
# Sending a broker's messages on to everybody: this test's own, on the machines' bridge.
MOSQUITTO = "listener 18830 {here}\nallow_anonymous true\n"
WANTED = """
[site]
camera_metrics = true
mqtt = {{ broker = "mqtt://{here}:18830", insecure = true }}

[desktop]
host = "{desk}"
user = "root"
ssh_key = "{key}"
workers = 2

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "{kitchen}"
user = "pi"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 10

[[camera]]
name = "desk-1"
room = "study"
host = "{desk}"
user = "root"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 2

[[camera]]
name = "den-1"
room = "den"
host = "{den}"
user = "root"
ssh_key = "{key}"
source = "simulated:/srv/portraits"
rate_hz = 10
"""


@dataclass
class Whole(Place):
    """Two Pis beside the desktop, and all that the broker was told."""

    kitchen: Booted
    den: Booted
    heard: Path

    @property
    def machines(self) -> tuple[Booted, Booted, Booted]:
        return self.desk, self.kitchen, self.den


@contextlib.contextmanager
def broker(folder: Path, here: str) -> Iterator[Path]:
    """A broker beside the machines; gives the file to which all that it is told goes."""
    (folder / "mosquitto.conf").write_text(MOSQUITTO.format(here=here))
    heard = folder / "heard"
    with heard.open("wb") as file:
        serving = subprocess.Popen(["mosquitto", "-c", str(folder / "mosquitto.conf")])
        until(lambda: _answers(here, 18830), "the broker listens")
        listening = subprocess.Popen(
            ["mosquitto_sub", "-h", here, "-p", "18830", "-t", "roommood/#", "-v"], stdout=file
        )
    try:
        yield heard
    finally:
        for process in (listening, serving):
            process.terminate()
            process.wait(10)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    if why := why_not_here():
        missing(why)
    if not (shutil.which("mosquitto") and shutil.which("mosquitto_sub")):
        missing("no mosquitto: apt-get install mosquitto mosquitto-clients")
    folder = tmp_path_factory.mktemp("site")
    base, key = base_root(BUILD), make_key(folder)
    link_wheels(folder)
    with (
        network() as here,
        broker(folder, here) as heard,
        Booted("desk", 10, base, folder, key) as desk,
        Booted("kitchen", 11, base, folder, key, user="pi") as kitchen,
        Booted("den", 12, base, folder, key) as den,
    ):
        for pi in (desk, kitchen, den):
            hang_portraits(pi)
        one = Whole(folder, desk, ROOMS, kitchen, den, heard)
        text = WANTED.format(
            desk=desk.address, kitchen=kitchen.address, den=den.address, key=key, here=here
        )
        (folder / "site.toml").write_text(text)
        one.release("1.0.0")
        yield one


def test_a_dry_run_says_what_it_would_do_and_does_nothing(place: Whole) -> None:
    code, said = place.deploy("--dry-run")
    assert code == 0, said
    assert "desktop: would change: programs roommood" in said
    assert "den-1: would change: release" in said
    assert not any(one.attempt("ls /opt/roommood")[0] for one in place.machines)
    assert not (place.folder / "keys").exists()


def test_a_site_comes_up_from_nothing_and_is_counted(place: Whole) -> None:
    code, said = place.deploy()
    assert code == 0, said
    assert said.count("frames arrive at a worker") == 3
    until(lambda: all(count > 20 for count in place.rooms().values()), "all rooms are counted")


def test_a_second_run_changes_nothing(place: Whole) -> None:
    started = place.desk.run("systemctl show -P ActiveEnterTimestamp aggregator.service")
    code, said = place.deploy()
    assert code == 0, said
    assert said.split("\n")[:4] == [
        f"{one}: no change" for one in ("desktop", "kitchen-1", "desk-1", "den-1")
    ]
    assert place.desk.run("systemctl show -P ActiveEnterTimestamp aggregator.service") == started


def test_secrets_lie_where_they_are_needed_and_nobody_else_can_read_them(place: Whole) -> None:
    for machine in place.machines:
        found = machine.run(
            "find /etc/roommood -name '*.key' -o -name '*.password' -o -name '*.acl'"
        )
        assert found
        for path in found.split():
            assert machine.run(f"stat -c %a {path}").strip() == "600", path
            assert machine.run(f"stat -c %a $(dirname {path})").strip() in ("700", "750"), path
    assert place.den.run("ls /etc/roommood/keys").split() == ["camera-den-1.key"]
    assert not list((place.folder / "keys" / "to-copy").glob("*.key"))
    _, said = place.desk.attempt("redis-cli -p 5770 get roommood:schema 2>&1")
    assert "NOAUTH" in said


def test_systemd_finds_the_units_sound_and_little_exposed(place: Whole) -> None:
    for machine in place.machines:
        units = units_of(machine)
        said = machine.run(f"systemd-analyze verify {' '.join(units)} 2>&1")
        assert not said, said
        for unit in units:
            judged = machine.run(f"systemd-analyze security --no-pager {unit}")
            level = float(re.findall(r"exposure level for \S+: ([\d.]+)", judged)[0])
            assert level < 3.0, (unit, level)


def units_of(machine: Booted) -> list[str]:
    """What the parts of a machine run."""
    return machine.run(
        "sh -c 'cat /opt/roommood/desktop/current/units.run "
        "/opt/roommood/cameras/*/current/units.run 2>/dev/null; true'"
    ).split()


def test_prometheus_on_the_desktop_is_told_of_everything(place: Whole) -> None:
    groups = json.loads(place.desk.run("cat /etc/roommood/prometheus-targets.json"))
    found = ""
    for target in (target for group in groups for target in group["targets"]):
        ask = f"import urllib.request as u; print(u.urlopen('http://{target}/metrics').read())"
        found += place.desk.run(f'python3 -c "{ask}"')
    for metric in ("roommood_room_up", "roommood_site_camera_up", "roommood_worker_frames_total",
                   "roommood_aggregator_results_total", "roommood_exporter_redis_up"):  # fmt: skip
        assert metric in found
    for camera in ("kitchen-1", "desk-1", "den-1"):
        assert f'roommood_camera_info{{camera="{camera}"' in found


def test_the_broker_hears_of_every_room(place: Whole) -> None:
    for room in ROOMS:
        topic = f"roommood/room/{room}/state"
        until(partial(_is_heard, place.heard, topic), f"{room} is told")


def _is_heard(heard: Path, topic: str) -> bool:
    return topic in heard.read_text()


def test_every_killed_unit_heals(place: Whole) -> None:
    for machine, rooms in (
        (place.desk, ROOMS), (place.kitchen, ("kitchen",)), (place.den, ("den",)),
    ):  # fmt: skip
        for unit in units_of(machine):
            before = place.rooms()
            machine.run(f"systemctl kill -s KILL --kill-who=main {unit}")
            for room in rooms:
                assert until(place.flows(room), f"{room} is counted after {unit} was killed")
            assert kept(before, place.rooms()), f"counts are gone since {unit} was killed"


def kept(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether all that was counted still is."""
    return all(after[room] >= count for room, count in before.items())


def test_a_rebooted_desktop_is_back_with_all_that_was_counted(place: Whole) -> None:
    before = place.rooms()
    place.desk.power_off()
    place.desk.boot()
    for room in before:
        assert until(place.flows(room), f"{room} is counted after the reboot")
    assert kept(before, place.rooms())


def test_a_hung_camera_is_started_again_by_the_watchdog(place: Whole) -> None:
    pid = place.den.run("systemctl show -P MainPID camera-node@den-1.service").strip()
    place.den.run(f"kill -STOP {pid}")
    until(
        lambda: place.den.run("systemctl show -P MainPID camera-node@den-1.service").strip() != pid,
        "systemd replaces it",
        timeout_s=120,
    )
    assert until(place.flows("den"), "the den is counted again")


def test_a_rebooted_pi_is_back_by_itself(place: Whole) -> None:
    place.kitchen.power_off()
    place.kitchen.boot()
    assert until(place.flows("kitchen"), "the kitchen is counted after the reboot")


def test_an_upgrade_under_load_loses_no_counted_result(place: Whole) -> None:
    place.release("1.1.0")
    code, said = place.deploy()
    assert code == 0, said
    assert said.count("programs roommood") == 4
    for machine in place.machines:
        version = machine.run(
            "sh -c '/opt/roommood/*/current/venv/bin/roommood --version || "
            "/opt/roommood/cameras/*/current/venv/bin/roommood --version'"
        )
        assert version.strip() == "roommood 1.1.0"
    for room in ROOMS:
        until(place.flows(room), f"{room} is counted by the new release")
    _assert_every_analysed_frame_is_counted_once(place)


def _assert_every_analysed_frame_is_counted_once(place: Whole) -> None:
    """Cameras stop, then workers; what all workers since the kills analysed is in Redis once."""
    for machine in place.machines:
        machine.run("systemctl stop 'camera-node@*'")
    place.desk.run("systemctl stop inference-worker@1 inference-worker@2")
    ended = place.desk.run(
        "journalctl -u 'inference-worker@*' -o cat --no-pager --grep 'worker ended'"
    )
    assert set(re.findall(r"unacknowledged=(\d+)", ended)) == {"0"}
    for room in ROOMS:
        assert place.rooms()[room] == place.seen(room), f"doubled or missing in {room}"
    place.desk.run("systemctl start inference-worker@1 inference-worker@2")
    for machine in place.machines:
        for unit in (one for one in units_of(machine) if one.startswith("camera-node@")):
            started, said = machine.attempt(f"systemctl start {unit}")
            assert started, said + machine.run(f"journalctl -u {unit} -n 20 --no-pager -o cat")


def test_a_broken_release_is_taken_back(place: Whole) -> None:
    place.release("1.2.0", broken="inference_worker/worker.py")
    code, said = place.deploy()
    assert code == 1
    assert "this release is broken" in said
    assert "runs again, as before" in said
    version = place.desk.run("/opt/roommood/desktop/current/venv/bin/roommood --version")
    assert version.strip() == "roommood 1.1.0"
    for room in ROOMS:
        until(place.flows(room), f"{room} is still counted")
    next((place.folder / "wheels").glob("roommood-1.2.0*")).unlink()


def test_a_revoked_camera_is_refused_within_seconds(place: Whole) -> None:
    command = ["keys", "revoke", "den-1", "--keys", str(place.folder / "keys")]
    subprocess.run(
        [sys.executable, "-P", "-c", "from roommood.deploy.cli import main; main()", *command],
        check=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    code, said = place.deploy("--only", "desktop")
    assert code == 0, said
    assert "cameras.toml" in said
    until(lambda: not _grows(place, "den"), "the den is counted no more")
    assert _grows(place, "kitchen")
    code, said = place.deploy("--only", "den-1")
    assert code == 0, said
    until(place.flows("den"), "with a new key it is counted again")


def _grows(place: Whole, room: str) -> bool:
    more = place.flows(room)
    place.desk.run("sleep 3")
    return more()


def test_one_part_is_removed_and_the_others_of_its_machine_stay(place: Whole) -> None:
    code, said = place.deploy("--remove", "--yes", "--only", "desk-1")
    assert code == 0, said
    assert "desk-1: desktop stays on that machine" in said
    assert not place.desk.attempt("ls /etc/systemd/system/camera-node@desk-1.service")[0]
    assert not place.desk.run("systemctl list-units --all --no-legend 'camera-node@*'")
    assert "desk-1" not in place.desk.run("ls /etc/roommood/keys")
    for room in ("kitchen", "den"):
        until(place.flows(room), f"{room} is still counted")
    code, said = place.deploy("--only", "desk-1")
    assert code == 0, said
    until(place.flows("study"), "the study is counted again")


def test_removal_leaves_nothing(place: Whole) -> None:
    code, said = place.deploy("--remove", "--yes")
    assert code == 0, said
    assert "what was counted stays" in said
    assert place.desk.run("ls /var/lib/roommood-redis")
    desktop = read_site(place.folder / "site.toml").desktop.host
    code, said = place.deploy("--remove", "--purge", "--yes", typed=f"{desktop}\n")
    assert code == 0, said
    for machine in place.machines:
        left = machine.run(
            "find / -xdev ( -iname '*roommood*' -o -name 'camera-node*' ) "
            "-not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*' | cat".replace(
                "( ", r"\( ").replace(" )", r" \)")
        )  # fmt: skip
        assert not left, left
        assert "roommood" not in machine.run("cat /etc/passwd /etc/group")
        assert "roommood" not in machine.run("systemctl list-units --all --no-legend")
    code, said = place.deploy("--remove", "--yes")
    assert (code, said.count("no change")) == (0, 4)
