"""What a camera measures is declared once, and arrives wherever it is read."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest

from roommood.aggregator.counting.health_fields import camera_fields
from roommood.aggregator.prometheus.exporter import site_samples
from roommood.aggregator.stats.health import CameraHealth, camera_health
from roommood.aggregator.stats.site import Site
from roommood.shared.protocol import messages, wire
from roommood.shared.protocol.measures import Measured, measured
from tests.shared.wire_examples import CAMERA, REPORT

pytest.importorskip("jinja2", reason="the page's libraries are not installed")
from roommood.aggregator.dashboard import html, models

OWN = measured(messages.CameraHealth)
EVERY_MEASURE = pytest.mark.parametrize("measure", OWN, ids=lambda own: own.name)
VALUES = {own.name: n + 2 if own.kind is not str else f"ok-{n}" for n, own in enumerate(OWN)}


def arrived() -> CameraHealth:
    """A camera's own words, over the wire and out of Redis' hash."""
    health = messages.CameraHealth(**VALUES)  # type: ignore[arg-type]
    camera = dataclasses.replace(CAMERA, health=health, counts={"analysed": 3.0, "transit_ms": 4.0})
    report = wire.decode_report(wire.encode_report(dataclasses.replace(REPORT, cameras=(camera,))))
    fields = camera_fields([report])[camera.camera]
    return camera_health(camera.camera, {key: str(value) for key, value in fields.items()}, 0.0)


@EVERY_MEASURE
def test_a_measure_arrives_with_the_reader_and_in_the_api(measure: Measured) -> None:
    camera = arrived()
    assert getattr(camera, measure.name) == VALUES[measure.name]
    health = models.Health(
        redis="answers", why="", taken=datetime.now(UTC), cameras=[camera], workers=[]
    )  # fmt: skip
    assert json.loads(health.model_dump_json())["cameras"][0][measure.name] == VALUES[measure.name]
    schema = models.Health.model_json_schema()["$defs"]["CameraHealth"]["properties"]
    assert schema[measure.name]["description"] == measure.measure.description


@pytest.mark.parametrize("measure", measured(CameraHealth), ids=lambda own: own.name)
def test_a_measure_is_shown_where_it_says_so(measure: Measured) -> None:
    camera = arrived()
    page = html.render("cameras.html", cameras=[camera], away=False)
    assert (f'data-label="{measure.measure.label}"' in page) is bool(measure.measure.label)
    samples = {sample.name for sample in site_samples(Site([], [], [camera], []), [])}
    assert (f"roommood_site_camera_{measure.measure.sample}" in samples) is bool(
        measure.measure.sample
    )


def test_what_was_not_measured_stays_unknown() -> None:
    silent = dataclasses.replace(CAMERA, health=messages.CameraHealth())
    report = wire.decode_report(wire.encode_report(dataclasses.replace(REPORT, cameras=(silent,))))
    assert report.cameras[0].health == messages.CameraHealth()
    fields = camera_fields([report])["door"]
    camera = camera_health("door", {key: str(value) for key, value in fields.items()}, 0.0)
    assert (camera.encode_ms, camera.temperature_c, camera.captured) == (None, None, 0)
