"""No frame reaches a file, a log, a metric or Redis; and the search finds one that was planted."""

import base64
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import Component, Site, until
from tests.inference_worker.pictures import jpeg
from tests.ports import free_port
from tests.privacy.traces import Tracer, new_files, recognisable

PICTURES = [jpeg(recognisable(seed)) for seed in (1, 2, 3)]
SHM = Path("/dev/shm")


@pytest.fixture
def tracer() -> Tracer:
    return Tracer(*PICTURES)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whatever a process may write to by default lies in here."""
    home = tmp_path / "home"
    for name, folder in (("HOME", home), ("TMPDIR", home / "tmp"), ("XDG_CACHE_HOME", home / "c")):
        folder.mkdir(exist_ok=True, parents=True)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.chdir(home)
    return home


@contextmanager
def at_work(site: Site, pictures: Path) -> Iterator[tuple[list[Component], list[int]]]:
    """A site that has analysed the pictures, and refused a few."""
    ports = [free_port() for _ in range(3)]
    ports_given = [("--metrics-port", str(port)) for port in ports]
    reports, frames = site.address(), site.address()
    aggregator = site.aggregator(reports, *ports_given[0])
    worker = site.worker(frames, reports, *ports_given[1])
    camera = site.camera("sofa", "den", str(pictures), frames, "--rate-hz", "20", *ports_given[2])
    with FakeCamera(frames) as liar:
        for spoilt in (PICTURES[0][: len(PICTURES[0]) // 2], b"\x89PNG" + PICTURES[1]):
            liar.wait_for_credit()
            liar.send(spoilt)
            liar.send(PICTURES[2])  # nobody asked for it
        # A socket that is closed at once takes with it what it has not sent yet.
        until(lambda: len(worker.lines("picture refused")) >= 2, "bad ones are refused")
    until(lambda: site.frames("den", "sofa") > 12, "frames are counted")
    yield [aggregator, worker, camera], ports


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Outside of everything that is searched."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number, picture in enumerate(PICTURES):
        (folder / f"{number}.jpg").write_bytes(picture)
    return folder


def traces_of(
    site: Site, tracer: Tracer, components: list[Component], ports: list[int]
) -> list[str]:
    traces = []
    for component in components:
        traces += [
            trace
            for trace in tracer.find_in_process(component.process.pid)
            if "/source/" not in trace and "/models/" not in trace
        ]
        traces += tracer.find_in(component.log.read_bytes(), component.name)
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            traces += tracer.find_in(answer.read(), f"metrics at {port}")
    with closing(site.redis._client()) as client:
        traces += tracer.find_in_redis(client)
        client.bgrewriteaof()
        # Redis may be saving of its own accord just now.
        idle = lambda: client.info("persistence")["rdb_bgsave_in_progress"] == 0  # noqa: E731
        until(idle, "Redis is not saving", timeout_s=120.0)
        client.save()
    return traces


def test_no_frame_is_left_anywhere(
    home: Path,
    tracer: Tracer,
    pictures: Path,
    make_private_site: Any,
) -> None:
    since = time.time() - 1
    site: Site = make_private_site(appendonly="yes", save="1 1")
    with at_work(site, pictures) as (components, ports):
        assert traces_of(site, tracer, components, ports) == []
    before_end = tracer.find_in_files(site.folder, home, site.redis._folder)
    assert before_end == []
    assert [component.stop() for component in reversed(components)] == [0, 0, 0]
    site.redis.stop()
    assert tracer.find_in_files(site.folder, home, site.redis._folder) == []
    assert any(site.redis._folder.rglob("*.rdb")), "there is an RDB file to look into"
    for folder in (SHM, Path("/tmp"), Path("/var/tmp")):
        for path in new_files(folder, since):
            assert tracer.find_in(path.read_bytes()[:1_000_000], str(path)) == []
    assert os.listdir(home) == ["tmp", "c"] or sorted(os.listdir(home)) == ["c", "tmp"]
    assert not any(path.is_file() for path in home.rglob("*")), "nothing is written at home"


# The control: what the search would find


def planted_file(site: Site, home: Path) -> None:
    (home / "tmp" / "frame.bin").write_bytes(b"x" * 100 + PICTURES[0])


def planted_part(site: Site, home: Path) -> None:
    (home / "core").write_bytes(PICTURES[1][len(PICTURES[1]) // 3 :])


def planted_pixels(site: Site, home: Path) -> None:
    (home / "swap").write_bytes(bytes(1000) + pixels(PICTURES[1]).tobytes())


def planted_log(site: Site, home: Path) -> None:
    encoded = base64.b64encode(PICTURES[2])
    (site.folder / "09-worker.log").write_bytes(b'{"jpeg": "' + encoded + b'"}\n')


def planted_hex(site: Site, home: Path) -> None:
    (site.folder / "09-worker.log").write_text(f"frame={PICTURES[2].hex()}\n")


def pixels(data: bytes) -> Any:
    import numpy as np

    from roommood.inference_worker.vision.opencv import cv2

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "plant", [planted_file, planted_part, planted_pixels, planted_log, planted_hex]
)
def test_a_planted_frame_is_found_in_files(
    plant: Any, home: Path, tracer: Tracer, make_private_site: Any
) -> None:
    site = make_private_site()
    assert tracer.find_in_files(site.folder, home) == []
    plant(site, home)
    assert tracer.find_in_files(site.folder, home)


def test_a_planted_frame_is_found_in_redis_and_its_files(
    tracer: Tracer, make_private_site: Any
) -> None:
    site = make_private_site(appendonly="yes", rdbcompression="no")
    with closing(site.redis._client()) as client:
        client.hset("roommood:{den}:live", "frame", PICTURES[0])
        assert tracer.find_in_redis(client)
        client.save()
    assert len(tracer.find_in_files(site.redis._folder)) >= 2


def test_a_planted_frame_is_found_in_a_deleted_file_and_in_memory(
    tracer: Tracer, tmp_path: Path
) -> None:
    assert tracer.find_in_process(os.getpid()) == []
    with (tmp_path / "gone").open("wb", buffering=0) as file:
        file.write(PICTURES[0])
        (tmp_path / "gone").unlink()
        assert tracer.find_in_process(os.getpid())
    memory = os.memfd_create("frames")
    os.write(memory, pixels(PICTURES[1]).tobytes())
    assert any("memfd:frames" in trace for trace in tracer.find_in_process(os.getpid()))
    os.close(memory)
