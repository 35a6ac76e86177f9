"""What `make`, containers and a site's wheels install is locked, within pyproject.toml's ranges."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.rows import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What each file locks: roommood with these extras.
LOCKED = {
    "dev": ("dev",),
    "demo": ("demo",),
    "demo,dashboard": ("demo", "dashboard"),
    "camera": ("camera",),
    "worker": ("worker",),
    "aggregator": ("aggregator", "mqtt", "notify"),
    "dashboard": ("dashboard",),
    "site": ("camera", "worker", "aggregator", "dashboard", "mqtt", "notify", "discovery"),
    "picamera": ("picamera",),
}
# Debian 12 has 3.11.2.
PYTHONS = ("3.11.2", "3.11.7", "3.12.3", "3.13.5", "3.14.0")
PI_PYTHONS = PYTHONS[:3]
SYSTEMS = (
    ("linux", "Linux", "x86_64"),
    ("linux", "Linux", "aarch64"),
    ("darwin", "Darwin", "arm64"),
)


def environments(name: str) -> Iterator[dict[str, str]]:
    for full in PI_PYTHONS if name == "picamera" else PYTHONS:
        for sys_platform, system, machine in SYSTEMS:
            yield {
                "python_version": full.rpartition(".")[0], "python_full_version": full,
                "implementation_name": "cpython", "platform_python_implementation": "CPython",
                "sys_platform": sys_platform, "platform_system": system, "os_name": "posix",
                "platform_machine": machine, "extra": "",
            }  # fmt: skip


@cache
def entries(name: str) -> tuple[tuple[Requirement, int], ...]:
    """Each requirement of a file, and how many hashes it has."""
    text = (ROOT / "locked" / f"{name}.txt").read_text()
    starts = [match.start() for match in re.finditer(r"^\S", text, re.MULTILINE)]
    parts = (text[start:end] for start, end in pairwise([*starts, len(text)]))
    return tuple(
        (Requirement(re.split(r" \\\\?\n", part)[0]), part.count("--hash=sha256:"))
        for part in parts
    )


def pinned(name: str, environment: dict[str, str]) -> dict[str, Version]:
    pins: dict[str, Version] = {}
    for entry, _ in entries(name):
        if entry.marker is None or entry.marker.evaluate(environment):
            (bound,) = entry.specifier
            assert bound.operator == "==", entry
            assert canonicalize_name(entry.name) not in pins, entry
            pins[canonicalize_name(entry.name)] = Version(bound.version)
    return pins


def requirements(extras: tuple[str, ...], environment: dict[str, str]) -> Iterator[Requirement]:
    """What roommood with these extras says that it needs there."""
    lines = [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *lines]):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        if requirement.name == "roommood":
            yield from requirements(tuple(requirement.extras), environment)
        else:
            yield requirement


@pytest.mark.parametrize("name", LOCKED)
def test_what_is_locked_is_within_the_ranges_on_each_python_and_system(name: str) -> None:
    for environment in environments(name):
        versions = pinned(name, environment)
        for requirement in requirements(LOCKED[name], environment):
            version = versions.get(canonicalize_name(requirement.name))
            assert version is not None, (
                f"{requirement} is not locked in locked/{name}.txt: `make lock`"
            )
            assert requirement.specifier.contains(version), (
                f"{requirement}, locked at {version}: `make lock`"
            )


@pytest.mark.parametrize("name", LOCKED)
def test_every_package_has_hashes(name: str) -> None:
    assert all(hashes for _, hashes in entries(name))


@pytest.mark.parametrize("name", [name for name in LOCKED if name not in ("dev", "picamera")])
def test_what_runs_is_what_was_tested(name: str) -> None:
    for environment in environments(name):
        tested = pinned("dev", environment)
        assert pinned(name, environment).items() <= tested.items()


def test_no_other_file_is_locked_and_each_is_used() -> None:
    assert {path.stem for path in (ROOT / "locked").glob("*.txt")} == set(LOCKED)
    users = ("Makefile", "deploy/docker/Dockerfile", "docs/site.md")
    text = "".join((ROOT / name).read_text() for name in users)
    for name in set(LOCKED) - {"demo", "demo,dashboard"}:  # by the name of the Makefile's stamp
        assert f"locked/{name}.txt" in text, name
