"""Constraints for pip: each package that we need at the oldest release that pyproject.toml allows.

python -m tests.lowest > constraints.txt
"""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# Tools, and what a site does without: the checks of their lower bounds would take pip an hour.
_LEFT_OUT = (
    "worker-openvino",
    "worker-cuda",
    "dashboard",
    "demo",
    "dev",
    "training",
    "deploy",
    "discovery",
    "picamera",
    "all",
)


def constraints() -> list[str]:
    """One line for each package, as `redis==7.4.*`: the highest of its lower bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].items()
    lines = [line for extra, lines in extras if extra not in _LEFT_OUT for line in lines]
    lowest: dict[str, Version] = {}
    for requirement in map(Requirement, [*project["dependencies"], *lines]):
        for bound in requirement.specifier:
            if bound.operator == ">=":
                version = Version(bound.version)
                lowest[requirement.name] = max(version, lowest.get(requirement.name, version))
    return [f"{name}=={low.major}.{low.minor}.*" for name, low in sorted(lowest.items())]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints()) + "\n")
