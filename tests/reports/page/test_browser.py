"""The page in Chromium, opened from a file as a reader would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dcbench.reports.page import write_page
from tests.reports.page.browser import look, resize, started_browser, wait_until
from tests.reports.page.made import HOSTILE, reported, two_boards

pytestmark = pytest.mark.browser
FIGURE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><title>A</title></svg>'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from started_browser(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    (folder / "drawn").mkdir()
    (folder / "drawn" / "a.svg").write_text(FIGURE)
    page = write_page(two_boards(), [reported("Other", 0.99)], folder / "page", folder / "drawn")
    return page.as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    """The page as it opens on a wide screen, without what an earlier test left behind."""
    resize(browser, 1280)
    browser.get("about:blank")
    browser.get(address)
    browser.execute_script("localStorage.clear()")
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(address)
    return browser


def press(page: Any, keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page).send_keys(keys).perform()


def shown(page: Any, part: str = "") -> list[str]:
    """Names of the rows that are seen, from top to bottom."""
    names: list[str] = page.execute_script(
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter(row => row.checkVisibility()).map(row => row.dataset.name)",
        f"{part} tbody[data-name]",
    )
    return names


def header(page: Any, title: str) -> Any:
    return next(
        each
        for each in page.find_elements("css selector", "button.sort")
        if each.is_displayed() and each.text.startswith(title)
    )


FIRST = "#v1-lite-cifair10-common"
MEASURED = f"{FIRST} table:not(.reported)"


def test_nothing_is_logged_and_no_request_leaves_the_page(page):
    for tab in page.find_elements("css selector", "[role=tab]"):
        tab.click()
    image = look(page, "#figures img")
    wide = "return arguments[0].naturalWidth"
    wait_until(lambda: page.execute_script(wide, image) == 40)
    header_of_first = look(page, f"a[href='{FIRST}']")
    header_of_first.click()
    header(page, "Accuracy").click()
    look(page, "#theme").click()
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("index.html") for url in asked)
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def test_policy_stops_a_request_to_elsewhere(page):
    page.execute_script("new Image().src = 'http://127.0.0.1:9/x.png'")
    said = " ".join(entry["message"] for entry in page.get_log("browser"))
    assert "Content Security Policy" in said


def test_sorting_by_a_number_reorders_rows_by_value_and_not_by_text(page):
    look(page, f"a[href='{FIRST}']").click()
    assert shown(page, MEASURED) == ["ic-mixup", "mixup", HOSTILE, "erm", "remix"]
    by_accuracy = header(page, "Accuracy")
    by_accuracy.click()
    assert shown(page, MEASURED) == ["remix", "ic-mixup", "mixup", HOSTILE, "erm"]
    head = look(page, f"{MEASURED} th[aria-sort]")
    assert (head.text, head.get_attribute("aria-sort")) == ("Accuracy %", "descending")
    by_accuracy.click()
    assert shown(page, MEASURED) == ["erm", HOSTILE, "mixup", "ic-mixup", "remix"]
    assert head.get_attribute("aria-sort") == "ascending"


def test_first_sorting_puts_the_best_on_top_where_low_is_good(page):
    look(page, f"a[href='{FIRST}']").click()
    header(page, "NLL").click()
    assert shown(page, MEASURED)[0] == "remix"


def test_rows_without_a_rank_stay_last_whichever_way_ranks_are_sorted(page):
    look(page, f"a[href='{FIRST}']").click()
    for _ in range(2):
        header(page, "Rank").click()
        assert shown(page, MEASURED)[-1] == "remix"
    assert shown(page, MEASURED)[0] == "erm"


def test_sorting_by_name_is_alphabetical_and_keyboard_will_do(page):
    look(page, f"a[href='{FIRST}']").click()
    page.execute_script("arguments[0].focus()", header(page, "Method"))
    press(page, "\ue007")
    assert shown(page, MEASURED)[1:] == ["erm", "ic-mixup", "mixup", "remix"]


def test_runs_stay_with_their_method_when_rows_are_sorted(page):
    look(page, f"a[href='{FIRST}']").click()
    header(page, "Accuracy").click()
    body = look(page, f"{MEASURED} tbody[data-name='remix']")
    more = body.find_element("css selector", "button.more")
    assert more.get_attribute("aria-expanded") == "false"
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    rows = [row.text for row in body.find_elements("css selector", ".runs tbody tr")]
    assert [row.split()[:3] for row in rows] == [["0", "0", "60.00"], ["0", "1", "61.00"]]


def test_cell_of_the_overview_opens_the_runs_behind_it_and_leads_to_its_row(page):
    cell = look(page, "#overview .cell[data-row='v1-lite-cifair10-common-subset-0-mixup']")
    cell.click()
    assert cell.get_attribute("aria-expanded") == "true"
    detail = look(page, "#overview .detail")
    rows = [row.text.split()[:3] for row in detail.find_elements("css selector", ".runs tbody tr")]
    assert rows == [["0", "0", "52.00"], ["0", "1", "53.00"], ["0", "2", "54.00"]]
    detail.find_element("css selector", "a[href^='#']").click()
    body = look(page, "#v1-lite-cifair10-common-subset-0-mixup")
    wait_until(body.is_displayed)
    assert body.find_element("css selector", ".runs").is_displayed()
    look(page, "a[href='#overview']").click()
    page.execute_script("arguments[0].focus()", cell)
    press(page, " ")
    assert page.find_elements("css selector", "#overview .detail") == []
    assert cell.get_attribute("aria-expanded") == "false"


def test_address_with_a_row_opens_its_section_and_its_runs(page, address):
    page.get("about:blank")
    page.get(f"{address}#v1-lite-cifair10-common-subset-0-erm")
    assert look(page, FIRST).is_displayed()
    assert not look(page, "#overview").is_displayed()
    assert look(page, "[data-name=erm] .runs").is_displayed()


def test_hostile_name_is_text_where_the_script_writes_it(page):
    cell = look(page, "#overview .cell[data-row$='script-alert-1-script']")
    cell.click()
    assert f"about {HOSTILE}" in look(page, "#overview .detail").text
    assert len(page.find_elements("css selector", "script")) == 2


def test_filter_keeps_the_methods_whose_name_holds_the_text(page):
    look(page, f"a[href='{FIRST}']").click()
    search = look(page, f"{FIRST} [type=search]")
    search.send_keys("MIX")
    assert shown(page, FIRST) == ["ic-mixup", "mixup", "remix"]
    assert look(page, f"{FIRST} output").text == "3 of 6 rows"
    search.clear()
    search.send_keys("<script>")
    assert shown(page, FIRST) == [HOSTILE]


def test_filter_takes_provisional_and_reported_rows_away(page):
    look(page, f"a[href='{FIRST}']").click()
    for state in ("provisional", "reported"):
        look(page, f"{FIRST} [value={state}]").click()
    assert shown(page, FIRST) == ["ic-mixup", "mixup", HOSTILE, "erm"]


def test_tabs_go_by_keyboard_round_their_ends(page):
    tabs = page.find_elements("css selector", "[role=tab]")
    names = [tab.get_attribute("aria-label") for tab in tabs]
    assert names == [
        *("Overview", "Check a run", "Submit and cite"),
        *("v1: digits", "v1-lite: cifair10-common", "Figures"),
    ]

    def chosen() -> tuple[str, list[str]]:
        now = page.switch_to.active_element.get_attribute("aria-label")
        panels = page.find_elements("css selector", "[role=tabpanel]")
        return now, [each.get_attribute("id") for each in panels if each.is_displayed()]

    page.execute_script("arguments[0].focus()", tabs[0])
    assert chosen() == ("Overview", ["overview"])
    for key, name, panel in (
        ("\ue014", "Check a run", "check"),
        ("\ue014", "Submit and cite", "taking-part"),
        ("\ue014", "v1: digits", "v1-digits"),
        ("\ue014", "v1-lite: cifair10-common", FIRST[1:]),
        ("\ue010", "Figures", "figures"),
        ("\ue014", "Overview", "overview"),
        ("\ue012", "Figures", "figures"),
        ("\ue011", "Overview", "overview"),
    ):
        press(page, key)
        assert chosen() == (name, [panel])
    selected = [tab.get_attribute("aria-selected") for tab in tabs]
    assert selected == ["true", *["false"] * 5]
    assert [tab.get_attribute("tabindex") for tab in tabs] == ["0", *["-1"] * 5]


def test_address_with_a_section_opens_it(page, address):
    page.get(f"{address}{FIRST}")
    assert look(page, FIRST).is_displayed()
    assert not look(page, "#v1-digits").is_displayed()


def test_first_tab_key_reaches_the_link_past_the_tabs(page):
    press(page, "\ue004")
    link = page.switch_to.active_element
    assert link.text == "Skip to the tables"
    assert link.location["x"] >= 0
    press(page, "\ue007")
    assert page.switch_to.active_element.get_attribute("id") == "main"


COUNT_SCROLLS = """
window.scrolls = 0;
const own = Element.prototype.scrollIntoView;
Element.prototype.scrollIntoView = function (...how) { window.scrolls += 1; own.apply(this, how); };
"""


def test_page_scrolls_only_when_a_tab_is_chosen(page, address):
    added = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT_SCROLLS})
    try:
        for start in (address, f"{address}{FIRST}"):
            page.get("about:blank")
            page.get(start)
            assert page.execute_script("return window.scrolls") == 0
        look(page, "a[href='#figures']").click()
        assert page.execute_script("return window.scrolls") == 1
    finally:
        page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_focus_is_seen(page):
    page.execute_script("arguments[0].focus()", look(page, "#theme"))
    press(page, "\ue004")
    focus = page.switch_to.active_element
    assert focus.value_of_css_property("outline-style") == "solid"


def background(page: Any) -> str:
    color: str = page.execute_script(
        "return getComputedStyle(document.documentElement).backgroundColor"
    )
    return color


def test_theme_follows_the_system_until_it_is_chosen_and_the_choice_is_kept(page, address):
    def system(theme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    light, dark = "rgb(250, 250, 248)", "rgb(20, 24, 27)"
    system("light")
    assert background(page) == light
    system("dark")
    assert background(page) == dark
    button = look(page, "#theme")
    button.click()
    assert (button.text, background(page)) == ("Theme: light", light)
    page.get("about:blank")
    page.get(address)
    assert (look(page, "#theme").text, background(page)) == ("Theme: light", light)
    system("light")
    look(page, "#theme").click()
    assert (look(page, "#theme").text, background(page)) == ("Theme: dark", dark)


def test_page_of_a_phone_does_not_scroll_sideways(page):
    resize(page, 375)
    for tab in page.find_elements("css selector", "[role=tab]"):
        tab.click()
        for details in page.find_elements("css selector", "details"):
            page.execute_script("arguments[0].open = true", details)
        for more in page.find_elements("css selector", "button.more[aria-expanded=false]"):
            if more.is_displayed():
                more.click()
        width = page.execute_script("return document.documentElement.scrollWidth")
        assert width == 375
    table = look(page, f"{FIRST} .scroll")
    look(page, f"a[href='{FIRST}']").click()
    assert page.execute_script("return arguments[0].scrollWidth > 375", table)


def test_all_tables_are_there_without_a_script(page, address):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get("about:blank")
        page.get(address)
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert page.find_elements("css selector", "[role=tab]") == []
    hidden = page.execute_script(
        "return [...document.querySelectorAll('table')].filter(t => !t.closest('details') "
        "&& !t.checkVisibility()).length"
    )
    assert hidden == 0
    assert len(shown(page)) == 7
    assert "Single runs are in the CSV" in look(page, f"{FIRST} noscript").text
