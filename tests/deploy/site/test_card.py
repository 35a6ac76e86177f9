"""A flashed card is made a camera's: what lies on it, and what is refused."""

import json
import os
import tarfile
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roommood.deploy.cli import app
from roommood.deploy.keys.site_keys import SiteKeys
from roommood.deploy.site.card import BOOKWORM, TRIXIE, Card
from roommood.deploy.site.deploy import Deployment
from roommood.deploy.site.site_file import Site, read_site
from roommood.shared.errors import ConfigError

# Nobody listens at the desktop's port: it cannot be told of the camera.
TEXT = """
[site]
wifi = { ssid = "café", password_file = "wifi.password", country = "DE" }

[desktop]
host = "127.0.0.1"
address = "desk.lan"
ssh_port = 1

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "pi-kitchen.local"
user = "ada"
ssh_key = "id"
"""
CMDLINE = "console=tty1 root=PARTUUID=1-02 rootfstype=ext4 rootwait\n"
FRESH = "#cloud-config\n# hostname: raspberrypi\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA ada's\n")
    password = tmp_path / "wifi.password"
    password.touch(mode=0o600)
    password.write_text("not for neighbours\n")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("roommood-1.0-py3-none-any.whl", "pyzmq-1-cp313-cp313-manylinux2014_aarch64.whl",
                 "pyzmq-1-cp311-cp311-manylinux2014_aarch64.whl"):  # fmt: skip
        (wheels / name).write_bytes(name.encode())
    (tmp_path / "site.toml").write_text(TEXT)
    return read_site(tmp_path / "site.toml")


def bookworm(folder: Path) -> Path:
    card = folder / "bookworm"
    card.mkdir()
    (card / "cmdline.txt").write_text(CMDLINE)
    return card


def trixie(folder: Path) -> Path:
    card = folder / "trixie"
    card.mkdir()
    for name, text in (("cmdline.txt", CMDLINE), ("user-data", FRESH), ("meta-data", "")):
        (card / name).write_text(text)
    return card


def write(site: Site, card: Path) -> list[str]:
    lines: list[str] = []
    Deployment(site, lines.append, wheelhouse=site.folder / "wheels").write_card("kitchen-1", card)
    return lines


def test_a_card_of_trixie_has_what_cloud_init_reads(site: Site, tmp_path: Path) -> None:
    card = trixie(tmp_path)
    write(site, card)
    output = (card / "user-data").read_text()
    assert output.startswith("#cloud-config\n")
    settings = json.loads(output.partition("\n")[2])
    assert settings["hostname"] == "pi-kitchen"
    (user,) = settings["users"]
    assert (user["name"], user["ssh_authorized_keys"]) == ("ada", ["ssh-ed25519 AAAA ada's"])
    network = json.loads((card / "network-config").read_text())["network"]
    points = network["wifis"]["wlan0"]["access-points"]
    assert points == {"café": {"password": "not for neighbours"}}
    assert "kitchen-1" in json.loads((card / "meta-data").read_text())["instance-id"]
    assert (card / "cmdline.txt").read_text() == CMDLINE


def test_a_card_of_bookworm_runs_a_script_once(site: Site, tmp_path: Path) -> None:
    card = bookworm(tmp_path)
    write(site, card)
    write(site, card)
    line = (card / "cmdline.txt").read_text()
    assert line.startswith(CMDLINE.strip())
    assert line.count("systemd.run=/boot/firmware/firstrun.sh") == 1
    assert line.count("\n") == 1, "the kernel reads the first line"
    script = (card / "firstrun.sh").read_text()
    assert "AUTHORIZED='ssh-ed25519 AAAA ada'\"'\"'s'" in script
    connection = (card / "roommood/wifi.nmconnection").read_text()
    assert "psk=not for neighbours" in connection
    assert f"ssid={''.join(f'{byte};' for byte in 'café'.encode())}\n" in connection


@pytest.mark.parametrize(("make", "python"), [(bookworm, BOOKWORM), (trixie, TRIXIE)])
def test_a_card_has_the_wheels_and_the_release_of_its_system(
    site: Site, tmp_path: Path, make: object, python: object
) -> None:
    card = bookworm(tmp_path) if make is bookworm else trixie(tmp_path)
    assert Card(card).python == python
    write(site, card)
    tag = "cp311" if python == BOOKWORM else "cp313"
    names = {path.name for path in (card / "roommood/wheels").iterdir()}
    assert names == {
        "roommood-1.0-py3-none-any.whl", f"pyzmq-1-{tag}-{tag}-manylinux2014_aarch64.whl",
    }  # fmt: skip
    with tarfile.open(card / "roommood/files.tar") as archive:
        (settings,) = [name for name in archive.getnames() if name.endswith("kitchen-1.toml")]
        held = archive.extractfile(settings)
        assert held is not None
        assert tomllib.loads(held.read().decode())["camera"]["room"] == "kitchen"


def test_the_cards_key_is_let_in_and_lies_nowhere_else(site: Site, tmp_path: Path) -> None:
    card = trixie(tmp_path)
    output = "\n".join(write(site, card))
    key = tomllib.loads((card / "roommood/camera.key").read_text())
    (entry,) = SiteKeys(site.key_folder).entries()
    assert (entry.name, entry.key) == ("kitchen-1", key["public"])
    assert not list((site.key_folder / "to-copy").glob("*"))
    assert "the card is a secret until the Pi has started from it once" in output
    assert "the camera's key and the Wi-Fi password" in output
    assert "the desktop does not know its key yet" in output


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cmdline.txt", None, "is no boot partition"),
        ("user-data", "#cloud-config\nusers: []\n", "has settings already"),
        ("firstrun.sh", "#!/bin/bash\nset +e\n", "has settings already"),
    ],
)
def test_what_is_no_fresh_card_is_refused_and_left_alone(
    site: Site, tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    card = bookworm(tmp_path)
    if text is None:
        (card / name).unlink()
    else:
        (card / name).write_text(text)
    before = sorted(os.listdir(card))
    with pytest.raises(ConfigError, match=message):
        write(site, card)
    assert sorted(os.listdir(card)) == before
    assert not site.key_folder.exists()


def test_without_a_key_for_ssh_nobody_could_upgrade_it_and_that_is_said(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "id.pub").unlink()
    with pytest.raises(ConfigError, match="nobody could come in by ssh later"):
        write(site, bookworm(tmp_path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("site.toml",), "give the camera's name"),
        (("desktop", "site.toml"), "--card is for a camera"),
        (("hall-1", "site.toml"), "the site has desktop, kitchen-1"),
        (("kitchen-1", "site.toml", "--remove"), "--card goes with --wheelhouse alone"),
        (("kitchen-1", "site.toml"), "give --wheelhouse"),
    ],
)
def test_the_command_says_what_it_lacks(
    site: Site,
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    card = bookworm(tmp_path)
    result = CliRunner().invoke(app, ["deploy", "--card", str(card), *words])
    assert result.exit_code != 0
    assert message in f"{result.output} {result.exception}"
