"""What each machine of a site is to hold follows from the site's file alone."""

import json
import tomllib
from pathlib import Path

import pytest

from roommood.deploy.site.camera_keys import source_secrets
from roommood.deploy.site.own_wheel import own_wheel
from roommood.deploy.site.parts import DESKTOP_PART, KEYS
from roommood.deploy.site.release import (
    camera_release,
    desktop_release,
    prometheus_targets,
)
from roommood.deploy.site.site_file import Site, read_site
from roommood.deploy.site.wheels import Python, choose_wheels
from roommood.shared.errors import ConfigError
from roommood.shared.process.origin import origin
from roommood.shared.process.settings import (
    AggregatorSettings,
    CameraSettings,
    DashboardSettings,
    MqttSettings,
    WorkerSettings,
    load,
)

TEXT = """
[desktop]
host = "desk.local"
workers = 3
aggregator = { min_people = 2 }

[[camera]]
name = "kitchen-1"
room = "kitchen"
host = "pi-kitchen.local"
source = "picamera"
jpeg_quality = 70
quiet_hours = ["Mon-Fri 22:00-06:00"]
masks = [[[0, 0], [0.3, 0], [0.3, 1.0]]]

[[camera]]
name = "den-1"
room = "den"
host = "pi-den.local"
source = "rtsp://cam/\\u00fc \\"x\\""
"""
PI = Python("3.11", "aarch64")
DESK = Python("3.13", "x86_64")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "site.toml"
    path.write_text(TEXT)
    return read_site(path)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "written.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_pi_is_told_is_what_its_node_understands(site: Site, tmp_path: Path) -> None:
    for camera, source in zip(site.cameras, ("picamera", 'rtsp://cam/ü "x"'), strict=True):
        text = camera_release(site, camera).files[f"etc/cameras/{camera.name}.toml"]
        settings = load(CameraSettings, written(tmp_path, text), {})
        assert (settings.name, settings.room) == (camera.name, camera.room)
        assert settings.source == source
        assert settings.workers == ("tcp://desk.local:5701",)
    first = camera_release(site, site.cameras[0]).files["etc/cameras/kitchen-1.toml"]
    assert tomllib.loads(first)["camera"]["masks"] == [[[0, 0], [0.3, 0], [0.3, 1.0]]]


def test_what_the_desktop_is_told_is_what_its_components_understand(
    site: Site, tmp_path: Path
) -> None:
    files = desktop_release(site).files
    worker = load(WorkerSettings, written(tmp_path, files["etc/worker.toml"]), {})
    assert (worker.bind, worker.advertise) == ("tcp://0.0.0.0:5701", "tcp://desk.local:5701")
    aggregator = load(AggregatorSettings, written(tmp_path, files["etc/aggregator.toml"]), {})
    assert aggregator.min_people == 2
    assert aggregator.bind in worker.aggregators


def test_a_pi_camera_comes_with_debians_library(site: Site) -> None:
    with_picamera, other = (camera_release(site, camera) for camera in site.cameras)
    assert "python3-picamera2" in with_picamera.packages
    assert with_picamera.system_site_packages
    assert "python3-picamera2" not in other.packages
    assert not other.system_site_packages


def test_a_pi_gets_neither_onnxruntime_nor_redis(site: Site) -> None:
    with_picamera, other = (camera_release(site, camera) for camera in site.cameras)
    assert (with_picamera.extras, other.extras) == (("picamera",), ("camera",))


def test_the_same_site_is_the_same_release_and_any_change_another(site: Site) -> None:
    release = camera_release(site, site.cameras[0])
    assert release.digest("w") == camera_release(site, site.cameras[0]).digest("w")
    others = {camera_release(site, site.cameras[1]).digest("w"), release.digest("other wheels")}
    assert len(others | {release.digest("w")}) == 3


