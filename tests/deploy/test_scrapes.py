"""What a real Prometheus makes of the exporter: all of a site, and nothing once that has ended."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roommood.aggregator.counting.store import Store
from roommood.shared.clock import wall_ms
from tests.end_to_end.site import Site, until
from tests.needs import missing
from tests.ports import free_port

_CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: roommood-exporter
    params: {{collect: [rooms]}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def prometheus(folder: Path, scraped_port: int) -> Iterator[str]:
    """Its address, with one target."""
    program = shutil.which("prometheus")
    if program is None:
        missing("no prometheus: install the package prometheus")
    (folder / "prometheus.yml").write_text(_CONFIG.format(port=scraped_port))
    where = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder}/prometheus.yml", f"--web.listen-address={where}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--storage.tsdb.path={folder}/data"], stdout=log, stderr=log
        )
    try:
        yield f"http://{where}"
    finally:
        process.kill()
        process.wait(20)


def values(url: str, expression: str) -> list[float]:
    """Of all series at this moment; none before it answers."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=20) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except (urllib.error.HTTPError, OSError):
        return []
    return [float(series["value"][1]) for series in result]


def test_it_has_every_room_while_the_exporter_runs_and_none_after(tmp_path: Path) -> None:
    with Site(tmp_path, "") as site:
        store = Store(site.redis.url)
        store.touch_rooms({f"room-{n}_x": wall_ms() for n in range(200)})
        store.close()
        port = free_port()
        where = ("--bind", f"127.0.0.1:{port}", "--redis", site.redis.url)
        exporter = site.start("roommood.deploy.cli", "exporter", *where)
        exporter.wait_for("exporter ready")
        with prometheus(tmp_path, port) as url:
            until(lambda: values(url, "count(roommood_room_up)") == [200.0], "it has all rooms")
            assert values(url, "up") == [1.0]
            assert exporter.stop() == 0
            until(lambda: values(url, "up") == [0.0], "it is told as down")
            assert values(url, "roommood_room_up") == []
