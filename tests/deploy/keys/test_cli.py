"""`roommood keys`: what it writes, who can read it, and what it says is to be done."""

import fcntl
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner, Result

from roommood.deploy.doctor.findings import Level
from roommood.deploy.doctor.keys import check_keys
from roommood.deploy.keys.cli import app
from roommood.deploy.keys.redis_users import write_redis_access
from roommood.deploy.keys.site_keys import SiteKeys, new_pair
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import AggregatorSettings, WorkerSettings, load
from roommood.shared.security.allow_list import AccessPolicy, AllowList, FixedPolicy
from roommood.shared.security.keys import (
    KeyPair,
    aggregator_keys,
    camera_keys,
    read_bundle,
    worker_keys,
)
from roommood.shared.transport.listener import Listener
from roommood.shared.transport.sockets import bind_frames, bind_reports
from tests.shared.peers import free_address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "site" / "keys"


@pytest.fixture
def site(folder: Path) -> SiteKeys:
    keys = SiteKeys(folder)
    keys.init()
    return keys


def keys(folder: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, [*words, "--keys", str(folder)], env={"COLUMNS": "200"})
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def modes(folder: Path) -> set[str]:
    return {
        f"{'d' if path.is_dir() else 'f'}{stat.S_IMODE(path.stat().st_mode):o}"
        for path in [folder, *folder.rglob("*")]
    }


def secrets(folder: Path) -> set[str]:
    """Every secret that lies anywhere under a folder."""
    lines = [line for path in folder.rglob("*.key") for line in path.read_text().splitlines()]
    return {line.split('"')[1] for line in lines if line.startswith("secret")}


# A site in a few commands


def test_a_site_is_set_up_in_a_few_commands_and_all_of_it_is_private(folder: Path) -> None:
    before = os.umask(0)
    try:
        output = keys(folder, "init").output
        output += keys(folder, "add-camera", "door", "--room", "kitchen").output
        output += keys(folder, "add-worker").output
    finally:
        os.umask(before)
    assert modes(folder) == {"d700", "f600"}
    assert camera_keys(folder / "to-copy", "door", "kitchen") is not None
    assert worker_keys(folder / "to-copy" / "worker") is not None
    assert aggregator_keys(folder) is not None
    assert "camera-door.key" in output
    assert str(folder / "to-copy" / "worker") in output


def test_a_bundle_holds_what_its_machine_needs_and_no_more(site: SiteKeys) -> None:
    camera, worker = site.add_camera("door", "kitchen"), site.add_worker()
    own = secrets(camera.parent) - secrets(worker)
    assert own == {read_bundle(camera).keys.own.secret}
    assert secrets(worker) == {site.workers().secret}
    assert {path.name for path in worker.iterdir()} == {"workers.key", "cameras.toml"}
    assert site.workers().secret not in camera.read_text()


def test_nothing_that_is_printed_is_a_secret(folder: Path) -> None:
    words = (
        ["init"], ["add-camera", "door", "--room", "kitchen"], ["add-worker"], ["rotate", "door"],
        ["rotate", "workers"], ["rotate", "aggregators"], ["revoke", "door", "--old"], ["list"],
    )  # fmt: skip
    printed = ""
    kept: set[str] = set()
    for word in words:
        printed += keys(folder, *word).output
        kept |= secrets(folder)
    assert len(kept) == 7
    assert not [secret for secret in kept if secret in printed]


def test_the_list_shows_names_rooms_fingerprints_and_states(folder: Path) -> None:
    for words in (["init"], ["add-camera", "door", "--room", "kitchen"], ["revoke", "door"]):
        keys(folder, *words)
    output = keys(folder, "list").output
    (line,) = [line for line in output.splitlines() if "camera door" in line]
    assert "kitchen" in line
    assert "revoked 2" in line
    assert len([line for line in output.splitlines() if "serves" in line]) == 2


def test_a_camera_that_was_revoked_may_be_added_again_with_another_room(site: SiteKeys) -> None:
    site.add_camera("door", "kitchen")
    site.revoke("door")
    bundle = read_bundle(site.add_camera("door", "den"))
    allow_list = AllowList(site.folder / "cameras.toml")
    assert allow_list.refusal(bundle.keys.own.public, "door", "den") == ""


# Renewing


def test_both_keys_of_a_camera_serve_until_the_old_one_is_revoked(folder: Path) -> None:
    site = SiteKeys(folder)
    keys(folder, "init")
    keys(folder, "add-camera", "door", "--room", "kitchen")
    old = read_bundle(site.to_copy / "camera-door.key").keys.own.public
    assert "revoke door --old" in keys(folder, "rotate", "door").output
    new = read_bundle(site.to_copy / "camera-door.key").keys.own.public
    allow_list = AllowList(folder / "cameras.toml")
    assert allow_list.authorizes(old)
    assert allow_list.authorizes(new)
    keys(folder, "revoke", "door", "--old")
    allow_list.refresh()
    assert not allow_list.authorizes(old)
    assert allow_list.authorizes(new)
    assert "only one key" in keys(folder, "revoke", "door", "--old").output
    allow_list.refresh()
    assert allow_list.authorizes(new)


