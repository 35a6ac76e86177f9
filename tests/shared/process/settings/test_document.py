"""docs/settings.md is what the tables say."""

import re
from pathlib import Path

from roommood.shared.process.settings.document import settings_page
from roommood.shared.process.settings.tables import unknown_variables

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs/settings.md"
SHIPPED = ("aggregator", "camera_node", "deploy", "docs", "inference_worker", "shared", "README.md")


def test_the_page_of_settings_is_up_to_date() -> None:
    command = "python -m roommood.shared.process.settings.document > docs/settings.md"
    assert PAGE.read_text() == settings_page(), f"write it anew: {command}"


def test_every_variable_that_is_named_anywhere_is_known() -> None:
    places = [path for name in SHIPPED for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    texts = (
        path.read_text()
        for path in places
        if path.suffix in {".py", ".md", ".yaml", ".service", ".sh", ".env", ".toml", ""}
        and path.is_file()
    )
    named = {name for text in texts for name in re.findall(r"\bROOMMOOD_[A-Z_]*[A-Z]\b", text)}
    assert "ROOMMOOD_METRICS_PORT" in named
    wrong = {"ROOMMOOD_CAMERA_ROOMM"}  # as examples of mistakes
    assert list(unknown_variables(dict.fromkeys(named - wrong, "x"))) == []
