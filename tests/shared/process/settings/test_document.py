"""docs/settings.md is what the tables say."""

from pathlib import Path

from roommood.shared.process.settings.document import settings_page

PAGE = Path(__file__).parents[4] / "docs/settings.md"


def test_the_page_of_settings_is_up_to_date() -> None:
    command = "python -m roommood.shared.process.settings.document > docs/settings.md"
    assert PAGE.read_text() == settings_page(), f"write it anew: {command}"
