"""The Dockerfile and compose.yaml hold what docs/containers.md says; `make site` runs them."""

import re
from pathlib import Path
from typing import Any

import pytest

yaml: Any = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
IMAGES = ("camera", "worker", "aggregator", "dashboard", "redis")
SERVICES = COMPOSE["services"]
DOCS = (ROOT / "docs/containers.md").read_text()


def stages() -> dict[str, tuple[str, str]]:
    """What each stage is made from, and its lines."""
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {parts[n + 1]: (parts[n], parts[n + 2]) for n in range(0, len(parts), 3)}


def whole(name: str) -> str:
    """The lines of a stage and of those that it is made from."""
    origin, lines = stages()[name]
    return lines if origin == "${BASE}" else whole(origin) + lines


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_ends_as_a_numbered_user_with_a_health_check(image: str) -> None:
    lines = whole(image)
    users = re.findall(r"^USER (.*)$", lines, re.MULTILINE)

    assert users[-1] == "10001:10001"
    assert lines.count("HEALTHCHECK") >= 1
    assert re.search(r"^ENTRYPOINT \[", lines, re.MULTILINE)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_not_made_from_the_stage_with_the_tools(image: str) -> None:
    lines = whole(image)

    assert "pip" not in re.sub(r"#.*", "", lines)
    assert re.findall(r"COPY --from=\S+ (\S+)", lines) in ([], ["/opt/roommood"])


def test_every_image_is_made_from_one_base_that_can_be_pinned() -> None:
    outside = {origin for origin, _ in stages().values()} - set(stages())

    assert outside == {"${BASE}"}
    assert "ARG BASE=debian:bookworm-slim\n" in DOCKERFILE


def test_the_docs_have_every_variable_of_compose_and_the_file_names_them_at_its_top() -> None:
    text = (ROOT / "deploy/compose.yaml").read_text()
    table = re.findall(r"^\| (`.*?) \|", DOCS, re.MULTILINE)
    documented = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}

    assert set(re.findall(r"\$\{(\w+)", text)) == documented
    assert documented <= set(re.findall(r"\w+", text[: text.index("name: roommood")]))


def test_what_speaks_of_days_and_hours_does_so_in_the_rooms_time_zone() -> None:
    zones = {name: service.get("environment", {}).get("TZ") for name, service in SERVICES.items()}

    assert {name for name, zone in zones.items() if zone} == {"aggregator", "notify"}
    assert {zone for zone in zones.values() if zone} == {"${TZ:-Etc/UTC}"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_hardened_and_looked_after(service: str) -> None:
    settings = SERVICES[service]

    assert settings["user"] == "10001:10001"
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert "cap_add" not in settings
    assert settings["security_opt"] == ["no-new-privileges:true"]
    serves = service not in ("mqtt", "notify")
    assert (
        settings["healthcheck"]["test"] if serves else settings["healthcheck"] == {"disable": True}
    )
    assert all(
        on["condition"] == "service_healthy" for on in settings.get("depends_on", {}).values()
    )


def test_only_workers_are_reached_from_other_machines() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert ports.pop("worker") == ["${ROOMMOOD_PORTS:-5701}:${ROOMMOOD_PORTS:-5701}"]
    assert ports.pop("dashboard") == ["${ROOMMOOD_PAGE:-127.0.0.1}:5780:5780"]
    assert all(port.startswith("127.0.0.1:") for given in ports.values() for port in given)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("redis", "aggregator"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_no_service_is_given_more_secrets_than_it_needs() -> None:
    assert {name: service["secrets"] for name, service in SERVICES.items()} == {
        "redis": ["users.acl"],
        "aggregator": ["aggregators.key", "redis-writer.password"],
        "worker": ["workers.key"],
        "dashboard": ["redis-reader.password", "dashboard.password"],
        "exporter": ["redis-reader.password"],
        "mqtt": ["redis-reader.password", "mqtt.password"],
        "notify": ["redis-reader.password", "notify.urls"],
    }
    given = {key for service in SERVICES.values() for key in service.get("environment", {})}
    assert not any("PASSWORD" in key and not key.endswith("_FILE") for key in given)
