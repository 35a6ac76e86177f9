"""A card that is lost before its Pi has started from it lets its finder in until it is revoked."""

import shutil
from pathlib import Path

from typer.testing import CliRunner

from roommood.deploy.cli import app
from roommood.deploy.keys.site_keys import SiteKeys
from roommood.deploy.site.deploy import Deployment
from roommood.deploy.site.site_file import read_site
from tests.end_to_end.site import Component, Site, until

# Nobody listens at the desktop's port: this test's own worker has the list of cameras.
TEXT = """
[desktop]
host = "127.0.0.1"
address = "desk.lan"
ssh_port = 1

[[camera]]
name = "door"
room = "kitchen"
host = "pi-kitchen.local"
ssh_key = "id"
"""


def write_card(folder: Path, name: str) -> Path:
    """A card of bookworm, made the camera's; returns its key."""
    card = folder / name
    card.mkdir()
    (card / "cmdline.txt").write_text("rootwait\n")
    site = read_site(folder / "site.toml")
    Deployment(site, print, wheelhouse=folder / "wheels").write_card("door", card)
    return card / "roommood/camera.key"


def camera_with(site: Site, key: Path, frames_at: str, pictures: Path) -> Component:
    """One that has a copy of this key and no other."""
    keys = key.parents[1].with_suffix(".copy")
    keys.mkdir(exist_ok=True)
    shutil.copyfile(key, keys / "camera-door.key")
    (keys / "camera-door.key").chmod(0o600)
    who = ("--name", "door", "--room", "kitchen", "--source", str(pictures), "--rate-hz", "10")
    where = ("--worker", frames_at, "--keys", str(keys))
    return site.start("roommood.camera_node.cli", *who, *where)


def test_a_card_that_nobody_has_started_from_is_revoked_and_another_takes_its_place(
    site: Site, tmp_path: Path, pictures: Path
) -> None:
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA ada's\n")
    (tmp_path / "site.toml").write_text(TEXT)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/roommood-1.0-py3-none-any.whl").write_bytes(b"")
    lost = write_card(tmp_path, "lost")
    site.keys = SiteKeys(tmp_path / "keys")
    frames_at, reports_at = site.address(), site.address()
    site.aggregator(reports_at)
    worker = site.worker(frames_at, reports_at)
    finder = camera_with(site, lost, frames_at, pictures)
    until(lambda: site.frames("kitchen", "door") > 3, "the control: its finder is counted")

    revoke = ["keys", "revoke", "door", "--keys", str(site.keys.folder)]
    assert CliRunner().invoke(app, revoke).exit_code == 0
    assert worker.wait_for("camera evicted")["why"] == "revoked"
    finder.stop()
    finder = camera_with(site, lost, frames_at, pictures)
    assert "does not admit this key" in finder.wait_for("worker never reached")["why"]
    finder.stop()

    counted = site.frames("kitchen", "door")
    other = write_card(tmp_path, "other")
    assert other.read_text() != lost.read_text()
    camera_with(site, other, frames_at, pictures)
    assert until(lambda: site.frames("kitchen", "door") > counted, "the new card's camera is in")
