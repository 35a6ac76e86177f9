"""The file that describes a site is read whole or refused with the place of the mistake."""

import socket
from pathlib import Path

import pytest

from roommood.deploy.site.site_file import Site, read_site
from roommood.shared.errors import ConfigError

GOOD = """
[desktop]
host = "desk.local"
worker = { threads = 2 }

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "pi-kitchen.local"
source = "picamera"
masks = [[[0, 0], [0.3, 0], [0.3, 1.0]]]
"""
SECOND = '[[camera]]\nname = "{name}"\nroom = "den"\nhost = "{host}"\n'


def read(folder: Path, text: str) -> Site:
    path = folder / "site.toml"
    path.write_text(text)
    return read_site(path)


def test_a_site_is_a_desktop_and_its_cameras(tmp_path: Path) -> None:
    site = read(tmp_path, GOOD)
    assert (site.desktop.host, site.desktop.user, site.desktop.workers) == ("desk.local", "root", 1)
    camera = site.cameras[0]
    assert (camera.name, camera.room, camera.user) == ("kitchen-1", "kitchen", "pi")
    assert camera.settings["source"] == "picamera"
    assert site.frames_address == "tcp://desk.local:5701"
    assert site.key_folder == tmp_path / "keys"


def test_the_pis_reach_the_desktop_by_its_address_where_one_is_given(tmp_path: Path) -> None:
    text = GOOD.replace("[desktop]", '[desktop]\naddress = "192.0.2.7"')
    assert read(tmp_path, text).frames_address == "tcp://192.0.2.7:5701"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("rate_hzz = 3\n", "did you mean 'rate_hz'"),
        ("rate_hz = -1\n", "above 0"),
        ('workers = ["other:5701"]\n', "the site itself sets this"),
        ('user = "A; rm -rf /"\n', "no user name"),
        ("ssh_port = 0\n", "camera 1 ssh_port"),
        (SECOND.format(name="kitchen-1", host="pi2"), "two cameras have the name 'kitchen-1'"),
        (SECOND.format(name="den-1", host="pi-kitchen.local"), "a Pi has one camera node"),
        (SECOND.format(name="den-1", host="PI-kitchen.Local."), "a Pi has one camera node"),
        (SECOND.format(name="desktop", host="pi2"), "stands for [desktop]"),
        (SECOND.format(name="DEN", host="pi2"), "'DEN'"),
        (SECOND.format(name="den-1", host="-oProxyCommand=sh"), "no host name"),
        ('[[camera]]\nname = "den-1"\nroom = "den"\n', "camera 2 host: is needed"),
        ("[desk]\n", "unknown table desk"),
        ("[site]\nkey = 'x'\n", "key: is not known"),
        ("x = = 1", "cannot read the site file"),
    ],
)
def test_a_mistake_is_named_with_the_file(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, GOOD + more)
    assert said in str(error.value)
    assert "site.toml" in str(error.value)


@pytest.mark.parametrize(
    ("desktop", "camera"),
    [
        ("desk.local", "desk.local"),
        ("desk.local", "DESK.local."),
        ("desk.local", "192.0.2.7"),
        ("2001:db8::7", "2001:DB8:0::7"),
        ("local", "local"),
        ("local", "localhost"),
        ("local", "127.0.0.1"),
        ("local", "0::1"),
        ("localhost", "LOCAL"),
        ("127.0.1.1", "Localhost.localdomain"),
        ("local", socket.gethostname().upper()),
        ("local", f"{socket.gethostname().partition('.')[0]}.local"),
    ],
)
def test_a_camera_on_the_desktop_is_refused_however_its_host_is_written(
    tmp_path: Path, desktop: str, camera: str
) -> None:
    text = GOOD.replace('host = "desk.local"', f'host = "{desktop}"\naddress = "192.0.2.7"')
    with pytest.raises(ConfigError, match=r"'den-1' has the host of the desktop.*camera-node"):
        read(tmp_path, text + SECOND.format(name="den-1", host=camera))


def test_a_camera_on_the_machine_that_deploys_to_a_desktop_elsewhere_is_taken(
    tmp_path: Path,
) -> None:
    site = read(tmp_path, GOOD + SECOND.format(name="den-1", host="local"))
    assert site.cameras[1].host == "local"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threads = 2", "thread = 2", "did you mean 'threads'"),
        ('host = "desk.local"', 'host = "local"', "address is needed"),
        ('host = "desk.local"', "", "desktop host: is needed"),
        ("threads = 2", 'bind = "0.0.0.0:1"', "the site itself sets this"),
    ],
)
def test_a_mistake_about_the_desktop_is_named(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, GOOD.replace(old, new))


def test_a_site_without_cameras_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"camera: a site needs one at least"):
        read(tmp_path, '[desktop]\nhost = "desk"\n')


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_site(tmp_path / "none.toml")
