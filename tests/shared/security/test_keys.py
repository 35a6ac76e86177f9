"""Key files and the allow-list: what is read, what is refused, and what a change does."""

import logging
import stat
from pathlib import Path

import pytest

from roommood.deploy.keys.site_keys import SiteKeys, new_pair
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import CameraSettings, load
from roommood.shared.security.allow_list import (
    KEY_MISMATCH,
    REVOKED,
    AllowList,
    Entry,
    read_allow_list,
)
from roommood.shared.security.keys import (
    aggregator_keys,
    camera_keys,
    fingerprint,
    is_key,
    public_of,
    worker_keys,
)
from tests.shared.keyed import TODAY, entry, write_list

DOOR, HALL, STRANGER = new_pair(), new_pair(), new_pair()


@pytest.fixture
def site(tmp_path: Path) -> SiteKeys:
    """A site with one camera, `door` in the kitchen."""
    keys = SiteKeys(tmp_path / "keys")
    keys.init()
    keys.add_camera("door", "kitchen")
    return keys


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


# Keys


def test_a_key_is_forty_characters_of_z85() -> None:
    assert is_key(DOOR.public)
    assert is_key(DOOR.secret)
    for bad in ("", DOOR.public[:-1], DOOR.public + "0", DOOR.public[:-1] + '"', None, 7):
        assert not is_key(bad)


def test_the_public_half_goes_with_the_secret_one() -> None:
    assert public_of(DOOR.secret) == DOOR.public
    assert public_of("no key") == ""


def test_no_repr_shows_a_secret(site: SiteKeys) -> None:
    keys = worker_keys(site.folder)
    assert keys is not None
    assert keys.own.secret not in repr(keys)
    assert keys.own.public in repr(keys)


# What each component reads


def test_without_a_setting_there_are_no_keys() -> None:
    assert camera_keys(None, "door", "kitchen") is None
    assert worker_keys(None) is None
    assert aggregator_keys(None) is None


def test_workers_aggregators_and_cameras_trust_each_others_keys(site: SiteKeys) -> None:
    worker, aggregator = worker_keys(site.folder), aggregator_keys(site.folder)
    camera = camera_keys(site.to_copy, "door", "kitchen")
    assert worker is not None
    assert aggregator is not None
    assert camera is not None
    assert camera.server == worker.own.public == aggregator.workers
    assert worker.to_aggregators.server == aggregator.own.public
    assert AllowList(worker.allow_list).refusal(camera.own.public, "door", "kitchen") == ""


def test_a_camera_is_given_its_file_or_the_folder_that_holds_it(site: SiteKeys) -> None:
    bundle = site.to_copy / "camera-door.key"
    assert camera_keys(bundle, "door", "kitchen") == camera_keys(site.to_copy, "door", "kitchen")
    bundle.rename(site.to_copy / "camera.key")
    assert camera_keys(site.to_copy, "door", "kitchen") is not None


def test_a_worker_may_be_given_its_key_file_and_finds_the_list_beside_it(site: SiteKeys) -> None:
    assert worker_keys(site.folder / "workers.key") == worker_keys(site.folder)


def test_a_home_folder_may_be_written_as_a_tilde(
    site: SiteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(site.folder.parent))
    assert aggregator_keys(Path("~/keys")) == aggregator_keys(site.folder)


@pytest.mark.parametrize(("camera", "room"), [("hall", "kitchen"), ("door", "den")])
def test_a_key_of_another_camera_or_room_is_refused_at_the_start(
    site: SiteKeys, camera: str, room: str
) -> None:
    with pytest.raises(ConfigError, match=r"'door' in room 'kitchen'.*add-camera"):
        camera_keys(site.to_copy / "camera-door.key", camera, room)