def test_every_unit_that_is_to_run_is_shipped_with_the_release(site: Site) -> None:
    for release in (desktop_release(site), camera_release(site, site.cameras[0])):
        assert release.units
        for unit in release.units:
            name, _, rest = unit.partition("@")
            assert {f"units/{unit}", f"units/{name}@.service" if rest else ""} & set(release.files)


def test_each_worker_is_an_instance_of_one_unit(site: Site) -> None:
    release = desktop_release(site)
    assert [unit for unit in release.units if unit.startswith("inference")] == [
        f"inference-worker@{n}.service" for n in (1, 2, 3)
    ]


def test_prometheus_is_told_of_every_component(site: Site) -> None:
    groups = json.loads(prometheus_targets(site))
    targets = {target for group in groups for target in group["targets"]}
    assert targets == {f"127.0.0.1:{port}" for _, port in desktop_release(site).ready}


def other(tmp_path: Path, old: str, new: str) -> Site:
    path = tmp_path / "other.toml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    return read_site(path)


def test_any_text_of_a_setting_is_written_as_toml_understands_it(tmp_path: Path) -> None:
    strange = "rtsp://cam/😀\x7f\t\\é"
    site = other(tmp_path, 'source = "picamera"', f"source = {json.dumps(strange)}".replace(
        "\\ud83d\\ude00", "😀"))  # fmt: skip
    text = camera_release(site, site.cameras[0]).files["etc/cameras/kitchen-1.toml"]
    assert text.isascii()
    assert tomllib.loads(text)["camera"]["source"] == strange


def test_a_network_cameras_password_is_no_part_of_a_release(tmp_path: Path) -> None:
    (tmp_path / "p").touch(mode=0o600)
    (tmp_path / "p").write_text("not for others\n")
    given = 'source = "rtsp://ada@cam/"\nsource_password_file = "p"'
    site = other(tmp_path, 'source = "picamera"', given)
    release = camera_release(site, site.cameras[0])
    settings = tomllib.loads(release.files["etc/cameras/kitchen-1.toml"])["camera"]
    where = "/run/credentials/camera-node@kitchen-1.service/source.password"
    assert settings["source_password_file"] == where
    assert "not for others" not in str(release)
    (secret,) = source_secrets(site.cameras[0])
    assert secret.path == "/etc/roommood/keys/camera-kitchen-1.source-password"
    assert secret.text == "not for others\n"


def test_cameras_of_the_desktops_machine_have_units_and_ports_of_their_own(tmp_path: Path) -> None:
    site = other(tmp_path, "pi-kitchen.local", "desk.local")
    site = site.model_copy(
        update={"cameras": (*site.cameras, site.cameras[0].model_copy(update={"name": "hall-1"}))}
    )
    releases = [desktop_release(site), *(camera_release(site, camera) for camera in site.cameras)]
    ours = [release for release in releases if release.part.name != "den-1"]
    ports = [port for release in ours for _, port in release.ready]
    assert len(set(ports)) == len(ports)
    shared = [set(release.files) for release in ours]
    assert shared[0] & shared[1] == shared[1] & shared[2] == {"units/roommood.target"}


def test_a_site_of_one_machine_listens_to_that_machine_alone(tmp_path: Path) -> None:
    text = TEXT.replace("desk.local", "local").replace("pi-kitchen.local", "local")
    path = tmp_path / "one.toml"
    path.write_text(text.replace("pi-den.local", "local"))
    files = desktop_release(read_site(path)).files
    assert tomllib.loads(files["etc/worker.toml"])["worker"]["bind"] == "127.0.0.1:5701"


def test_a_desktop_with_an_ipv6_address_listens_there(tmp_path: Path) -> None:
    site = other(tmp_path, "desk.local", "2001:db8::7")
    worker = tomllib.loads(desktop_release(site).files["etc/worker.toml"])["worker"]
    assert (worker["bind"], worker["advertise"]) == ("[::]:5701", "[2001:db8::7]:5701")


