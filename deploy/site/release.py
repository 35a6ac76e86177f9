"""What must lie on each machine of a site: pure data, made from the site's file alone.

A release is everything that one part of a site runs but its keys. Its folder is named by a digest
of what it holds, so the same site is the same release, and to go back is to point at another
folder. `parts.py` says where it lies.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from roommood.deploy.site.parts import (
    ALLOWED,
    DATA,
    DESKTOP_PART,
    ETC,
    MQTT_PASSWORD,
    NOTIFY_URLS,
    OPERATOR_PASSWORD,
    REDIS,
    Part,
    camera_part,
)
from roommood.deploy.site.site_file import (
    DASHBOARD_PORT,
    REDIS_PORT,
    REPORTS_PORT,
    Camera,
    Site,
)
from roommood.shared.errors import ConfigError
from roommood.shared.process.settings import MqttSettings, NotifySettings
from roommood.shared.process.settings.rows import rows_of
from roommood.shared.transport.addresses import is_loopback

EXPORTER_PORT: Final = 9704
# Of a desktop: the aggregator's, then one for each worker; 64 at most. Those of cameras follow.
_METRICS_PORT: Final = 9570
CAMERA_METRICS_PORT: Final = 9640
_MQTT_CA: Final = "mqtt-ca.pem"
_REDIS_URL: Final = f"redis://{{}}@127.0.0.1:{REDIS_PORT}/0"
_READER_URL: Final = _REDIS_URL.format("reader")
_OPERATOR_URL: Final = _REDIS_URL.format("operator")
WRITER_URL: Final = _REDIS_URL.format("writer")


@dataclass(frozen=True, slots=True)
class Release:
    """Files by path below the release's folder, the units to run, and what Python needs.

    `extras` are those of the distribution; `packages` are Debian's. `ready` has the units that
    tell over HTTP when they are ready, and the ports at which they do.
    """

    part: Part
    files: dict[str, str]
    units: tuple[str, ...]
    extras: tuple[str, ...]
    packages: tuple[str, ...]
    ready: tuple[tuple[str, int], ...]
    system_site_packages: bool = False

    def digest(self, programs: str) -> str:
        """Twelve hexadecimal digits; `programs` stands for what is installed."""
        content = json.dumps([sorted(self.files.items()), self.units, programs])
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def camera_release(site: Site, camera: Camera) -> Release:
    """What a camera's machine needs to show its frames to the desktop."""
    picamera = camera.source.startswith("picamera")
    unit, port = f"camera-node@{camera.name}.service", camera_metrics_port(site, camera)
    settings = {
        "name": camera.name,
        "room": camera.room,
        "workers": [site.frames_address],
        **({"metrics_host": "0.0.0.0"} if _tells_the_network(site, camera) else {}),
        **camera.settings,
        **(
            {"source_password_file": _credential(unit, "source.password")}
            if camera.source_password_file
            else {}
        ),
        "metrics_port": port,
    }
    return Release(
        part=camera_part(camera.name),
        files={
            f"etc/cameras/{camera.name}.toml": _toml("camera", settings),
            # Its own copy: another camera of the machine may run another release.
            f"units/{unit}": _text("systemd", "camera-node@.service"),
            **_units(),
        },
        units=(unit,),
        extras=("picamera",) if picamera else ("camera",),
        packages=("python3-venv", *(("python3-picamera2",) if picamera else ())),
        ready=((unit, port),),
        system_site_packages=picamera,
    )


def camera_metrics_port(site: Site, camera: Camera) -> int:
    """Each camera of a machine has a port of its own, beside those of a desktop."""
    names = [other.name for other in site.on_machine_of(camera)]
    return CAMERA_METRICS_PORT + names.index(camera.name)


def desktop_release(site: Site) -> Release:
    """What the desktop needs to infer, count, show and tell others."""
    desktop = site.desktop
    workers = [f"inference-worker@{n}.service" for n in range(1, desktop.workers + 1)]
    units = ["roommood-redis.service", "aggregator.service", *workers]
    ready = [("aggregator.service", _METRICS_PORT)]
    ready += [(unit, _METRICS_PORT + n) for n, unit in enumerate(workers, start=1)]
    extras = ["worker", "aggregator"]
    contents = {
        "etc/redis.conf": _redis_conf(),
        "etc/aggregator.toml": _toml("aggregator", _aggregator(site)),
        "etc/worker.toml": _toml("worker", _worker(site)),
        "etc/prometheus-targets.json": prometheus_targets(site),
    }
    if desktop.dashboard:
        units.append("roommood-dashboard.service")
        extras.append("dashboard")
        contents["etc/dashboard.env"] = _dashboard(site)
    if site.exporter:
        units.append("roommood-exporter.service")
        ready.append(("roommood-exporter.service", EXPORTER_PORT))
        contents["etc/exporter.env"] = _environment(
            ROOMMOOD_REDIS_URL=_READER_URL, ROOMMOOD_EXPORTER_BIND=f"127.0.0.1:{EXPORTER_PORT}"
        )
    if site.mqtt:
        units.append("roommood-mqtt.service")
        extras.append("mqtt")
        contents |= _mqtt(site.mqtt, has_switches=site.mqtt_switches)
    if site.notify:
        units.append("roommood-notify.service")
        extras.append("notify")
        contents["etc/notify.env"] = _notify(site.notify)
    return Release(
        part=DESKTOP_PART,
        files={**contents, **_units(*(_template(unit) for unit in units))},
        units=tuple(units),
        extras=tuple(extras),
        packages=("python3-venv", "redis-server"),
        ready=tuple(ready),
    )


