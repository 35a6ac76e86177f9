"""The file that describes a site is read whole or refused with the place of the mistake."""

import re
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
    ("more", "message"),
    [
        ("rate_hzz = 3\n", "did you mean 'rate_hz'"),
        ("rate_hz = -1\n", "above 0"),
        ('workers = ["other:5701"]\n', "the site itself sets this"),
        ('user = "A; rm -rf /"\n', "no user name"),
        ('user = "-oProxyCommand=sh"\n', "no user name"),
        ("rate_hz = 2026-01-01\n", "rate_hz"),
        (SECOND.format(name="den-1", host="p") + "source = 'rtsp://a:b@c/'\n", "holds a password"),
        ("ssh_port = 0\n", "camera 1 ssh_port"),
        (SECOND.format(name="kitchen-1", host="pi2"), "two cameras have the name 'kitchen-1'"),
        (SECOND.format(name="desktop", host="pi2"), "stands for [desktop]"),
        (SECOND.format(name="DEN", host="pi2"), "'DEN'"),
        (SECOND.format(name="den-1", host="-oProxyCommand=sh"), "no host name"),
        (SECOND.format(name="den-1", host="pi1:2222"), 'write host = "pi1" and ssh_port = 2222'),
        (SECOND.format(name="den-1", host="ada@pi1"), 'write host = "pi1" and user = "ada"'),
        (SECOND.format(name="den-1", host="[2001:db8::7]"), 'write host = "2001:db8::7"'),
        ('[[camera]]\nname = "den-1"\nroom = "den"\n', "camera 2 host: is needed"),
        ("[desk]\n", "unknown table desk"),
        ("[desktp]\n", "did you mean desktop?"),
        ("[site]\nkey = 'x'\n", "site: unknown key 'key'; did you mean 'keys'?"),
        ("[site]\nwifi = { ssdi = 'x' }\n", "wifi: unknown key 'ssdi'; did you mean 'ssid'?"),
        ("ssh_prot = 22\n", "did you mean 'ssh_port'?"),
        ("ssh_port = true\n", "camera 1 ssh_port: give a whole number"),
        ("[[site]]\n", "write [site], in one bracket"),
        ("[site]\nmqtt = 'http://home'\n", "mqtt: the broker is to be given as mqtt://"),
        ("[site]\nmqtt = 'mqtt://home'\n", "or allow it with insecure"),
        (
            "[site]\nmqtt = { operator_redis_url = 'redis://operator@h' }\n",
            "write mqtt_switches = true in [site]",
        ),
        ("[site]\nmqtt_switches = true\n", "mqtt_switches needs the bridge"),
        ("[site]\nmqtt = { broker = 'mqtts://home', password_file = 'x' }\n", "give user"),
        ("[site]\nmqtt = { user = 'u', password_file = 'x' }\n", "mqtt: give broker"),
        ("[site]\nnotify = { command = 'tell' }\n", "notify: command 'tell': give the whole path"),
        ("[site]\nnotify = { command = '~/tell' }\n", "command '~/tell': give the whole path"),
        ("[site]\nnotify = { command = '/home/ada/tell' }\n", "out of its sight"),
        ("[site]\nnotify = { command = '/root/tell' }\n", "out of its sight"),
        ("[site]\nnotify = { command = '/srv/../home/tell' }\n", "out of its sight"),
        (
            "[site]\nmqtt = { broker = 'mqtts://home', usr = 'x' }\n",
            "mqtt: unknown key 'usr'; did you mean 'user'?",
        ),
        ("x = = 1", "cannot read the site file"),
    ],
)
def test_a_mistake_is_named_with_the_file(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, GOOD + more)
    assert message in str(error.value)
    assert "site.toml" in str(error.value)


@pytest.mark.parametrize(
    ("model", "is_found"),
    [
        ("my.onnx", False),
        ("~/my.onnx", False),
        ("/home/ada/my.onnx", False),
        ("/tmp/my.onnx", False),
        ("yunet-n", False),  # pulled into a home folder
        ("/opt/roommood/models/my.onnx", True),
        ("face", True),
        ("haar:scale=1.1", True),
    ],
)
def test_a_model_is_one_that_the_desktops_services_see(
    tmp_path: Path, model: str, is_found: bool
) -> None:
    text = GOOD.replace("threads = 2", f'threads = 2, detector = "{model}"')
    if is_found:
        assert read(tmp_path, text).desktop.worker["detector"] == model
        return
    with pytest.raises(ConfigError, match=r"give the whole path .*, such as /opt/roommood/models/"):
        read(tmp_path, text)


def test_a_program_outside_of_home_folders_may_be_told(tmp_path: Path) -> None:
    site = read(tmp_path, GOOD + "[site]\nnotify = { command = '/srv/homes/tell' }\n")
    assert site.notify is not None
    assert site.notify.command == Path("/srv/homes/tell")


