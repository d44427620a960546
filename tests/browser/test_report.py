"""HTML page of `nas report` in a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.test_dashboard import console_errors
from tests.e2e.conftest import Terminal

NARROW = 390


@pytest.fixture(scope="module")
def page(terminal: Terminal) -> Path:
    terminal.run("report", "tiny", "-o", "page.html")
    return terminal.folder / "page.html"


def open_page(browser: Chrome, page: Path, *, theme: str = "light", width: int = 1300) -> None:
    """Open the page and wait until every figure is drawn."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(
        lambda shown: shown.execute_script(
            "const all = [...document.querySelectorAll('.plot')];"
            "return all.length > 8 && all.every((place) => place.querySelector('.main-svg'))"
        )
    )


def test_every_figure_is_drawn_from_the_file_alone(page: Path, browser: Chrome) -> None:
    open_page(browser, page)
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    broken = "return [...document.images].filter((image) => !image.complete || image.naturalWidth === 0).length"
    assert browser.execute_script(broken) == 0
    assert not console_errors(browser)


@pytest.mark.parametrize("width", [1300, NARROW])
def test_the_page_is_no_wider_than_its_window(page: Path, browser: Chrome, width: int) -> None:
    open_page(browser, page, width=width)
    shown, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert shown <= window == width


@pytest.mark.parametrize(("theme", "is_readable"), [("light", lambda sum: sum < 250), ("dark", lambda sum: sum > 500)])
def test_text_of_page_and_figures_follows_the_theme(page: Path, browser: Chrome, theme: str, is_readable: Any) -> None:
    open_page(browser, page, theme=theme)
    for selector, style in ((".verdict", "color"), (".xtitle tspan", "fill"), ("svg.genome .name", "fill")):
        colours = browser.execute_script(
            f"return [...document.querySelectorAll('{selector}')].map((found) => getComputedStyle(found).{style})"
        )
        assert colours, selector
        for colour in colours:
            assert is_readable(sum(int(part) for part in re.findall(r"\d+", colour)[:3])), (selector, colour)


def test_printed_figures_are_as_wide_as_the_paper(page: Path, browser: Chrome) -> None:
    open_page(browser, page)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    # Paper is narrower than the window, and printing triggers no resize event.
    browser.execute_script("document.body.style.width = '700px'")
    widths = browser.execute_script(
        "return [...document.querySelectorAll('.plot .main-svg')].map((found) => found.getBoundingClientRect().width)"
    )
    assert widths
    assert 650 < max(widths) <= 701