def test_new_keys_of_the_workers_are_trusted_by_aggregators_and_cameras(folder: Path) -> None:
    site = SiteKeys(folder)
    keys(folder, "init")
    keys(folder, "add-camera", "door", "--room", "kitchen")
    before = site.workers().public
    output = keys(folder, "rotate", "workers").output
    workers, aggregators = worker_keys(folder), aggregator_keys(folder)
    assert workers is not None
    assert aggregators is not None
    assert before != workers.own.public == aggregators.workers
    bundle = read_bundle(site.to_copy / "camera-door.key").keys
    assert bundle.server == workers.own.public
    assert AllowList(workers.allow_list).authorizes(bundle.own.public)
    for name in ("workers.key", "aggregators.key", "camera-door.key", "restart"):
        assert name in output


def test_new_keys_of_the_aggregators_are_trusted_by_the_workers(folder: Path) -> None:
    keys(folder, "init")
    before = aggregator_keys(folder)
    keys(folder, "rotate", "aggregators")
    workers, aggregators = worker_keys(folder), aggregator_keys(folder)
    assert workers is not None
    assert aggregators is not None
    assert before is not None
    assert before.own.public != workers.aggregators == aggregators.own.public
    assert aggregators.workers == workers.own.public


# What cannot be done


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init"], "already holds the keys"),
        (["add-camera", "ConnectionMonitor!", "--room", "kitchen"], "not a camera name"),
        (["add-camera", "door", "--room", "../x"], "not a room name"),
        (["add-camera", "hall", "--room", "den"], "keys rotate hall"),
        (["revoke", "nobody"], "known are hall"),
        (["rotate", "nobody"], "known are hall"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    site: SiteKeys, words: list[str], message: str
) -> None:
    site.add_camera("hall", "kitchen")
    before = (site.folder / "cameras.toml").read_text()
    with pytest.raises(ConfigError, match=message):
        keys(site.folder, *words)
    assert (site.folder / "cameras.toml").read_text() == before


def test_without_a_site_every_command_names_the_one_that_makes_it(tmp_path: Path) -> None:
    for words in (["list"], ["add-worker"], ["revoke", "x"], ["rotate", "workers"]):
        with pytest.raises(ConfigError, match="roommood keys init"):
            keys(tmp_path / "nowhere", *words)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_list_is_not_written_over(site: SiteKeys) -> None:
    path = site.folder / "cameras.toml"
    path.write_text("[[camera]]\nname = ")
    with pytest.raises(ConfigError, match=str(path)):
        keys(site.folder, "add-camera", "door", "--room", "kitchen")
    assert path.read_text() == "[[camera]]\nname = "


def test_commands_at_once_lose_no_camera(site: SiteKeys) -> None:
    names = [f"camera-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: SiteKeys(site.folder).add_camera(name, "hall"), names))
    assert sorted(entry.name for entry in site.entries()) == sorted(names)


def test_of_two_who_make_a_site_at_once_the_second_changes_nothing(folder: Path) -> None:
    def made() -> bool:
        try:
            SiteKeys(folder).init()
        except ConfigError:
            return False
        return True

    folder.mkdir(parents=True, mode=0o700)
    with ThreadPoolExecutor() as pool:
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        commands = [pool.submit(made) for _ in range(2)]
        os.close(lock)
    assert sorted(command.result() for command in commands) == [False, True]


def test_a_folder_for_a_worker_that_cannot_be_whole_is_not_there(site: SiteKeys) -> None:
    (site.folder / "cameras.toml").unlink()
    with pytest.raises(ConfigError, match=r"no cameras\.toml"):
        site.add_worker()
    assert not site.to_copy.exists()


def test_a_reader_sees_the_old_list_or_the_new_never_half_of_one(site: SiteKeys) -> None:
    site.add_camera("first", "hall")
    allow_list = AllowList(site.folder / "cameras.toml")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [site.add_camera(f"c{n}", "hall") for n in range(40)])
        while not writing.done():
            allow_list.refresh()
            assert not allow_list.problem
    allow_list.refresh()
    assert allow_list.size == 41


