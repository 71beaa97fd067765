"""A board of a thousand methods in a browser: how soon it answers, how long sorting takes."""

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
    look(page, "[data-name=method-500] .more").click()
    assert len(page.find_elements("css selector", ".runs tbody tr")) == RUNS
    look(page, "[data-name=method-500] .more").click()
    assert page.find_elements("css selector", ".runs") == []


# Targets are 2 s and 50 ms on a machine that does nothing else; a busy one is several times slower.
SLACK = 10


def test_page_of_a_thousand_methods_is_soon_there(page: Any):
    interactive = page.execute_script(
        "const [entry] = performance.getEntriesByType('navigation'); return entry.domInteractive"
    )
    assert 0 < interactive < SLACK * 2000


SORT = """
const button = document.querySelectorAll('#v1-lite-digits button.sort')[3];
const times = [];
for (let index = 0; index < 5; index += 1) {
  const start = performance.now();
  button.click();
  times.push(performance.now() - start);
}
return Math.min(...times);
"""


def test_thousand_methods_are_soon_sorted(page: Any):
    assert 0 < page.execute_script(SORT) < SLACK * 50
