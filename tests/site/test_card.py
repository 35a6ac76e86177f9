"""Cards of `roommood deploy --card`, in machines that boot from them: they come up by themselves.

cloud-init is Debian's own, told as Raspberry Pi OS tells it where to look. What that system does
before (a kernel that runs `firstrun.sh`) is done here by hand.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from roommood.deploy.site.deploy import Deployment
from roommood.deploy.site.site_file import read_site
from roommood.deploy.site.wheels import Python
from tests.needs import missing
from tests.site.machines import (
    PYTHON,
    Booted,
    base_root,
    make_key,
    network,
    root_with,
    why_not_here,
    write,
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

pytestmark = pytest.mark.timeout(2_400)
OF_SITE = """
[site]
wifi = {ssid = "home", password_file = "wifi.password", country = "DE"}
"""
WIFI = "not for neighbours"
# Raspberry Pi OS names the boot partition in its settings, of which cloud-init 22.4, Debian 12's,
# does not read `network-config`; it does of a seed folder.
CLOUD = "datasource_list: [NoCloud, None]\n"
SEED = "var/lib/cloud/seed/nocloud"
# The machine's own interpreter stands for the Pi's.
THIS = Python(PYTHON, platform.machine())


@dataclass
class FromCard(Booted):
    """A machine with a card that nobody has started from; its user comes from the card."""

    fresh: dict[str, str] = field(default_factory=dict)
    camera: str = ""
    user_of_card: str = ""

    @property
    def card(self) -> Path:
        return self.root / "boot/firmware"

    def _prepare(self) -> None:
        super()._prepare()
        for name, text in self.fresh.items():
            write(self.card / name, text)
        site = read_site(self.folder / "site.toml")
        made = Deployment(site, print, wheelhouse=self.folder / "wheels")
        assert made.write_card(self.camera, self.card, THIS) == 0
        write(self.root / "etc/cloud/cloud.cfg.d/99-card.cfg", CLOUD)
        (self.root / SEED).parent.mkdir(parents=True, exist_ok=True)
        (self.root / SEED).symlink_to("/boot/firmware")
        hang_portraits(self)
        self.user = self.user_of_card or self.user


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if why := why_not_here():
        missing(why)
    folder = tmp_path_factory.mktemp("card")
    base, key = base_root(BUILD), make_key(folder)
    link_wheels(folder)
    password = folder / "wifi.password"
    password.touch(mode=0o600)
    password.write_text(f"{WIFI}\n")
    with (
        pytest.MonkeyPatch.context() as patch,
        network() as here,
        Booted("desk", 10, base, folder, key) as desk,
    ):
        # What ssh has noted of earlier machines at these addresses is none of theirs.
        patch.setenv("HOME", str(folder / "home"))
        net = here.rpartition(".")[0]
        text = OF_SITE + TWO_PIS.format(
            desk=desk.address, kitchen=f"{net}.11", den=f"{net}.12", key=key
        )
        (folder / "site.toml").write_text(text)
        place = Place(folder, desk, ROOMS)
        place.release("1.0.0")
        code, output = place.deploy("--only", "desktop")
        assert code == 0, output
        yield place


def test_a_card_that_cloud_init_reads_becomes_a_camera(place: Place) -> None:
    fresh = {"cmdline.txt": "rootwait\n", "user-data": "#cloud-config\n", "meta-data": ""}
    root = root_with(BUILD, "cloud-init", "netplan.io")
    with FromCard(
        "kitchen", 11, root, place.folder, place.folder / "id", fresh=fresh,
        camera="kitchen-1", user_of_card="pi",
    ) as pi:  # fmt: skip
        until(lambda: _is_installed(pi), "the camera is installed", 300)
        assert until(place.flows("kitchen"), "the kitchen is counted")
        netplan = pi.run("sh -c 'stat -c %a /etc/netplan/*; cat /etc/netplan/*'")
        assert netplan.startswith("600\n")
        assert WIFI in netplan
        _assert_the_card_has_no_secret(pi)
        code, output = place.deploy("--only", "kitchen-1")
        assert (code, output.count("no change")) == (0, 1), output


def test_a_card_that_runs_a_script_once_becomes_a_camera(place: Place) -> None:
    fresh = {"cmdline.txt": "console=tty1 rootwait\n"}
    root = base_root(BUILD)
    with FromCard(
        "den", 12, root, place.folder, place.folder / "id", fresh=fresh, camera="den-1"
    ) as pi:
        pi.run("sh /boot/firmware/firstrun.sh")
        assert (pi.card / "cmdline.txt").read_text() == fresh["cmdline.txt"]
        assert not _is_installed(pi), "the script only prepares: the start after it does the rest"
        pi.power_off()
        pi.user = "pi"
        pi.boot()
        until(lambda: _is_installed(pi), "the camera is installed", 300)
        assert until(place.flows("den"), "the den is counted")
        connection = "/etc/NetworkManager/system-connections/roommood.nmconnection"
        assert pi.run(f"stat -c '%a %U' {connection}").strip() == "600 root"
        assert WIFI in pi.run(f"cat {connection}")
        _assert_the_card_has_no_secret(pi)
        code, output = place.deploy("--only", "den-1")
        assert (code, output.count("no change")) == (0, 1), output


def _is_installed(pi: FromCard) -> bool:
    log = pi.card / "roommood/first-start.log"
    output = log.read_text() if log.exists() else ""
    assert "is not installed" not in output, pi.attempt("journalctl -u roommood-first-start -n 40")[
        1
    ]
    return "is installed and runs" in output


def _assert_the_card_has_no_secret(pi: FromCard) -> None:
    key = pi.run(f"cat /etc/roommood/keys/camera-{pi.camera}.key")
    secret = key.split('secret = "')[1].split('"')[0]
    for path in (path for path in pi.card.rglob("*") if path.is_file()):
        text = path.read_bytes().decode(errors="replace")
        assert secret not in text, path
        assert WIFI not in text, path
    output = pi.run(f"stat -c '%a %U' /etc/roommood/keys /etc/roommood/keys/camera-{pi.camera}.key")
    assert output.split() == ["700", "root", "600", "root"]
    assert not pi.attempt("ls /var/lib/roommood-card")[0]
    look = f"runuser -u nobody -- grep -rlsF '{WIFI}' /etc /run /var/lib /var/log /boot; true"
    assert pi.run(f'sh -c "{look}"') == "", "no other user reads it"