def test_the_command_is_part_of_roommood_and_an_error_is_one_line(tmp_path: Path) -> None:
    code = "from roommood.deploy.cli import main; main()"
    command = [sys.executable, "-c", code, "keys", "list", "--keys", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


# roommood doctor


def levels_of(place: Path | None, worker: str | None = None) -> dict[str, Level]:
    return {finding.about: finding.level for finding in check_keys(place, worker)}


def test_the_doctor_finds_a_site_in_order_and_secrets_left_behind(
    site: SiteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    site.add_camera("door", "kitchen")
    assert levels_of(site.folder) == {
        "keys of workers": Level.OK,
        "keys of aggregators": Level.OK,
        "key of camera door": Level.OK,
        "keys to copy": Level.WARN,
    }
    assert levels_of(None) == {"keys": Level.SKIPPED}
    assert levels_of(site.folder.parent) == {"keys": Level.FAIL}


def test_the_doctor_finds_what_others_can_read_and_pairs_that_do_not_fit(site: SiteKeys) -> None:
    old = (site.folder / "aggregators.key").read_text()
    site.rotate_workers()
    (site.folder / "aggregators.key").write_text(old)
    assert levels_of(site.folder)["keys"] is Level.FAIL
    (site.folder / "workers.key").chmod(0o644)
    (finding,) = [each for each in check_keys(site.folder, None) if each.level is Level.FAIL]
    assert "chmod 600" in finding.found


def test_the_doctor_finds_a_bundle_that_the_list_does_not_let_in(site: SiteKeys) -> None:
    bundle = site.add_camera("door", "kitchen")
    site.revoke("door")
    levels = [finding.level for finding in check_keys(bundle, None)]
    assert Level.FAIL in levels


@pytest.mark.parametrize(
    ("policy", "keys_of_worker", "level"),
    [
        ("the camera", "own", Level.OK),
        ("nobody", "own", Level.FAIL),
        ("the camera", "other", Level.FAIL),
        ("the camera", "none", Level.FAIL),
    ],
)
def test_the_doctor_shakes_hands_with_the_worker_as_the_camera_would(
    site: SiteKeys, policy: str, keys_of_worker: str, level: Level
) -> None:
    bundle = site.add_camera("door", "kitchen")
    camera = read_bundle(bundle).keys.own.public
    admitted = {"the camera": FixedPolicy(frozenset({camera})), "nobody": FixedPolicy(frozenset())}
    own: dict[str, KeyPair | None] = {"own": site.workers(), "other": new_pair(), "none": None}
    address = free_address()
    with zmq.Context() as context:
        allowed: AccessPolicy | None = admitted[policy] if own[keys_of_worker] else None
        settings = load(WorkerSettings, None, {"bind": address})
        listener = Listener(context, bind_frames, settings, own[keys_of_worker], allowed)
        last = [each for each in check_keys(bundle, address) if address in each.found]
        listener.close(0)
    assert [each.level for each in last] == [level]


@pytest.mark.parametrize(("admitted", "level"), [(True, Level.OK), (False, Level.FAIL)])
def test_the_doctor_shakes_hands_with_the_aggregator_as_the_worker_would(
    site: SiteKeys, admitted: bool, level: Level
) -> None:
    workers = frozenset({site.workers().public} if admitted else ())
    address = free_address()
    with zmq.Context() as context:
        settings = load(AggregatorSettings, None, {"bind": address})
        policy = FixedPolicy(workers)
        listener = Listener(context, bind_reports, settings, site.aggregators(), policy)
        findings = {
            finding.about: finding.level for finding in check_keys(site.folder, None, address)
        }
        listener.close(0)
    assert findings["key of workers"] is level


def test_hints_are_commands_that_can_be_copied(site: SiteKeys) -> None:
    done = CliRunner().invoke(
        app, ["add-camera", "door", "--room", "hall", "--keys", str(site.folder)]
    )
    assert "camera-node --keys camera-door.key --source 0 --worker " in done.output
    assert "..." not in done.output
    fresh = CliRunner().invoke(app, ["init", "--keys", f"{site.folder}-2"])
    assert f"inference-worker --keys {site.folder}-2 --bind 0.0.0.0:5701" in fresh.output


def test_a_folder_of_other_things_is_neither_closed_to_others_nor_filled(tmp_path: Path) -> None:
    """Else `--keys ~`, or one that a shell gives empty, closes a home to all that reads there."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    (folder / "letter").touch()
    with pytest.raises(ConfigError, match=r"other things \(letter"):
        SiteKeys(folder).init()
    assert (stat.S_IMODE(folder.stat().st_mode), os.listdir(folder)) == (0o755, ["letter"])
    (folder / "letter").unlink()
    SiteKeys(folder).init()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_is_closed_already_may_hold_other_things(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    (folder / "redis").mkdir()
    SiteKeys(folder).init()
    assert worker_keys(folder) is not None


@pytest.mark.parametrize("columns", ["40", "80", "pipe"])
def test_a_list_of_keys_leaves_nothing_out(
    columns: str, site: SiteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fingerprints are there to be compared."""
    name, room = "the-camera-above-the-door-of-the-upper-hall", "the-upper-hall-of-the-west-wing"
    site.add_camera(name, room)
    if columns != "pipe":
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("NO_COLOR", "1")
    output = CliRunner().invoke(app, ["list", "--keys", str(site.folder)]).output
    assert "…" not in output
    if columns == "pipe":
        (line,) = [line for line in output.splitlines() if name in line]
        (entry,) = [entry for entry in site.listed() if entry.room == room]
        assert room in line
        assert entry.fingerprint in line


def test_the_passwords_of_redis_may_be_made_first(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    write_redis_access(folder / "redis")
    SiteKeys(folder).init()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
