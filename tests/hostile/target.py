"""What is attacked: a real aggregator and a real worker on loopback, and what is seen of them."""

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from roommood.deploy.keys.site_keys import SiteKeys
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.shared.security.keys import ClientKeys, camera_keys
from tests.end_to_end.fake_camera import FakeCamera
from tests.end_to_end.site import EVERY_FRAME, Component, Site, until
from tests.hostile import jpegs
from tests.ports import free_port

# What each protection's name switches off is in `tests.hostile.unprotected`.
_UNPROTECTED: Final = "tests.hostile.unprotected"
_MB: Final = 1 << 20


class Target:
    """One aggregator, one worker; `without` names a protection that the worker or, as
    "aggregator:NAME", the aggregator starts without ("both:NAME": either). Where `site` has keys,
    all of them have."""

    def __init__(self, site: Site, without: str = "", *worker_options: str) -> None:
        self.site = site
        self._worker_options = worker_options
        self.frames, self.reports = site.address(), site.address()
        self._ports = {"aggregator": free_port(), "worker": free_port()}
        whose, _, what = without.rpartition(":")
        self.aggregator = self._start_aggregator(what if whose else "")
        self.worker = self._start_worker("" if whose == "aggregator" else what)
        self._good = 0

    def _start_aggregator(self, without: str) -> Component:
        options = ("--bind", self.reports, "--redis", self.site.redis.url)
        return self._start("aggregator", "roommood.aggregator.cli", without, *options)

    def _start_worker(self, without: str) -> Component:
        where = ("--bind", self.frames, "--aggregator", self.reports)
        models = ("--detector", "haar", "--classifier", self.site.classifier)
        # A busy machine must not turn what is to be judged into what came too late.
        patient = ("--input-size", "160", "--max-age-ms", "60000")
        options = (*where, *models, *patient, *EVERY_FRAME, *self._worker_options)
        return self._start("worker", "roommood.inference_worker.cli", without, *options)

    def _start(self, name: str, module: str, without: str, *options: str) -> Component:
        options = (*options, *self.site.own_keys())
        metrics = ("--metrics-port", str(self._ports[name]))
        if without:
            component = self.site.start(_UNPROTECTED, module, without, *options, *metrics)
        else:
            component = self.site.start(module, *options, *metrics)
        component.name = name
        component.wait_for(f"{name} ready")
        return component

    # What is seen of it

    def metrics(self, name: str = "worker") -> dict[str, float]:
        """Every sample of a component's /metrics, by its name and labels as they stand there."""
        url = f"http://127.0.0.1:{self._ports[name]}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            text = answer.read().decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {key: float(value) for key, _, value in lines}

    def refused(self, reason: str, name: str = "worker") -> float:
        """All samples whose labels name this reason, added up."""
        pattern = re.compile(rf'"(refused-|message-refused-)?{reason}"')
        return sum(n for key, n in self.metrics(name).items() if pattern.search(key))

    def worker_refused(self, reason: str) -> float:
        key = f'roommood_worker_refusals_total{{reason="{reason}"}}'
        return self.metrics().get(key, 0.0)

    def ended(self, reason: str, name: str = "worker") -> float:
        """Connections that ended for this reason."""
        key = f'roommood_{name}_connections_ended_total{{reason="{reason}"}}'
        return self.metrics(name).get(key, 0.0)

    def check_alive(self) -> None:
        for component in (self.aggregator, self.worker):
            assert component.process.poll() is None, component.tail()
            assert "Traceback" not in component.log.read_text(errors="replace"), component.tail()

    def check_good_camera(self, timeout_s: float = 60.0) -> float:
        """A new camera's picture is analysed and counted; returns the seconds that it took."""
        self._good += 1
        name, began = f"good-{self._good}", time.monotonic()
        with FakeCamera(self.frames, name, "goodroom", self._keys_of(name)) as camera:
            camera.wait_for_credit()
            camera.send(jpegs.good())
            until(lambda: self.site.frames("goodroom", name) == 1, "a good frame counts", timeout_s)
        self.check_alive()
        return time.monotonic() - began

    def _keys_of(self, name: str) -> ClientKeys | None:
        keys = self.site.keys
        return camera_keys(keys.add_camera(name, "goodroom"), name, "goodroom") if keys else None


@contextmanager
def a_target(
    folder: Path, without: str = "", *worker_options: str, keyed: bool = False
) -> Iterator[Target]:
    with Site(folder, str(SHIPPED_EXPRESSION)) as site:
        if keyed:
            site.keys = SiteKeys(folder / "keys")
            site.keys.init()
        yield Target(site, without, *worker_options)


class Cost:
    """What a process took since `Cost(process)`: CPU seconds, and growth in resident MB."""

    def __init__(self, component: Component) -> None:
        self._proc = Path(f"/proc/{component.process.pid}")
        self._cpu_s, self._rss_mb = cpu_s(self._proc), rss_mb(self._proc)
        self.peak_mb = 0.0

    def look(self) -> "Cost":
        """Takes note of the memory of this moment."""
        self.peak_mb = max(self.peak_mb, rss_mb(self._proc) - self._rss_mb)
        return self

    @property
    def now_mb(self) -> float:
        return rss_mb(self._proc) - self._rss_mb

    @property
    def cpu_s(self) -> float:
        return cpu_s(self._proc) - self._cpu_s


def rss_mb(proc: Path) -> float:
    return int((proc / "statm").read_text().split()[1]) * 4096 / _MB


def cpu_s(proc: Path) -> float:
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def descriptors(component: Component) -> int:
    return len(list(Path(f"/proc/{component.process.pid}/fd").iterdir()))