def test_the_bridge_is_told_its_broker_and_never_its_password(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    site = other(tmp_path, "[desktop]", (
        '[site]\nmqtt = { broker = "mqtts://home:8883", user = "a\\"b", password_file = "none", '
        'ca_file = "ca.pem", log_level = "debug" }\n[desktop]'))  # fmt: skip
    release = desktop_release(site)
    assert "roommood-mqtt.service" in release.units
    assert "mqtt" in release.extras
    variables = release.files["etc/mqtt.env"]
    assert 'ROOMMOOD_MQTT_BROKER="mqtts://home:8883"' in variables
    assert 'ROOMMOOD_MQTT_USER="a\\"b"' in variables
    assert 'ROOMMOOD_MQTT_LOG_LEVEL="debug"' in variables
    assert "/run/credentials/roommood-mqtt.service/mqtt.password" in variables
    assert release.files["etc/mqtt-ca.pem"].startswith("-----BEGIN")


@pytest.mark.parametrize(
    ("switches", "program", "kind"),
    [("page_switches", "dashboard", DashboardSettings), ("mqtt_switches", "mqtt", MqttSettings)],
)
def test_page_and_bridge_only_read_unless_the_site_wants_their_switches(
    tmp_path: Path, switches: str, program: str, kind: type[DashboardSettings] | type[MqttSettings]
) -> None:
    broker = '[site]\nmqtt = "mqtts://home:8883"\n'
    without = other(tmp_path, "[desktop]", f"{broker}[desktop]")
    assert not [text for name, text in desktop_release(without).files.items()
                if name.endswith(".env") and "OPERATOR" in text.upper()]  # fmt: skip
    release = desktop_release(other(tmp_path, "[desktop]", f"{broker}{switches} = true\n[desktop]"))
    lines = release.files[f"etc/{program}.env"].splitlines()
    pairs = dict(line.split("=", 1) for line in lines)
    variables = {name: value.strip('"') for name, value in pairs.items()}
    settings = load(kind, None, {}, variables)
    assert settings.operator_redis_url == "redis://operator@127.0.0.1:5770/0"
    credential = "redis-operator.password"
    where = f"/run/credentials/roommood-{program}.service/{credential}"
    assert settings.operator_redis_password_file == Path(where)
    unit = release.files[f"units/roommood-{program}.service"]
    assert f"LoadCredential={credential}:{KEYS / credential}\n" in unit
    assert KEYS / credential in DESKTOP_PART.secrets


def test_switches_without_a_page_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="page_switches needs the page"):
        other(tmp_path, "[desktop]", "[site]\npage_switches = true\n[desktop]\ndashboard = false")


def test_who_is_told_what_is_wrong_goes_to_the_desktop_as_keys_do(tmp_path: Path) -> None:
    site = other(tmp_path, "[desktop]", (
        '[site]\nnotify = { urls_file = "notify.urls", hold_s = 60 }\n[desktop]'))  # fmt: skip
    release = desktop_release(site)
    assert "roommood-notify.service" in release.units
    assert any(name.endswith("/roommood-notify.service") for name in release.files)
    assert "notify" in release.extras
    variables = release.files["etc/notify.env"]
    assert 'ROOMMOOD_NOTIFY_HOLD_S="60.0"' in variables
    assert "/run/credentials/roommood-notify.service/notify.urls" in variables
    assert KEYS / "notify.urls" in DESKTOP_PART.secrets
    assert site.notify is not None
    assert site.notify.urls_file == tmp_path / "notify.urls"


def test_a_site_that_tells_nobody_of_what_is_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody is to be told"):
        other(tmp_path, "[desktop]", "[site]\nnotify = { hold_s = 60 }\n[desktop]")


def test_without_a_broker_there_is_no_bridge_and_the_exporter_can_be_left_out(
    tmp_path: Path, site: Site
) -> None:
    assert "roommood-exporter.service" in desktop_release(site).units
    assert "roommood-mqtt.service" not in desktop_release(site).units
    without = other(tmp_path, "[desktop]", "[site]\nexporter = false\n[desktop]")
    assert "roommood-exporter.service" not in desktop_release(without).units


