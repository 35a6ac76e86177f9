"""The switches of a room's page, pressed as a person does."""

from typing import Final

from tests.browser.chromium import Watched

SWITCHES: Final = "section[aria-labelledby=switches]"


def choose(seen: Watched, label: str, how: str) -> None:
    """Of what is chosen among, by its label, this one."""
    seen.page.click(f"{SWITCHES} [aria-label='{label}'] button:has-text('{how}')")
