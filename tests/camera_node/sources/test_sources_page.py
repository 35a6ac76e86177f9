"""docs/sources.md tells what the tests try: its table of manners is made from theirs."""

from pathlib import Path

from tests.camera_node.sources.network.http_cameras import PARTS

PAGE = Path(__file__).parents[3] / "docs" / "sources.md"


def test_the_page_names_every_manner_that_is_tried() -> None:
    told = PAGE.read_text().partition("<!-- manners -->\n")[2].partition("<!-- end of")[0]
    assert told == "".join(f"- {manner}\n" for manner in PARTS)
