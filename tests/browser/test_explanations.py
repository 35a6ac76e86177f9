"""Every figure has its line of explanation within reach, by keyboard too; an hour leads to its
figures; what is printed holds what is shown."""

from importlib import resources

import pytest

from roommood.aggregator import dashboard
from roommood.aggregator.dashboard.explanations import explanations
from roommood.aggregator.dashboard.html import render
from tests.browser.chromium import DESKTOP, PHONE, Watched, until, violations
from tests.browser.conftest import Demo, Open
from tests.browser.test_dashboard import PAGES, has_figures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
# Where figures stand: named in lists of facts, in heads of columns, and large.
FIGURES = ".rm-facts dt, th.rm-num, .rm-figure:has(b)"
HISTORY = "section[aria-labelledby=history]"


def without_explanation(seen: Watched) -> list[str]:
    return list(
        seen.page.evaluate(
            """figures => [...document.querySelectorAll(figures)].filter(one => {
                const term = one.querySelector('button[popovertarget]')
                const line = term && document.getElementById(term.getAttribute('popovertarget'))
                return !line || line.innerText.length < 20
            }).map(one => one.outerHTML)""",
            FIGURES,
        )
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_has_its_explanation_within_reach(
    demo: Demo, open_page: Open, name: str
) -> None:
    seen = open_page(DESKTOP)
    seen.open(demo.url + PAGES[name])
    until(lambda: has_figures(seen, name), f"figures in {name}")
    if name == "room":
        seen.page.click("summary:has-text('History as a table')")
        seen.page.wait_for_selector(f"{HISTORY} .rm-folded td")
        seen.page.select_option("label:has-text('Beside it') select", "before")
        until(lambda: seen.page.query_selector(".rm-before"), "another period is beside it")
    assert seen.page.locator(FIGURES).count() >= 6
    assert without_explanation(seen) == []

    seen.page.evaluate(
        "document.querySelector('main').insertAdjacentHTML("
        "'beforeend', '<dl class=rm-facts><dt>Mood</dt></dl>')"
    )
    assert len(without_explanation(seen)) == 1  # the control


def test_an_explanation_is_opened_and_closed_with_the_keyboard(demo: Demo, open_page: Open) -> None:
    seen = open_page(DESKTOP)
    seen.open(demo.url + "/health")
    until(lambda: has_figures(seen, "health"), "figures")
    seen.page.focus("th .rm-term:has-text('Skipped')")
    seen.page.keyboard.press("Enter")
    assert "a newer picture came" in seen.page.inner_text("#why-camera-skipped:popover-open")
    assert violations(seen.page) == []
    seen.page.keyboard.press("Escape")
    assert seen.page.query_selector(":popover-open") is None


def test_a_browser_in_which_nothing_pops_up_shows_no_explanation_unasked(open_page: Open) -> None:
    """As Safari 16, to which `popover` is no word."""
    page = open_page(DESKTOP).page
    sheet = resources.files(dashboard).joinpath("assets", "dashboard.css").read_text("utf-8")
    older = sheet.replace("selector(:popover-open)", "selector(:unheard-of)")
    foot = render("explanations.html", explanations=list(explanations()))
    page.set_content(f"<style>{older}</style>{foot.replace('<div popover', '<div')}")
    assert page.locator(".rm-explained").count() > 10
    assert page.locator(".rm-explained:visible").count() == 0


def test_a_phone_has_all_explanations_at_the_foot(demo: Demo, open_page: Open) -> None:
    seen = open_page(PHONE)
    seen.open(demo.url + "/health")
    until(lambda: has_figures(seen, "health"), "figures")
    seen.page.click("summary:has-text('What the figures mean')")
    meanings = seen.text(".rm-meanings")
    for label in seen.page.evaluate(
        "[...new Set([...document.querySelectorAll('td.rm-num')].map(one => one.dataset.label))]"
    ):
        assert label in meanings


def test_an_hour_of_the_picture_leads_to_its_figures(demo: Demo, open_page: Open) -> None:
    seen = open_page({**DESKTOP, "timezone_id": "UTC"})
    seen.open(demo.url + "/room/kitchen")
    until(lambda: "Press an hour" in seen.text(), "the days are there")
    seen.page.click("summary:has-text('Day by hour as a table')")
    link = seen.page.locator("section[aria-labelledby=heat] td a").nth(30)
    address = str(link.get_attribute("href"))
    link.click()
    begins = f"{address[-6:-1]} to "
    until(lambda: begins in seen.text(f"{HISTORY} .rm-note >> nth=0"), "that hour is shown")
    until(lambda: "Looks" in seen.text(HISTORY), "with its figures")

    until(lambda: "Press an hour" in seen.text(), "the days are there again")
    cell = seen.page.locator(
        ".rm-chart-heat svg path[fill^='rgb'], .rm-chart-heat svg path[fill^='#']"
    )
    until(lambda: cell.count() > 40, "the cells are drawn")
    before = seen.text(f"{HISTORY} .rm-note >> nth=0")
    cell.nth(20).click(force=True)
    until(lambda: seen.text(f"{HISTORY} .rm-note >> nth=0") != before, "another hour is shown")


def test_what_is_printed_has_figures_and_no_buttons(demo: Demo, open_page: Open) -> None:
    seen = open_page({**DESKTOP, "color_scheme": "dark"})
    seen.open(demo.url + "/room/kitchen")
    until(lambda: has_figures(seen, "room"), "figures")
    seen.page.emulate_media(media="print")
    assert not seen.page.is_visible("button:has-text('Pause')")
    assert not seen.page.is_visible("button:has-text('Yesterday')")
    assert seen.page.is_visible(".rm-facts dd >> nth=0")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(ground) == "rgb(255, 255, 255)"
    assert seen.page.pdf()[:5] == b"%PDF-"
