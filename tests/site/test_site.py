"""`roommood deploy` on a desktop and two Pis that boot, over ssh, from an empty disk to removal.

The desktop has a camera too, and tells a broker and a Prometheus what the rooms show.

The tests tell one story and run in the order in which they stand.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from roommood.aggregator.redis import keys as redis_keys
from roommood.deploy.site.site_file import read_site
from roommood.shared.clock_kept import is_clock_kept
from tests.browser.chromium import chromium
from tests.browser.switches import SWITCHES, choose
from tests.needs import missing
from tests.site.machines import Booted, base_root, make_key, network, why_not_here, write
from tests.site.place import BUILD, hang_portraits, link_wheels, until
from tests.site.wheelhouse import ROOT
from tests.site.whole import ROOMS, SITE, Whole, broker

pytestmark = pytest.mark.timeout(2_400)


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
        whole = Whole(folder, desk, ROOMS, kitchen, den, heard, here)
        text = SITE.format(
            desk=desk.address, kitchen=kitchen.address, den=den.address, key=key, here=here
        )
        (folder / "site.toml").write_text(text)
        whole.release("1.0.0")
        yield whole


def test_a_dry_run_says_what_it_would_do_and_does_nothing(place: Whole) -> None:
    code, output = place.deploy("--dry-run")
    assert code == 0, output
    assert "desktop: would change: programs roommood" in output
    assert "den-1: would change: release" in output
    assert not any(machine.attempt("ls /opt/roommood")[0] for machine in place.machines)
    assert not (place.folder / "keys").exists()


def test_a_site_comes_up_from_nothing_and_is_counted(place: Whole) -> None:
    code, output = place.deploy()
    assert code == 0, output
    assert output.count("frames arrive at a worker") == 3
    until(lambda: all(count > 20 for count in place.rooms().values()), "all rooms are counted")


def test_a_second_run_changes_nothing(place: Whole) -> None:
    started = place.desk.run("systemctl show -P ActiveEnterTimestamp aggregator.service")
    code, output = place.deploy()
    assert code == 0, output
    assert output.split("\n")[:4] == [
        f"{part}: no change" for part in ("desktop", "kitchen-1", "desk-1", "den-1")
    ]
    assert place.desk.run("systemctl show -P ActiveEnterTimestamp aggregator.service") == started


def test_secrets_lie_where_they_are_needed_and_nobody_else_can_read_them(place: Whole) -> None:
    for machine in place.machines:
        result = machine.run(
            "find /etc/roommood -name '*.key' -o -name '*.password' -o -name '*.acl'"
        )
        assert result
        for path in result.split():
            assert machine.run(f"stat -c %a {path}").strip() == "600", path
            assert machine.run(f"stat -c %a $(dirname {path})").strip() in ("700", "750"), path
    assert place.den.run("ls /etc/roommood/keys").split() == ["camera-den-1.key"]
    assert not list((place.folder / "keys" / "to-copy").glob("*.key"))
    _, output = place.desk.attempt("redis-cli -p 5770 get roommood:schema 2>&1")
    assert "NOAUTH" in output


def test_systemd_finds_the_units_sound_and_little_exposed(place: Whole) -> None:
    for machine in place.machines:
        units = units_of(machine)
        output = machine.run(f"systemd-analyze verify {' '.join(units)} 2>&1")
        assert not output, output
        for unit in units:
            judged = machine.run(f"systemd-analyze security --no-pager {unit}")
            level = float(re.findall(r"exposure level for \S+: ([\d.]+)", judged)[0])
            assert level < 3.0, (unit, level)


def test_a_cameras_service_may_ask_whether_the_clock_is_set(place: Whole) -> None:
    unit = place.den.run("cat /etc/systemd/system/camera-node@den-1.service")
    assert asked_in(place.den, unit) == str(is_clock_kept())
    assert asked_in(place.den, f"{unit}\n[Service]\nProtectClock=yes\n") == "None", "the control"


def asked_in(machine: Booted, unit: str) -> str:
    """What is_clock_kept says in a service that is confined as `unit` has it."""
    program = "/opt/roommood/cameras/den-1/current/venv/bin/python"
    code = "from roommood.shared import clock_kept as c; print(c.is_clock_kept())"
    unit = re.sub(r"^(WatchdogSec|StartLimit\w+)=.*\n", "", unit, flags=re.MULTILINE)
    unit = re.sub(r"^ExecStart=.*", f'ExecStart={program} -c "{code}"', unit, flags=re.MULTILINE)
    unit = unit.replace("Type=notify", "Type=oneshot").replace("Restart=always", "Restart=no")
    write(machine.root / "srv/asks@den-1.service", unit)
    machine.run("sh -c 'mv /srv/asks@den-1.service /run/systemd/system; systemctl daemon-reload'")
    machine.run("systemctl start asks@den-1.service")
    machine.run("journalctl --sync")
    output = machine.run("journalctl -u asks@den-1.service -o cat --no-pager")
    return str(re.findall(r"^(?:True|False|None)$", output, re.MULTILINE)[-1])


def units_of(machine: Booted) -> list[str]:
    """What the parts of a machine run."""
    return machine.run(
        "sh -c 'cat /opt/roommood/desktop/current/units.run "
        "/opt/roommood/cameras/*/current/units.run 2>/dev/null; true'"
    ).split()


def test_prometheus_on_the_desktop_is_told_of_everything(place: Whole) -> None:
    groups = json.loads(place.desk.run("cat /etc/roommood/prometheus-targets.json"))
    result = ""
    for target in (target for group in groups for target in group["targets"]):
        ask = f"import urllib.request as u; print(u.urlopen('http://{target}/metrics').read())"
        result += place.desk.run(f'python3 -c "{ask}"')
    for metric in ("roommood_room_up", "roommood_site_camera_up", "roommood_worker_frames_total",
                   "roommood_aggregator_results_total", "roommood_exporter_redis_up"):  # fmt: skip
        assert metric in result
    for camera in ("kitchen-1", "desk-1", "den-1"):
        assert f'roommood_camera_info{{camera="{camera}"' in result


def test_the_broker_hears_of_every_room(place: Whole) -> None:
    for room in ROOMS:
        topic = f"roommood/room/{room}/state"
        until(partial(_is_heard, place.heard, topic), f"{room} is told")


def _is_heard(heard: Path, topic: str) -> bool:
    return topic in heard.read_text()


def test_what_the_file_says_of_a_room_holds_and_the_page_shows_it(place: Whole) -> None:
    assert place.redis(f"hget {redis_keys.VIEWS} kitchen").strip() == "apart"
    assert place.redis(f"hget {redis_keys.GROUPS} kitchen").strip() == "first floor"
    with place.page() as url, chromium() as seen:
        seen.open(url)
        until(lambda: "first floor" in seen.text().lower(), "its group is on the page")


def test_a_room_is_paused_and_resumed_on_the_page(place: Whole) -> None:
    with place.page() as url, chromium() as seen:
        seen.open(f"{url}/room/kitchen")
        choose(seen, "Whole room", "Paused")
        until(lambda: not place.grows("kitchen"), "the kitchen is counted no more")
        assert place.redis(f"smembers {redis_keys.PAUSED}").split() == ["kitchen"]
        assert place.grows("den")
        choose(seen, "Whole room", "On")
        until(place.flows("kitchen"), "the kitchen is counted again")


def test_a_camera_is_paused_and_resumed_by_the_broker(place: Whole) -> None:
    switch = "roommood/camera/den-1/switch"
    assert place.messages_of("homeassistant/switch/"), "Home Assistant is told of switches"
    until(lambda: "ON" in place.messages_of(switch)[switch], "its switch is on")
    place.say(f"{switch}/set", "OFF")
    until(lambda: not place.grows("den"), "the den is counted no more")
    until(lambda: "OFF" in place.messages_of(switch)[switch], "its switch is off")
    place.say(f"{switch}/set", "ON")
    until(place.flows("den"), "the den is counted again")


def test_without_switches_the_password_is_gone_and_everything_runs(place: Whole) -> None:
    password = "/etc/roommood/keys/redis-operator.password"
    assert place.desk.run(f"stat -c '%a %U' {password}").split() == ["600", "root"]
    place.rewrite("page_switches = true\nmqtt_switches = true\n", "")
    code, output = place.deploy("--only", "desktop")
    assert code == 0, output
    assert f"{password} goes" in output
    assert not place.desk.attempt(f"ls {password}")[0]
    for unit in units_of(place.desk):
        assert place.desk.run(f"systemctl is-active {unit}").strip() == "active", unit
    with place.page() as url, chromium() as seen:
        seen.open(f"{url}/room/den")
        assert not seen.page.query_selector(SWITCHES)
    place.say("roommood/camera/den-1/switch/set", "OFF")
    until(lambda: not place.messages_of("homeassistant/switch/"), "no switch is left")
    assert place.grows("den"), "nobody hears a command any more"


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
    code, output = place.deploy()
    assert code == 0, output
    assert output.count("programs roommood") == 4
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
        for unit in (name for name in units_of(machine) if name.startswith("camera-node@")):
            started, output = machine.attempt(f"systemctl start {unit}")
            assert started, output + machine.run(f"journalctl -u {unit} -n 20 --no-pager -o cat")


def test_a_broken_release_is_taken_back(place: Whole) -> None:
    place.release("1.2.0", broken="inference_worker/worker.py")
    code, output = place.deploy()
    assert code == 1
    assert "this release is broken" in output
    assert "runs again, as before" in output
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
    code, output = place.deploy("--only", "desktop")
    assert code == 0, output
    assert "cameras.toml" in output
    until(lambda: not place.grows("den"), "the den is counted no more")
    assert place.grows("kitchen")
    code, output = place.deploy("--only", "den-1")
    assert code == 0, output
    until(place.flows("den"), "with a new key it is counted again")


def test_one_part_is_removed_and_the_others_of_its_machine_stay(place: Whole) -> None:
    code, output = place.deploy("--remove", "--yes", "--only", "desk-1")
    assert code == 0, output
    assert "desk-1: desktop stays on that machine" in output
    assert not place.desk.attempt("ls /etc/systemd/system/camera-node@desk-1.service")[0]
    assert not place.desk.run("systemctl list-units --all --no-legend 'camera-node@*'")
    assert "desk-1" not in place.desk.run("ls /etc/roommood/keys")
    for room in ("kitchen", "den"):
        until(place.flows(room), f"{room} is still counted")
    code, output = place.deploy("--only", "desk-1")
    assert code == 0, output
    until(place.flows("study"), "the study is counted again")


def test_removal_leaves_nothing(place: Whole) -> None:
    code, output = place.deploy("--remove", "--yes")
    assert code == 0, output
    assert "what was counted stays" in output
    assert place.desk.run("ls /var/lib/roommood-redis")
    desktop = read_site(place.folder / "site.toml").desktop.host
    code, output = place.deploy("--remove", "--purge", "--yes", typed=f"{desktop}\n")
    assert code == 0, output
    for machine in place.machines:
        left = machine.run(
            "find / -xdev ( -iname '*roommood*' -o -name 'camera-node*' ) "
            "-not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*' | cat".replace(
                "( ", r"\( ").replace(" )", r" \)")
        )  # fmt: skip
        assert not left, left
        assert "roommood" not in machine.run("cat /etc/passwd /etc/group")
        assert "roommood" not in machine.run("systemctl list-units --all --no-legend")
    code, output = place.deploy("--remove", "--yes")
    assert (code, output.count("no change")) == (0, 4)