def prometheus_targets(site: Site) -> str:
    """Where Prometheus, on the desktop, finds each component's metrics (`file_sd_configs`)."""
    workers = [f"127.0.0.1:{_METRICS_PORT + n}" for n in range(1, site.desktop.workers + 1)]
    targets = {
        "aggregator": [f"127.0.0.1:{_METRICS_PORT}"],
        "inference-worker": workers,
        "exporter": [f"127.0.0.1:{EXPORTER_PORT}"] if site.exporter else [],
        "camera-node": [target for each in site.cameras for target in _camera_target(site, each)],
    }
    groups = [
        {"targets": hosts, "labels": {"job": "roommood", "component": component}}
        for component, hosts in targets.items()
        if hosts
    ]
    return json.dumps(groups, indent=2) + "\n"


def _camera_target(site: Site, camera: Camera) -> list[str]:
    port = camera_metrics_port(site, camera)
    if site.is_on_desktop(camera):
        return [f"127.0.0.1:{port}"]
    host = f"[{camera.host}]" if ":" in camera.host else camera.host
    return [f"{host}:{port}"] if _tells_the_network(site, camera) else []


def _credential(unit: str, name: str) -> str:
    """Where systemd shows a unit, and nobody else, one of its LoadCredential."""
    return f"/run/credentials/{unit}/{name}"


def _tells_the_network(site: Site, camera: Camera) -> bool:
    return site.camera_metrics and not site.is_on_desktop(camera)


def _template(unit: str) -> str:
    """The shipped file of a unit: of an instance, that of its template."""
    name, at, _ = unit.partition("@")
    return f"{name}@.service" if at else unit


def _dashboard(site: Site) -> str:
    """The page only reads, unless the site wants its switches."""
    variables = {
        "ROOMMOOD_REDIS_URL": _READER_URL,
        "ROOMMOOD_DASHBOARD_BIND": f"127.0.0.1:{DASHBOARD_PORT}",
    }
    if site.page_switches:
        variables |= _operator_login("DASHBOARD", "roommood-dashboard.service")
    return _environment(**variables)


def _operator_login(table: str, unit: str) -> dict[str, str]:
    return {
        f"ROOMMOOD_{table}_OPERATOR_REDIS_URL": _OPERATOR_URL,
        f"ROOMMOOD_{table}_OPERATOR_REDIS_PASSWORD_FILE": _credential(unit, OPERATOR_PASSWORD),
    }


def _mqtt(mqtt: MqttSettings, *, has_switches: bool) -> dict[str, str]:
    """The bridge's settings; its passwords go another way."""
    unit = "roommood-mqtt.service"
    variables = _variables(mqtt)
    contents = {}
    if mqtt.password_file:
        variables["ROOMMOOD_MQTT_PASSWORD_FILE"] = _credential(unit, MQTT_PASSWORD)
    if has_switches:
        variables |= _operator_login("MQTT", unit)
    if mqtt.ca_file:
        variables["ROOMMOOD_MQTT_CA_FILE"] = str(ETC / _MQTT_CA)
        contents[f"etc/{_MQTT_CA}"] = _public_text(mqtt.ca_file)
    return {**contents, "etc/mqtt.env": _environment(**variables)}


def _notify(notify: NotifySettings) -> str:
    """Who is told goes another way."""
    variables = _variables(notify)
    if notify.urls_file:
        variables["ROOMMOOD_NOTIFY_URLS_FILE"] = _credential("roommood-notify.service", NOTIFY_URLS)
    return _environment(**variables)


def _variables(settings: MqttSettings | NotifySettings) -> dict[str, str]:
    given = {row: getattr(settings, row.key) for row in rows_of(type(settings))}
    variables = {row.variable: str(value) for row, value in given.items() if value != row.default}
    return {**variables, "ROOMMOOD_REDIS_URL": _READER_URL}


def _public_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _redis_conf() -> str:
    """The shipped one, at a port of its own beside a Redis that may be there already."""
    text = _text("redis", "redis.conf").replace("DIR", str(REDIS))
    if "port 6379" not in text:
        raise AssertionError("the shipped redis.conf names no port")
    return text.replace("port 6379", f"port {REDIS_PORT}") + f"\ndir {DATA}\n"


def _aggregator(site: Site) -> dict[str, Any]:
    return {
        "redis_url": WRITER_URL,
        "bind": f"127.0.0.1:{REPORTS_PORT}",
        "keys": str(ALLOWED),
        "metrics_port": _METRICS_PORT,
        **site.desktop.aggregator,
    }


def _worker(site: Site) -> dict[str, Any]:
    host, _, port = site.frames_address.removeprefix("tcp://").rpartition(":")
    everywhere = "[::]" if host.startswith("[") else "0.0.0.0"
    return {
        "bind": f"{'127.0.0.1' if is_loopback(site.frames_address) else everywhere}:{port}",
        "advertise": site.frames_address.removeprefix("tcp://"),
        "aggregators": [f"127.0.0.1:{REPORTS_PORT}"],
        "keys": str(ALLOWED),
        "metrics_port": _METRICS_PORT + 1,
        **site.desktop.worker,
    }


def _environment(**values: str) -> str:
    """A file for systemd's EnvironmentFile."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values.values())
    return "".join(f'{name}="{value}"\n' for name, value in zip(values, quoted, strict=True))


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
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(_character(char) for char in value) + '"'
    return json.dumps(value)


def _character(char: str) -> str:
    """Plain ASCII: TOML's long escape for whatever else there is."""
    return char if " " <= char <= "~" and char not in '"\\' else f"\\U{ord(char):08X}"
