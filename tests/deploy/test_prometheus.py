"""What Prometheus scrapes of a running site, and what rules and dashboard make of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from roommood.aggregator.prometheus.exporter import Exporter, site_samples
from roommood.aggregator.stats.health import CameraHealth
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.palette import COLOUR_OF
from roommood.aggregator.stats.room_stats import KnownRoom
from roommood.aggregator.stats.site import Site as SiteNow
from roommood.shared.errors import ConfigError
from roommood.shared.process.metrics import render
from roommood.shared.process.settings import ExporterSettings
from tests import hooks
from tests.aggregator.made import delivery, face, only, result
from tests.end_to_end.site import Site, until
from tests.end_to_end.test_pauses import fetch
from tests.needs import missing
from tests.ports import free_port
from tests.redis_server import RedisServer

_DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = (_DEPLOY / "prometheus/alerts.yml").read_text()
DASHBOARD = json.loads((_DEPLOY / "grafana/roommood.json").read_text())
PAGE = (_DEPLOY.parent / "docs/prometheus.md").read_text()
# Prometheus adds these to whatever it scrapes.
_OF_PROMETHEUS = {"instance", "job"}
_UNITS = (
    "_total", "_seconds", "_ratio", "_hertz", "_celsius", "_info", "_bytes", "_people", "_valence",
)  # fmt: skip
# Plain counts and yes-or-no, which have no unit.
_UNITLESS = re.compile(
    "roommood_(live|ready|(room|redis|aggregator_redis|exporter_redis|site_camera)_up|room_(paused|unknown)|"
    "site_camera_resting|site_camera_picture_problem|camera_source_status|site_workers|"
    "exporter_(rooms_left_out|redis_nodes_away)|worker_(threads|cameras|aggregators|frames_in_flight|frames_waiting|"
    "results_waiting)|aggregator_(workers|shards_away|redis_may_evict)|camera_workers)"
)
# Told only where the board has a thermometer.
_BOARD = {"roommood_camera_temperature_celsius": set[str]()}
Series = dict[str, set[str]]


def series_of(text: str) -> Series:
    """Metric names with all labels that any of their samples has."""
    series: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series


def made_site() -> str:
    """What a quiet test never shows: a camera with a thermometer and a frozen picture."""
    camera = CameraHealth(
        camera="door", silent_s=1.0, room="hall", temperature_c=50.0, picture="frozen: 12 s"
    )
    room = KnownRoom("hall", datetime.now(UTC), False)
    return render(site_samples(SiteNow([room], [RoomNow("hall")], [camera], []), [])).decode()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """Every metric of a real site of one camera, one worker, one aggregator and the exporter."""
    from roommood.inference_worker.models.files import SHIPPED_EXPRESSION

    with Site(tmp_path_factory.mktemp("site"), str(SHIPPED_EXPRESSION)) as running:
        ports = [free_port() for _ in range(4)]
        ports_given = [("--metrics-port", str(port)) for port in ports]
        reports, frames = running.address(), running.address()
        running.aggregator(reports, *ports_given[0])
        running.worker(frames, reports, *ports_given[1])
        running.camera("sofa", "den", "simulated", frames, *ports_given[2])
        bind = f"127.0.0.1:{ports[3]}"
        exporter = running.start(
            "roommood.deploy.cli", "exporter", "--bind", bind, "--redis", running.redis.url
        )
        exporter.wait_for("exporter ready")

        def text() -> str:
            return "".join(fetch(port, "/metrics")[1] for port in ports)

        needed = (
            "roommood_room_expression_ratio{",
            "roommood_worker_frame_age_seconds{",
            "roommood_site_camera_capture_rate_hertz{",
        )
        until(lambda: all(name in text() for name in needed), "faces are counted")
        return _BOARD | series_of(text()) | series_of(made_site())


def used() -> Iterator[tuple[str, str]]:
    """Each metric of a rule or panel with the expression around it."""
    panels = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
    ]
    expressions = re.findall(r"expr: (?:>-\n)?((?:.+\n)(?: {10}.+\n)*)", RULES)
    for expression in [*expressions, *panels, *_variables()]:
        for name in re.findall(r"roommood_\w+", expression):
            yield name, expression


def _variables() -> list[str]:
    return [str(variable.get("definition", "")) for variable in DASHBOARD["templating"]["list"]]


def test_every_metric_that_a_rule_or_panel_uses_exists(scraped: Series) -> None:
    assert len({name for name, _ in used()}) > 20
    for name, expression in used():
        assert name in scraped, expression


def test_every_label_that_a_rule_or_panel_uses_exists_on_its_metric(scraped: Series) -> None:
    for name, expression in used():
        matchers = re.search(rf"{name}\{{(.*?)\}}", expression)
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers[1])) if matchers else set()
        grouped = {
            label
            for inner in re.findall(r"\b(?:by|on) \((.*?)\)", expression)
            for label in re.split(r",\s*", inner)
        }
        assert labels | grouped <= scraped[name] | _OF_PROMETHEUS, expression


def test_every_legend_names_a_label_of_its_series(scraped: Series) -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            names = re.findall(r"roommood_\w+", target["expr"])
            known = set().union(*(scraped[name] for name in names)) | _OF_PROMETHEUS
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known


def test_a_metric_that_does_not_exist_would_be_found(scraped: Series) -> None:
    """The control of the tests above."""
    assert "roommood_camera_rate_hz" not in scraped
    assert "roommood_room_mood" not in scraped


def test_names_end_in_their_unit(scraped: Series) -> None:
    ours = [name for name in scraped if name.startswith("roommood_")]
    assert len(ours) > 30
    odd = [name for name in ours if not name.endswith(_UNITS) and not _UNITLESS.fullmatch(name)]
    assert odd == []


def test_the_page_lists_every_metric(scraped: Series) -> None:
    listed = set(re.findall(r"`(roommood_\w+)`", PAGE))
    ours = {name for name in scraped if name.startswith("roommood_")}
    assert ours <= listed
    assert listed <= ours


def test_every_panel_asks_the_source_that_was_chosen_and_none_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_expressions_have_the_colours_of_the_live_page() -> None:
    (panel,) = [each for each in DASHBOARD["panels"] if each["title"] == "Expression shown"]
    colours = {
        override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
        for override in panel["fieldConfig"]["overrides"]
    }
    assert colours == dict(COLOUR_OF)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.example.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(words: tuple[str, ...]) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        missing("no promtool: install the package prometheus")
    folder = _DEPLOY / "prometheus"
    done = subprocess.run(
        [tool, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


# The exporter


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def scrape(exporter: Exporter) -> Callable[[str], float | None]:
    """Looks up a sample by its name and labels as written."""
    hooks.the_exporter_reads_anew(exporter)
    text = render(exporter.samples()).decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return lambda name: float(samples[name]) if name in samples else None


def test_a_room_that_falls_silent_has_no_old_figures(server: RedisServer) -> None:
    from roommood.aggregator.counting.store import Store
    from roommood.shared.clock import wall_ms

    store, now_ms = Store(server.url), wall_ms()
    frames = [
        delivery(result(n, face(only("happiness")), interval_us=1_000_000), now_ms - n * 1000)
        for n in range(20)
    ]
    old = [delivery(result(n, face(), room="hall", camera="x"), now_ms - 3e5) for n in range(20)]
    assert not store.commit(frames + old, now_ms).errors
    store.touch_rooms({"kitchen": now_ms, "hall": now_ms - 3e5})
    store.pause("hall")
    store.close()
    sample = scrape(Exporter(ExporterSettings(redis_url=server.url)))
    assert sample('roommood_room_up{room="kitchen"}') == 1
    assert sample('roommood_room_people{room="kitchen"}') == pytest.approx(1.0)
    share = 'roommood_room_expression_ratio{expression="happiness",room="kitchen"}'
    assert sample(share) == pytest.approx(1.0)
    assert sample('roommood_room_up{room="hall"}') == 0
    assert sample('roommood_room_paused{room="hall"}') == 1
    assert sample('roommood_room_coverage_ratio{room="hall"}') == 0
    for name in ("people", "valence", "sure_ratio"):
        assert sample(f'roommood_room_{name}{{room="hall"}}') is None
    assert sample('roommood_room_expression_ratio{expression="neutral",room="hall"}') is None


def test_it_is_ready_before_anybody_has_scraped_it(tmp_path: Path) -> None:
    with Site(tmp_path, "") as site:
        port = free_port()
        where = ("--bind", f"127.0.0.1:{port}", "--redis", site.redis.url)
        exporter = site.start("roommood.deploy.cli", "exporter", *where)
        exporter.wait_for("exporter ready")
        assert until(lambda: fetch(port, "/readyz")[0] == 200, "it is ready")


def test_a_redis_that_hangs_is_told_and_each_scrape_answered(tmp_path: Path) -> None:
    with Site(tmp_path, "") as site:
        port = free_port()
        where = ("--bind", f"127.0.0.1:{port}", "--redis", site.redis.url)
        exporter = site.start("roommood.deploy.cli", "exporter", *where)
        exporter.wait_for("exporter ready")

        def says(up: int, ready: int) -> bool:
            is_told = f"roommood_exporter_redis_up {up}" in fetch(port, "/metrics")[1]
            return is_told and fetch(port, "/readyz")[0] == ready

        assert until(lambda: says(1, 200), "Redis is there")
        site.redis.freeze()
        try:
            assert until(lambda: says(0, 503), "Redis is away")
        finally:
            site.redis.thaw()
        assert until(lambda: says(1, 200), "Redis is back")
        assert exporter.stop() == 0


def test_redis_away_is_told_and_comes_back_by_itself(server: RedisServer) -> None:
    exporter = Exporter(ExporterSettings(redis_url=server.url))
    assert scrape(exporter)("roommood_exporter_redis_up") == 1
    server.kill()
    sample = scrape(exporter)
    assert sample("roommood_exporter_redis_up") == 0
    assert sample("roommood_site_workers") is None
    assert not exporter.health.ready
    server.start()
    assert scrape(exporter)("roommood_exporter_redis_up") == 1


def test_it_asks_redis_at_most_once_a_second_however_often_it_is_asked(
    server: RedisServer,
) -> None:
    exporter = Exporter(ExporterSettings(redis_url=server.url))
    first = exporter.samples()
    assert exporter.samples() is first


def test_other_machines_are_told_only_where_that_was_allowed() -> None:
    with pytest.raises(ConfigError, match="--insecure"):
        ExporterSettings(bind="0.0.0.0:9704")
    assert ExporterSettings(bind="0.0.0.0:9704", insecure=True)
