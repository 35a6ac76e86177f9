"""`roommood deploy --card`: a freshly flashed card that becomes a site's camera by itself.

Raspberry Pi OS reads settings from the card's boot partition when it starts for the first time:
since trixie by cloud-init (`user-data`, `network-config`; cloudinit.readthedocs.io, NoCloud),
before by a script that the kernel's command line names (`firstrun.sh`). Both run `first-start.sh`.
"""

import json
import secrets
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Any, Final

from roommood.deploy.site.camera_keys import CameraKeys, source_secrets
from roommood.deploy.site.open_files import OpenFile, packed
from roommood.deploy.site.release import Release, camera_release
from roommood.deploy.site.rollout import SYSUSERS, activate_script, release_files
from roommood.deploy.site.site_file import Camera, Site, Wifi
from roommood.deploy.site.wheels import Python, Wheels, choose_wheels
from roommood.shared.errors import ConfigError
from roommood.shared.security.password_file import read_password

# Where Raspberry Pi OS has the card's boot partition.
BOOT: Final = "/boot/firmware"
TRIXIE: Final = Python("3.13", "aarch64")
BOOKWORM: Final = Python("3.11", "aarch64")
_FOLDER: Final = "roommood"
_RUN_ONCE: Final = (
    f" systemd.run={BOOT}/firstrun.sh systemd.run_success_action=reboot"
    " systemd.unit=kernel-command-line.target"
)
_GROUPS: Final = ("adm", "dialout", "video", "plugdev", "netdev", "render", "sudo")
_CLOUD_FILES: Final = ("user-data", "network-config", "meta-data")


@dataclass(frozen=True, slots=True)
class Card:
    """The boot partition of a card, as the person's computer shows it.

    Raises ConfigError where it is none, or has been given settings by others.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not (self.folder / "cmdline.txt").exists() and not self._has_cloud_init:
            raise ConfigError(
                f"{self.folder} is no boot partition of Raspberry Pi OS: it has neither "
                "cmdline.txt nor user-data. Flash the card, without settings, and put it in again"
            )
        for name in ("user-data", "network-config", "firstrun.sh"):
            path = self.folder / name
            if path.exists() and _says_anything(path) and not self._is_ours:
                raise ConfigError(
                    f"{path} has settings already: flash the card without any (Raspberry Pi "
                    "Imager: no customisation), since these would be written over"
                )

    @property
    def python(self) -> Python:
        """The interpreter of the system on it, going by what that reads at its first start."""
        return TRIXIE if self._has_cloud_init else BOOKWORM

    @property
    def _has_cloud_init(self) -> bool:
        return any((self.folder / name).exists() for name in _CLOUD_FILES)

    @property
    def _is_ours(self) -> bool:
        return (self.folder / _FOLDER / "card.env").exists()

    def write(
        self, site: Site, camera: Camera, keys: CameraKeys, wheelhouse: Path,
        python: Python | None = None,
    ) -> None:  # fmt: skip
        """Makes it that camera's, with a key that nobody else has."""
        public_keys(camera)
        release = camera_release(site, camera)
        wheels = choose_wheels(wheelhouse, python or self.python, release.extras)
        has_cloud_init = self._has_cloud_init
        folder = self.folder / _FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "wheels").mkdir(parents=True)
        for path in wheels.files:
            shutil.copyfile(path, folder / "wheels" / path.name)
        programs = wheels.programs(python or self.python, release.system_site_packages)
        _write_payload(folder, release, wheels, programs)
        if has_cloud_init:
            self._write_cloud_init(site, camera)
        else:
            self._write_firstrun(site, camera)
        (self.folder / "ssh").touch()
        # Last, so that a card that is not whole lets nobody into the site.
        shutil.copyfile(keys.bundle_for(camera), folder / "camera.key")
        for secret in source_secrets(camera):
            self._put(f"{_FOLDER}/source.password", secret.text)

    def _write_cloud_init(self, site: Site, camera: Camera) -> None:
        user = {
            "name": camera.user, "groups": list(_GROUPS), "shell": "/bin/bash",
            "lock_passwd": True, "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": public_keys(camera),
        }  # fmt: skip
        user_data = {
            "hostname": host_name(camera), "manage_etc_hosts": True, "users": [user],
            "runcmd": [["sh", f"{BOOT}/{_FOLDER}/first-start.sh", "take"]],
        }  # fmt: skip
        identity = f"roommood-{camera.name}-{secrets.token_hex(4)}"
        self._put("user-data", f"#cloud-config\n{json.dumps(user_data, indent=2)}\n")
        self._put("network-config", json.dumps({"network": _netplan(site.wifi)}, indent=2) + "\n")
        self._put("meta-data", json.dumps({"instance-id": identity, "dsmode": "local"}) + "\n")

    def _write_firstrun(self, site: Site, camera: Camera) -> None:
        script = (files("roommood.deploy.site") / "firstrun.sh").read_text(encoding="utf-8")
        settings = {
            "USER_NAME": camera.user,
            "HOST_NAME": host_name(camera),
            "AUTHORIZED": "\n".join(public_keys(camera)),
            "COUNTRY": site.wifi.country if site.wifi else "",
            "GROUPS": ",".join(_GROUPS),
        }
        lines = "".join(f"{name}={quote(value)}\n" for name, value in settings.items())
        self._put("firstrun.sh", script.replace("# SETTINGS\n", lines))
        if site.wifi:
            self._put(f"{_FOLDER}/wifi.nmconnection", _network_manager(site.wifi))
        line = (self.folder / "cmdline.txt").read_text().strip()
        if _RUN_ONCE not in line:
            self._put("cmdline.txt", f"{line}{_RUN_ONCE}\n")

    def _put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8", newline="\n")


