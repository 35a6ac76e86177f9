"""A running site from before parts and one import name, taken to this version without a loss."""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import missing
from tests.site.machines import (
    BOOKWORM,
    SUITE,
    Booted,
    base_root,
    make_key,
    network,
    why_not_here,
)
from tests.site.place import (
    BUILD,
    ROOMS,
    TWO_PIS,
    Place,
    hang_portraits,
    link_wheels,
    until,
)
from tests.site.wheelhouse import ROOT, pip

pytestmark = pytest.mark.timeout(2_400)
FORMER = "4ed8ae2"


@dataclass
class FormerSite(Place):
    """Two Pis beside the desktop."""

    kitchen: Booted
    den: Booted


def former_source(folder: Path) -> Path:
    """The tree of that version, out of this repository's history."""
    done = subprocess.run(
        ["git", "archive", FORMER], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip(f"the history here does not reach back to {FORMER}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FormerSite]:
    """A site that the former version's own `roommood deploy` has brought up."""
    if why := why_not_here():
        missing(why)
    if SUITE != BOOKWORM:
        pytest.skip("a site of that version is on Debian 12")
    folder = tmp_path_factory.mktemp("upgrade")
    source = former_source(folder / "former")
    base, key = base_root(BUILD), make_key(folder)
    link_wheels(folder)
    pip("wheel", "--no-deps", "--wheel-dir", str(folder / "wheels"), str(source))
    with contextlib.ExitStack() as stack:
        stack.enter_context(network())
        desk, kitchen, den = (
            stack.enter_context(Booted(name, number, base, folder, key, user=user))
            for name, number, user in (
                ("desk", 10, "root"),
                ("kitchen", 11, "pi"),
                ("den", 12, "pi"),
            )
        )
        for pi in (kitchen, den):
            hang_portraits(pi)
        text = TWO_PIS.format(desk=desk.address, kitchen=kitchen.address, den=den.address, key=key)
        (folder / "site.toml").write_text(text)
        site = FormerSite(folder, desk, ROOMS, kitchen, den)
        _deploy_former(site, source)
        until(lambda: all(count > 20 for count in site.rooms().values()), "the site counts")
        yield site


def _deploy_former(place: Place, source: Path) -> None:
    home = place.folder / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-P", "-c",
         f"import sys; sys.path.insert(0, {str(source)!r})\n"
         "from deploy.cli import main; main()", "deploy",
         str(place.folder / "site.toml"), "--wheelhouse", str(place.folder / "wheels")],
        capture_output=True, text=True, timeout=1_800, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.desk.run("ls /opt/roommood/current/units.run")


def kept(before: dict[str, int], after: dict[str, int]) -> bool:
    return all(after[room] >= count for room, count in before.items())


def test_a_desktop_of_this_version_serves_cameras_of_the_former(place: FormerSite) -> None:
    before = place.rooms()
    place.release("1.0.0")
    code, output = place.deploy("--only", "desktop")
    assert code == 0, output
    assert kept(before, place.rooms())
    for room in ROOMS:
        assert until(place.flows(room), f"{room} is counted by the new desktop")
    assert place.kitchen.run("systemctl is-active camera-node.service").strip() == "active"


def test_a_camera_whose_new_release_fails_runs_as_before(place: FormerSite) -> None:
    place.release("1.0.1", broken="camera_node/node.py")
    code, output = place.deploy("--only", "kitchen-1")
    assert code == 1, output
    assert "runs again, as before" in output
    assert place.kitchen.run("systemctl is-active camera-node.service").strip() == "active"
    assert until(place.flows("kitchen"), "the kitchen is counted as before")
    next((place.folder / "wheels").glob("roommood-1.0.1*")).unlink()


def test_each_camera_comes_over_with_its_key_and_nothing_is_lost(place: FormerSite) -> None:
    before, key = place.rooms(), place.kitchen.run("cat /etc/roommood/keys/camera.key")
    code, output = place.deploy("--only", "kitchen-1")
    assert code == 0, output
    assert place.kitchen.run("cat /etc/roommood/keys/camera-kitchen-1.key") == key
    for room in ROOMS:
        assert until(place.flows(room), f"{room} is counted, old beside new")
    code, output = place.deploy()
    assert code == 0, output
    assert place.deploy()[1].count("no change") == 3
    for pi in (place.kitchen, place.den):
        assert not pi.attempt("ls /etc/systemd/system/camera-node.service")[0]
        units = pi.run("systemctl list-units --all --no-legend --plain").splitlines()
        assert not [unit for unit in units if "camera-node.service" in unit]
    for room in ROOMS:
        assert until(place.flows(room), f"{room} is counted by the new camera")
    assert kept(before, place.rooms())
    _assert_counted_once(place)


def _assert_counted_once(place: FormerSite) -> None:
    for pi in (place.kitchen, place.den):
        pi.run("systemctl stop 'camera-node@*'")
    place.desk.run("systemctl stop inference-worker@1")
    ended = place.desk.run("journalctl -u inference-worker@1 -o cat --grep 'worker ended'")
    assert "unacknowledged=0" in ended.splitlines()[-1]
    for room in ROOMS:
        assert place.rooms()[room] == place.seen(room), f"doubled or missing in {room}"


def test_the_next_upgrade_leaves_nothing_of_the_former_layout(place: FormerSite) -> None:
    place.desk.run("systemctl start inference-worker@1")
    place.release("1.1.0")
    code, output = place.deploy()
    assert code == 0, output
    for machine, part in ((place.kitchen, "cameras"), (place.desk, "desktop")):
        assert set(machine.run("ls /opt/roommood").split()) - {"packages"} == {"activate", part}
    assert place.den.run("ls /etc/roommood/keys").split() == ["camera-den-1.key"]
