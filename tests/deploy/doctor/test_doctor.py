from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from roommood.aggregator.redis import keys as redis_keys
from roommood.deploy.doctor import clock as clock_check
from roommood.deploy.doctor import findings
from roommood.deploy.doctor.doctor import Targets, examine, run_doctor
from roommood.deploy.doctor.findings import Finding, Level, checked, ok
from roommood.deploy.doctor.redis import check_redis
from roommood.shared.errors import ModelError
from roommood.shared.process.origin import how_to_install
from tests import hooks
from tests.redis_server import RedisServer


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.about: finding.level for finding in findings}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_this_machine_is_looked_at_from_python_to_source() -> None:
    abouts = [finding.about for finding in examine(Targets(redis_url="redis://127.0.0.1:1/0"))]

    assert abouts[:2] == ["roommood", "packages"]
    for about in (
        "extra worker",
        "disk",
        "clock",
        "memory bound",
        "transport",
        "models",
        "redis",
        "worker",
        "source",
    ):
        assert about in abouts


def test_what_was_not_asked_for_is_skipped() -> None:
    findings = levels(list(examine(Targets())))

    assert findings["worker"] == findings["source"] == Level.SKIPPED
    assert findings["redis"] in (Level.WARN, Level.OK)


def test_a_redis_that_was_asked_for_must_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor(Targets(redis_url="redis://127.0.0.1:1/0")) == 1
    assert "does not answer" in capsys.readouterr().out


def test_a_plain_redis_is_warned_of_its_disk(redis_server: RedisServer) -> None:
    findings = levels(list(check_redis(redis_server.url, None)))

    assert findings["redis memory"] is Level.OK
    assert findings["redis disk"] is Level.WARN
    assert findings["redis keys"] is Level.OK


def test_a_redis_that_forgets_when_full_fails(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        unlimited = levels(list(check_redis(redis_server.url, None)))
        client.config_set("maxmemory", "100mb")
        limited = levels(list(check_redis(redis_server.url, None)))
        client.config_set("maxmemory-policy", "noeviction")

    assert (unlimited["redis memory"], limited["redis memory"]) == (Level.WARN, Level.FAIL)


def test_keys_of_another_version_fail(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set(redis_keys.SCHEMA, "999")
        findings = list(check_redis(redis_server.url, None))
        client.delete(redis_keys.SCHEMA)

    (keys,) = [finding for finding in findings if finding.about == "redis keys"]
    assert keys.level is Level.FAIL
    assert "999" in keys.found


@pytest.mark.parametrize(
    ("state", "level"), [(0, Level.OK), (5, Level.WARN), (None, Level.SKIPPED)]
)
def test_a_clock_that_nobody_keeps_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, state: int | None, level: Level
) -> None:
    hooks.the_kernels_clock_is(monkeypatch, state)
    assert clock_check.clock_finding().level is level


def test_a_worker_that_is_not_there_fails() -> None:
    assert levels(list(examine(Targets(worker="127.0.0.1:1"))))["worker"] is Level.FAIL


def test_an_address_that_is_none_fails_with_the_reason() -> None:
    (finding,) = [each for each in examine(Targets(worker="desk")) if each.about == "worker"]

    assert finding.level is Level.FAIL
    assert "host:port" in finding.found


def test_a_source_must_give_a_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.jpg"), np.full((48, 64, 3), 90, np.uint8))
    (good,) = [
        finding for finding in examine(Targets(source=str(tmp_path))) if finding.about == "source"
    ]
    (bad,) = [
        finding for finding in examine(Targets(source="/no/such")) if finding.about == "source"
    ]

    assert (good.level, bad.level) == (Level.OK, Level.FAIL)
    assert "64x48" in good.found
    assert "/no/such" in bad.found


def test_a_check_without_its_modules_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "find_spec", lambda _name: None)

    (result,) = checked("models", list, ("onnxruntime",), "worker")

    assert result.level is Level.SKIPPED
    assert result.found == f"needs onnxruntime: {how_to_install('worker')}"


def test_an_error_of_ours_is_a_failure_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> Iterator[Finding]:
        yield ok("first", "fine")
        raise ModelError("the file is damaged")

    assert not findings.show([*checked("models", broken, (), "worker"), ok("last", "fine")])
    output = capsys.readouterr().out
    assert "fail    models: the file is damaged" in output
    assert "2 ok, 1 fail" in output