def host_name(camera: Camera) -> str:
    """The one by which the site's file has it, where that is a name; else the camera's."""
    first = camera.host.partition(".")[0]
    return camera.name if first.isdecimal() or ":" in camera.host else first


def public_keys(camera: Camera) -> list[str]:
    """Of those who may come in by ssh: the file's `ssh_key`, or the person's own."""
    home = Path("~/.ssh").expanduser()
    own = sorted(home.glob("id_*.pub"))
    candidates = [Path(f"{camera.ssh_key}.pub")] if camera.ssh_key else own
    keys = [path.read_text().strip() for path in candidates if path.exists()]
    if not keys:
        raise ConfigError(
            f"nobody could come in by ssh later, to upgrade: no "
            f"{candidates[0] if candidates else home} there. `ssh-keygen` makes a key"
        )
    return keys


def _says_anything(path: Path) -> bool:
    """Whether there is more in it than comments."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _write_payload(folder: Path, release: Release, wheels: Wheels, programs: str) -> None:
    new = release.digest(programs)
    there = [
        OpenFile(SYSUSERS, (files("roommood.deploy") / "systemd/roommood.sysusers").read_text()),
        activate_script(),
        *(OpenFile(f"{release.part.root}/releases/{new}/{path}", text)
          for path, text in release_files(release)),
    ]  # fmt: skip
    (folder / "files.tar").write_bytes(packed(there))
    script = (files("roommood.deploy.site") / "first-start.sh").read_text(encoding="utf-8")
    (folder / "first-start.sh").write_text(script, newline="\n")
    settings = {
        "NAME": release.part.name, "RELEASE": new, "PROGRAMS": programs,
        "REQUIREMENT": wheels.requirement, "PACKAGES": " ".join(release.packages),
        "VENV_OPTIONS": "--system-site-packages" if release.system_site_packages else "",
    }  # fmt: skip
    lines = "".join(f"{name}={quote(value)}\n" for name, value in settings.items())
    (folder / "card.env").write_text(lines, newline="\n")


def _netplan(wifi: Wifi | None) -> dict[str, Any]:
    """Version 2 of cloud-init's network settings, which are netplan's."""
    network: dict[str, Any] = {
        "version": 2, "ethernets": {"eth0": {"dhcp4": True, "optional": True}},
    }  # fmt: skip
    if wifi:
        point = {wifi.ssid: {"password": read_password(wifi.password_file)}}
        network["wifis"] = {"wlan0": {
            "dhcp4": True, "optional": True, "regulatory-domain": wifi.country,
            "access-points": point,
        }}  # fmt: skip
    return network


def _network_manager(wifi: Wifi) -> str:
    """A keyfile of NetworkManager (nm-settings-keyfile(5)); bytes, so that any ssid fits."""
    ssid = "".join(f"{byte};" for byte in wifi.ssid.encode())
    password = read_password(wifi.password_file).replace("\\", "\\\\")
    return (
        "[connection]\nid=roommood\ntype=wifi\n\n"
        f"[wifi]\nmode=infrastructure\nssid={ssid}\n\n"
        f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={password}\n\n"
        "[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
    )
