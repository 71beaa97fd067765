"""A board of a thousand methods in a browser: what it makes and lays out, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dcbench.reports.page import write_page
from tests.reports.page.browser import look, resize, started_browser
from tests.reports.page.made import board

pytestmark = pytest.mark.browser
METHODS, RUNS = 1000, 10


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    names = [f"method-{number}" for number in range(METHODS)]
    accuracies = {
        name: tuple(((7 * number + seed) % 997) / 1000 for seed in range(RUNS))
        for number, name in enumerate(names)
    }
    shown = board(accuracies, dict.fromkeys(names, 1), split="digits", asked=RUNS)
    folder: Path = tmp_path_factory.mktemp("many")
    address = write_page([shown], (), folder).as_uri()
    for browser in started_browser(tmp_path_factory.mktemp("profile")):
        resize(browser, 1280)
        browser.get(f"{address}#v1-lite-digits")
        yield browser


def test_tables_of_runs_are_made_when_they_are_asked_for(page: Any):
    assert len(page.find_elements("css selector", "#v1-lite-digits tbody[data-name]")) == METHODS
    assert page.find_elements("css selector", ".runs") == []
    more = look(page, "#v1-lite-digits tbody:not([hidden]) .more")
    more.click()
    assert len(page.find_elements("css selector", ".runs tbody tr")) == RUNS
    more.click()
    assert page.find_elements("css selector", ".runs") == []


def test_first_rows_alone_are_shown_until_all_are_asked_for(page: Any):
    bodies = "[...document.querySelectorAll('#v1-lite-digits tbody[data-name]')]"
    count = f"return {bodies}.filter(body => !body.hidden).length"
    assert page.execute_script(count) == 50
    search = look(page, "#v1-lite-digits [type=search]")
    search.send_keys("method-999")
    assert page.execute_script(count) == 1
    search.clear()
    search.send_keys("method-")
    assert page.execute_script(count) == 50
    rest = look(page, "#v1-lite-digits .rest")
    assert rest.text == "Show all 1000 rows"
    rest.click()
    assert page.execute_script(count) == METHODS
    assert not rest.is_displayed()
    table = "delete document.querySelector('#v1-lite-digits table.sortable').dataset.whole"
    page.execute_script(table)
    search.send_keys("m")
    search.send_keys("\ue003")
    assert page.execute_script(count) == 50


SORT = """
document.querySelectorAll('#v1-lite-digits button.sort')[3].click();
document.body.getBoundingClientRect(); // lays it out at once
"""


def layouts(page: Any) -> int:
    """How often the page has been laid out since it was opened: each costs the whole of it."""
    metrics = page.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    found: float = next(each["value"] for each in metrics if each["name"] == "LayoutCount")
    return int(found)


def test_page_is_laid_out_a_few_times_while_it_opens_and_not_for_each_row(page: Any):
    page.execute_cdp_cmd("Performance.enable", {})
    address = page.current_url
    page.get("about:blank")
    before = layouts(page)
    page.get(address)
    assert 0 < layouts(page) - before < METHODS / 20


def test_thousand_methods_are_sorted_in_one_layout(page: Any):
    page.execute_cdp_cmd("Performance.enable", {})
    before = layouts(page)
    page.execute_script(SORT)
    assert layouts(page) - before == 1