def test_cameras_tell_the_network_about_themselves_only_where_asked_for(
    tmp_path: Path, site: Site
) -> None:
    asked = other(tmp_path, "[desktop]", "[site]\ncamera_metrics = true\n[desktop]")
    for described, bind in ((site, None), (asked, "0.0.0.0")):
        text = camera_release(described, described.cameras[0]).files["etc/cameras/kitchen-1.toml"]
        assert tomllib.loads(text)["camera"].get("metrics_host") == bind
        assert ("pi-kitchen.local:9640" in prometheus_targets(described)) == bool(bind)


def wheels(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


OURS = "roommood-1.2.0-py3-none-any.whl"


def chosen(folder: Path, python: Python) -> set[str]:
    return {path.name for path in choose_wheels(folder, python, ("camera",)).files}


def test_of_a_folder_of_wheels_each_machine_gets_those_that_fit(tmp_path: Path) -> None:
    arm = "numpy-2.1.0-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
    intel = "numpy-2.1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    stable = "opencv_python_headless-4.12.0-cp37-abi3-manylinux_2_17_x86_64.whl"
    unlocked = "numpy-2.1.0-cp313-cp313t-manylinux_2_17_x86_64.whl"
    alpine = "numpy-2.1.0-cp311-cp311-musllinux_1_2_aarch64.whl"
    both = "six-1.16.0-py2.py3-none-any.whl"
    future = "new-1.0-cp314-abi3-manylinux_2_17_x86_64.whl"
    names = (OURS, arm, intel, stable, unlocked, alpine, both, future, "notes.txt", "bad.whl")
    folder = wheels(tmp_path, *names)
    assert chosen(folder, PI) == {OURS, arm, both}
    assert chosen(folder, DESK) == {OURS, intel, stable, both}


def test_the_newest_wheel_of_ours_is_taken(tmp_path: Path) -> None:
    folder = wheels(tmp_path, *(f"roommood-{v}-py3-none-any.whl" for v in ("1.9.0", "1.10.0")))
    chosen = choose_wheels(folder, PI, ("camera", "worker"))
    assert chosen.requirement == "roommood[camera,worker]==1.10.0"


def test_another_content_under_the_same_name_is_another_installation(tmp_path: Path) -> None:
    folder = wheels(tmp_path, OURS)
    before = choose_wheels(folder, PI, ("camera",)).digest
    assert choose_wheels(folder, PI, ("camera",)).digest == before
    (folder / OURS).write_bytes(b"changed")
    assert choose_wheels(folder, PI, ("camera",)).digest != before


def test_without_a_folder_our_own_wheel_goes_along_and_is_asked_for_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "roommood-1.9.0-py3-none-any.whl"
    monkeypatch.setattr("roommood.deploy.site.wheels.own_wheel", lambda: wheel)
    chosen = choose_wheels(None, PI, ("camera",))
    assert chosen.files == (wheel,)
    assert chosen.for_pip("/opt/wheels") == f"'roommood[camera] @ file:///opt/wheels/{wheel.name}'"


def test_a_clone_is_built_and_the_same_clone_gives_the_same_bytes() -> None:
    source = origin()
    assert source is not None
    assert source.path.is_dir()
    wheel, other = own_wheel(), own_wheel.__wrapped__()
    assert wheel != other
    assert wheel.read_bytes() == other.read_bytes()


def test_without_a_wheel_or_a_clone_deploying_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roommood.deploy.site.own_wheel.origin", lambda: None)
    with pytest.raises(ConfigError, match="--wheelhouse DIR"):
        own_wheel.__wrapped__()


def test_a_folder_without_our_wheel_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pip wheel"):
        choose_wheels(tmp_path, PI, ("camera",))