def test_a_missing_file_is_named_with_where_it_comes_from(site: SiteKeys, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no workers\.key .* `roommood keys init`"):
        worker_keys(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no key file .*camera-hall\.key: copy it"):
        camera_keys(tmp_path / "camera-hall.key", "hall", "hall")
    with pytest.raises(ConfigError, match=r"no camera-hall\.key or camera\.key"):
        camera_keys(site.to_copy, "hall", "kitchen")
    (site.folder / "cameras.toml").unlink()
    with pytest.raises(ConfigError, match=r"cameras\.toml"):
        worker_keys(site.folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(
    site: SiteKeys, mode: int
) -> None:
    path = site.folder / "workers.key"
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        worker_keys(site.folder)


def test_an_allow_list_may_be_read_by_others_and_not_changed(site: SiteKeys) -> None:
    (site.folder / "cameras.toml").chmod(0o644)
    assert AllowList(site.folder / "cameras.toml").size == 1
    (site.folder / "cameras.toml").chmod(0o620)
    with pytest.raises(ConfigError, match="chmod 600"):
        AllowList(site.folder / "cameras.toml")


def test_a_file_for_another_role_is_refused(site: SiteKeys) -> None:
    (site.folder / "aggregators.key").rename(site.folder / "workers.key")
    with pytest.raises(ConfigError, match=r"for 'aggregators', and one for 'workers' is needed"):
        worker_keys(site.folder)


DAMAGES = {
    "no TOML": lambda text: text[: len(text) // 2].rstrip('"\n') + "x",
    "no keys": lambda text: text[: text.index("public")],
    "cut key": lambda text: text.replace('aggregators = "', 'aggregators = "x'),
    "no pair": lambda text: text.replace(text.split('"')[5], STRANGER.secret),
    "too long": lambda text: text + "#" * 20_000,
    "another type": lambda text: text.replace('role = "workers"', "role = 5"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_an_error_that_names_it(site: SiteKeys, how: str) -> None:
    path = site.folder / "workers.key"
    path.write_text(DAMAGES[how](path.read_text()))
    with pytest.raises(ConfigError, match=str(path)) as caught:
        worker_keys(site.folder)
    assert STRANGER.secret not in str(caught.value)


def test_systemd_credentials_serve_where_no_folder_is_named(
    site: SiteKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in ("workers.key", "cameras.toml"):
        (credentials / name).write_text((site.folder / name).read_text())
        (credentials / name).chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    keys = worker_keys(None)
    assert keys is not None
    assert AllowList(keys.allow_list).size == 1
    assert aggregator_keys(None) is None
    (credentials / "workers.key").chmod(0o444)
    with pytest.raises(ConfigError, match="chmod"):
        worker_keys(None)


def test_a_folder_may_hold_the_allow_list_while_the_secret_is_a_credential(
    site: SiteKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (site.folder / "workers.key").rename(credentials / "workers.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    keys = worker_keys(site.folder)
    assert keys is not None
    assert keys.allow_list.parent == site.folder


def test_an_aggregator_is_told_of_the_list_beside_its_key_and_does_without(
    site: SiteKeys,
) -> None:
    keys = aggregator_keys(site.folder)
    assert keys is not None
    assert keys.allow_list == site.folder / "cameras.toml"
    keys.allow_list.unlink()
    keys = aggregator_keys(site.folder / "aggregators.key")
    assert keys is not None
    assert keys.allow_list is None


# The allow-list


def test_an_allow_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = [entry(DOOR), entry(HALL, "hall", "den", gone=True)]
    path = write_list(tmp_path / "cameras.toml", entries)
    assert read_allow_list(path) == entries
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_serves_one_camera_in_one_room(tmp_path: Path) -> None:
    allow_list = AllowList(write_list(tmp_path / "cameras.toml", [entry(DOOR)]))
    assert allow_list.refusal(DOOR.public, "door", "kitchen") == ""
    assert allow_list.refusal(DOOR.public, "door", "den") == KEY_MISMATCH
    assert allow_list.refusal(DOOR.public, "hall", "kitchen") == KEY_MISMATCH
    assert allow_list.refusal(STRANGER.public, "door", "kitchen") == REVOKED


def test_two_keys_of_one_camera_serve_until_the_old_one_is_revoked(tmp_path: Path) -> None:
    path = write_list(tmp_path / "cameras.toml", [entry(DOOR), entry(HALL)])
    allow_list = AllowList(path)
    assert allow_list.authorizes(DOOR.public)
    assert allow_list.authorizes(HALL.public)
    write_list(path, [entry(DOOR, gone=True), entry(HALL)])
    allow_list.refresh()
    assert not allow_list.authorizes(DOOR.public)
    assert allow_list.authorizes(HALL.public)


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    allow_list = AllowList(write_list(tmp_path / "cameras.toml", [entry(DOOR)]))
    allow_list.refresh()
    assert allow_list.version == 0
    write_list(tmp_path / "cameras.toml", [entry(DOOR), entry(HALL, "hall")])
    allow_list.refresh()
    allow_list.refresh()
    assert allow_list.version == 1


BROKEN = {
    "half copied": lambda path: path.write_text(path.read_text()[:-30]),
    "gone": lambda path: path.unlink(),
    "open to others": lambda path: path.chmod(0o666),
    "another table": lambda path: path.write_text("[cameras]\n"),
    "an unknown field": lambda path: path.write_text('[[camera]]\nnam = "x"\n'),
    "no key": lambda path: path.write_text(path.read_text().replace(DOOR.public, "short")),
    "a bad name": lambda path: path.write_text(path.read_text().replace('"door"', '"../x"')),
    "no day": lambda path: path.write_text(path.read_text().replace("2026-01-02", "2026")),
    "a key twice": lambda path: path.write_text(path.read_text() * 2),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_list_is_an_error_at_the_start_and_later_keeps_who_was_allowed(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_list(tmp_path / "cameras.toml", [entry(DOOR)])
    allow_list = AllowList(path)
    BROKEN[how](path)
    with pytest.raises(ConfigError, match=str(path)):
        AllowList(path)
    with caplog.at_level(logging.ERROR):
        allow_list.refresh()
        allow_list.refresh()
    assert len(caplog.records) == 1
    assert "nobody new is let in" in caplog.text
    assert allow_list.problem
    assert allow_list.authorizes(DOOR.public)
    assert not allow_list.authorizes(STRANGER.public)
    path.unlink(missing_ok=True)
    write_list(path, [entry(HALL, "hall")])
    allow_list.refresh()
    assert not allow_list.problem
    assert not allow_list.authorizes(DOOR.public)
    assert allow_list.authorizes(HALL.public)


def test_ten_thousand_cameras_are_read_in_seconds(tmp_path: Path) -> None:
    keys = [f"{number:040d}" for number in range(10_000)]
    entries = [Entry(f"camera-{key[-5:]}", "hall", key, TODAY) for key in keys]
    assert AllowList(write_list(tmp_path / "cameras.toml", entries)).size == 10_000


def test_a_fingerprint_is_short_and_tells_keys_apart() -> None:
    assert len(fingerprint(DOOR.public)) == 19
    assert fingerprint(DOOR.public) != fingerprint(HALL.public)


def test_a_cameras_key_file_alone_tells_its_name_and_room(tmp_path: Path) -> None:
    site = SiteKeys(tmp_path / "keys")
    site.init()
    bundle = site.add_camera("kitchen-1", "kitchen")
    settings = load(CameraSettings, None, {"keys": str(bundle)})
    assert (settings.name, settings.room) == ("kitchen-1", "kitchen")
    other = load(CameraSettings, None, {"keys": str(bundle), "name": "hall-1", "room": "hall"})
    assert (other.name, other.room) == ("hall-1", "hall")
    with pytest.raises(ConfigError, match="--name is needed"):
        load(CameraSettings, None, {"keys": str(site.to_copy)})


def test_a_key_file_handed_over_by_systemd_tells_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = SiteKeys(tmp_path / "keys")
    site.init()
    site.add_camera("kitchen-1", "kitchen").rename(site.to_copy / "camera.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(site.to_copy))
    assert load(CameraSettings, None, {}).name == "kitchen-1"
