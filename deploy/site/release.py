"""What must lie on each machine of a site: pure data, made from the site's file alone.

A release is everything that a machine runs but its keys. Its folder is named by a digest of what
it holds, so the same site is the same release, and to go back is to point at another folder:

    /opt/roommood/releases/ID/     etc/*.toml, units/*, venv -> ../../venvs/DIGEST
    /opt/roommood/current          -> releases/ID
    /opt/roommood/activate ID      makes a release the current one
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, Final

from roommood.deploy.site.site_file import DASHBOARD_PORT, REDIS_PORT, REPORTS_PORT, Pi, Site

ROOT: Final = PurePosixPath("/opt/roommood")
ETC: Final = PurePosixPath("/etc/roommood")
KEYS: Final = ETC / "keys"
ALLOWED: Final = ETC / "allowed"
REDIS: Final = ETC / "redis"
# Of the desktop: what was counted.
DATA: Final = PurePosixPath("/var/lib/roommood-redis")
CAMERA_UNIT: Final = "camera-node.service"
CAMERA_METRICS_PORT: Final = 9570
# Of a desktop: the aggregator's, then one for each worker.
_METRICS_PORT: Final = CAMERA_METRICS_PORT


@dataclass(frozen=True, slots=True)
class Release:
    """Files by path below the release's folder, the units to run, and what Python needs.

    `extras` are those of the distribution; `packages` are Debian's.
    """

    files: dict[str, str]
    units: tuple[str, ...]
    extras: tuple[str, ...]
    packages: tuple[str, ...]
    system_site_packages: bool = False

    def digest(self, programs: str) -> str:
        """Twelve hexadecimal digits; `programs` stands for what is installed."""
        said = json.dumps([sorted(self.files.items()), self.units, programs])
        return hashlib.sha256(said.encode()).hexdigest()[:12]


def camera_release(site: Site, camera: Pi) -> Release:
    """What a Pi needs to show its camera's frames to the desktop."""
    picamera = str(camera.settings.get("source", "")).startswith("picamera")
    settings = {
        "name": camera.name,
        "room": camera.room,
        "workers": [site.frames_address],
        **camera.settings,
        "metrics_port": CAMERA_METRICS_PORT,
    }
    return Release(
        files={"etc/camera.toml": _toml("camera", settings), **_units(CAMERA_UNIT)},
        units=(CAMERA_UNIT,),
        extras=("picamera",) if picamera else ("camera",),
        packages=("python3-venv", *(("python3-picamera2",) if picamera else ())),
        system_site_packages=picamera,
    )


def desktop_release(site: Site) -> Release:
    """What the desktop needs to infer, count and show."""
    desktop = site.desktop
    templates = ["roommood-redis.service", "aggregator.service", "inference-worker@.service"]
    units = ["roommood-redis.service", "aggregator.service"]
    units += [f"inference-worker@{n}.service" for n in range(1, desktop.workers + 1)]
    contents = {
        "etc/redis.conf": _redis_conf(),
        "etc/aggregator.toml": _toml("aggregator", _aggregator(site)),
        "etc/worker.toml": _toml("worker", _worker(site)),
        "etc/prometheus-targets.json": prometheus_targets(site),
    }
    if desktop.dashboard:
        templates.append("roommood-dashboard.service")
        units.append("roommood-dashboard.service")
        contents["etc/dashboard.env"] = _dashboard()
    return Release(
        files={**contents, **_units(*templates)},
        units=tuple(units),
        extras=("worker", "aggregator", *(("dashboard",) if desktop.dashboard else ())),
        packages=("python3-venv", "redis-server"),
    )


def ready_ports(release: Release) -> list[tuple[str, int]]:
    """Units of a desktop that tell over HTTP when they are ready, and where."""
    workers = [unit for unit in release.units if unit.startswith("inference-worker@")]
    numbered = [(unit, _METRICS_PORT + n) for n, unit in enumerate(workers, start=1)]
    return [("aggregator.service", _METRICS_PORT), *numbered]


def prometheus_targets(site: Site) -> str:
    """Where Prometheus, on the desktop, finds each component's metrics (`file_sd_configs`)."""
    ports = {"aggregator": [_METRICS_PORT]}
    ports["inference-worker"] = [_METRICS_PORT + 1 + n for n in range(site.desktop.workers)]
    groups = [
        {
            "targets": [f"127.0.0.1:{port}" for port in numbers],
            "labels": {"job": "roommood", "component": component},
        }
        for component, numbers in ports.items()
    ]
    return json.dumps(groups, indent=2) + "\n"


def _redis_conf() -> str:
    """The shipped one, at a port of its own beside a Redis that may be there already."""
    text = _text("redis", "redis.conf").replace("DIR", str(REDIS))
    if "port 6379" not in text:
        raise AssertionError("the shipped redis.conf names no port")
    return text.replace("port 6379", f"port {REDIS_PORT}") + f"\ndir {DATA}\n"


def _aggregator(site: Site) -> dict[str, Any]:
    return {
        "redis_url": f"redis://writer@127.0.0.1:{REDIS_PORT}/0",
        "bind": f"127.0.0.1:{REPORTS_PORT}",
        "metrics_port": _METRICS_PORT,
        **site.desktop.aggregator,
    }


def _worker(site: Site) -> dict[str, Any]:
    return {
        "bind": f"0.0.0.0:{site.frames_address.rpartition(':')[2]}",
        "advertise": site.frames_address.removeprefix("tcp://"),
        "aggregators": [f"127.0.0.1:{REPORTS_PORT}"],
        "keys": str(ALLOWED),
        "metrics_port": _METRICS_PORT + 1,
        **site.desktop.worker,
    }


def _dashboard() -> str:
    lines = {
        "ROOMMOOD_REDIS_URL": f"redis://reader@127.0.0.1:{REDIS_PORT}/0",
        "ROOMMOOD_DASHBOARD_BIND": f"127.0.0.1:{DASHBOARD_PORT}",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _units(*names: str) -> dict[str, str]:
    shipped = {f"units/{name}": _text("systemd", name) for name in names}
    return {**shipped, "units/roommood.target": _text("systemd", "roommood.target")}


def _text(folder: str, name: str) -> str:
    return (files("roommood.deploy") / folder / name).read_text(encoding="utf-8")


def _toml(table: str, values: dict[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join(["# Written by `roommood deploy`; change the site's file instead.",
                      f"[{table}]", *lines, ""])  # fmt: skip


def _value(value: Any) -> str:
    """TOML of what TOML gave: text, numbers, truth, and lists of these."""
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    # What JSON writes of a text, a number or a truth is TOML too.
    return json.dumps(value, ensure_ascii=True)