@pytest.mark.parametrize("name", ["[camera]", "[[desktop]]"])
def test_the_wrong_number_of_brackets_is_told_in_our_words(tmp_path: Path, name: str) -> None:
    right = "[[camera]]" if name == "[camera]" else "[desktop]"
    with pytest.raises(ConfigError, match=re.escape(f"write {right}, in")):
        read(tmp_path, GOOD.replace(right, name))


def test_what_windows_editors_put_first_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, f"\ufeff{GOOD}") == read(tmp_path, GOOD)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_a_file_of_another_encoding_is_told_as_that(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(f"{GOOD}# Küche\n".encode(encoding))
    with pytest.raises(ConfigError, match=r"save (it|the file) as UTF-8") as caught:
        read_site(file)
    assert "codec" not in str(caught.value)


def test_a_desktop_may_be_named_as_it_names_itself(tmp_path: Path) -> None:
    """By which the others reach it as well."""
    name = socket.gethostname()
    assert read(tmp_path, GOOD.replace("desk.local", name)).desktop_address == name


@pytest.mark.parametrize("user", ["ada.lovelace", "Ada", "ada@corp.example", "CORP+ada", "pc$"])
def test_users_are_named_as_their_system_names_them(tmp_path: Path, user: str) -> None:
    site = read(tmp_path, GOOD.replace('host = "pi', f'user = "{user}"\nhost = "pi'))
    assert site.cameras[0].user == user


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
def test_a_camera_on_the_desktop_is_known_however_its_host_is_written(
    tmp_path: Path, desktop: str, camera: str
) -> None:
    text = GOOD.replace('host = "desk.local"', f'host = "{desktop}"\naddress = "192.0.2.7"')
    site = read(tmp_path, text + SECOND.format(name="den-1", host=camera))
    assert [site.is_on_desktop(known) for known in site.cameras] == [False, True]


def test_a_site_of_one_machine_needs_no_address_and_is_reached_by_nobody_else(
    tmp_path: Path,
) -> None:
    text = GOOD.replace("desk.local", "local").replace("pi-kitchen.local", "localhost")
    assert read(tmp_path, text).frames_address == "tcp://127.0.0.1:5701"


def test_a_desktop_may_be_reached_by_ipv6(tmp_path: Path) -> None:
    site = read(tmp_path, GOOD.replace("desk.local", "2001:db8::7"))
    assert site.frames_address == "tcp://[2001:db8::7]:5701"


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ("0", "/dev/video0", False),
        ("0", "0", False),
        ("picamera", "picamera", False),
        ("picamera", "picamera:1", True),
        ("0", "2", True),
        ("rtsp://cam/1", "rtsp://cam/1", True),
    ],
)
def test_a_machine_may_have_several_cameras_each_with_its_own_device(
    tmp_path: Path, first: str, second: str, fits: bool
) -> None:
    more = SECOND.format(name="den-1", host="PI-kitchen.local.") + f'source = "{second}"\n'
    text = GOOD.replace('source = "picamera"', f'source = "{first}"') + more
    if fits:
        site = read(tmp_path, text)
        assert len(site.on_machine_of(site.cameras[0])) == 2
    else:
        with pytest.raises(ConfigError, match="the same source"):
            read(tmp_path, text)


def test_files_are_looked_for_beside_the_sites_file(tmp_path: Path) -> None:
    mqtt = "[site]\nmqtt = { broker = 'mqtts://home', user = 'u', password_file = 'p' }\n"
    site = read(tmp_path, GOOD.replace("[desktop]", '[desktop]\nssh_key = "id"') + mqtt)
    assert site.desktop.ssh_key == tmp_path / "id"
    assert site.mqtt is not None
    assert site.mqtt.password_file == tmp_path / "p"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threads = 2", "thread = 2", "did you mean 'threads'"),
        ('host = "desk.local"', 'host = "local"', "give address = "),
        ('host = "desk.local"', "", "desktop host: is needed"),
        ('host = "desk.local"', 'hots = "desk.local"', "unknown key 'hots'; did you mean 'host'"),
        ('host = "desk.local"', 'host = "desk.local"\nworkers = true', "workers: give a whole num"),
        ('host = "desk.local"', 'host = "localhost"', 'give address = "192.168.1.10"'),
        ('host = "desk.local"', 'host = "127.0.0.1"', 'give address = "192.168.1.10"'),
        ('host = "desk.local"', 'host = "d"\naddress = "::1"', 'give address = "192.168.1.10"'),
        ("threads = 2", 'bind = "0.0.0.0:1"', "the site itself sets this"),
    ],
)
def test_a_mistake_about_the_desktop_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, GOOD.replace(old, new))


def test_a_site_without_cameras_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"camera: a site needs one at least"):
        read(tmp_path, '[desktop]\nhost = "desk"\n')


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_site(tmp_path / "none.toml")
