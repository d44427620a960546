"""optuna-dashboard in a browser: figures, note and the proxy."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.conftest import Terminal

FIGURES = ("nas-front", "nas-hypervolume", "nas-curves", "nas-options")
CREDENTIALS = "Basic " + base64.b64encode(b"nas:secret-word").decode()


def in_figure(browser: Chrome, figure: str, selector: str) -> list[Any]:
    return browser.find_elements(By.CSS_SELECTOR, f'[id="user-defined-plot:{figure}"] {selector}')


def open_study(browser: Chrome, address: str, theme: str = "light") -> None:
    """Open the only study's page and wait until all figures are drawn."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(f"{address}/dashboard/studies/1")
    WebDriverWait(browser, 60).until(lambda page: all(in_figure(page, name, ".main-svg") for name in FIGURES))


def console_errors(browser: Chrome) -> list[str]:
    """Return the error messages of the browser's console."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def num_points(browser: Chrome) -> int:
    return len(in_figure(browser, "nas-front", ".scatterlayer .point"))


def test_the_front_has_every_trial_and_the_baseline_with_its_name(
    terminal: Terminal, dashboard: str, browser: Chrome
) -> None:
    open_study(browser, dashboard)
    completed = terminal.json("status", "tiny")["states"]["COMPLETE"]
    assert num_points(browser) == completed + 1
    texts = [element.text for element in in_figure(browser, "nas-front", "text")]
    assert "baseline (resnet18)" in texts
    assert {"macro-F1", "parameters"} <= set(texts)
    assert not console_errors(browser)


@pytest.mark.parametrize(("theme", "is_readable"), [("light", lambda sum: sum < 250), ("dark", lambda sum: sum > 500)])
def test_text_has_the_colour_of_the_pages_own(dashboard: str, browser: Chrome, theme: str, is_readable: Any) -> None:
    open_study(browser, dashboard, theme)
    for figure in FIGURES:
        words = in_figure(browser, figure, ".gtitle tspan")
        assert words, figure
        colour = browser.execute_script("return getComputedStyle(arguments[0]).fill", words[-1])
        assert is_readable(sum(int(part) for part in re.findall(r"\d+", colour)[:3])), (figure, colour)


def test_the_page_is_no_wider_than_its_window(dashboard: str, browser: Chrome) -> None:
    open_study(browser, dashboard)
    width, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= window


def test_the_note_has_the_verdict(terminal: Terminal, dashboard: str, browser: Chrome) -> None:
    verdict = terminal.json("front", "tiny")["verdict"]
    browser.get(f"{dashboard}/dashboard/studies/1/note")
    WebDriverWait(browser, 60).until(lambda page: verdict in page.find_element(By.TAG_NAME, "body").text)
    assert not console_errors(browser)


def response_status(address: str, method: str, authorization: str | None) -> int:
    request = urllib.request.Request(address, method=method, data=b"{}" if method == "POST" else None)
    if authorization is not None:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("path", ["/dashboard", "/api/studies", "/api/studies/1"])
def test_the_proxy_lets_the_password_read_and_nobody_change(proxy: tuple[str, Path], path: str) -> None:
    address = proxy[0] + path
    wrong = "Basic " + base64.b64encode(b"nas:another").decode()
    assert response_status(address, "GET", CREDENTIALS) == 200
    for method in ("GET", "POST", "DELETE", "PUT"):
        assert response_status(address, method, None) == 401, method
        assert response_status(address, method, wrong) == 401, method
    for method in ("POST", "DELETE", "PUT"):
        assert response_status(address, method, CREDENTIALS) == 403, method


def test_the_page_works_behind_the_proxy_and_only_reads(proxy: tuple[str, Path], browser: Chrome) -> None:
    address, log = proxy
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {"Authorization": CREDENTIALS}})
    open_study(browser, address)
    assert num_points(browser) > 1
    assert not console_errors(browser)
    requests = re.findall(r'"(\w+) \S+ HTTP/[\d.]+" (\d+)', log.read_text())
    # The fixture's own first request has no password.
    assert {(method, status) for method, status in requests[1:]} <= {("GET", "200"), ("GET", "302"), ("GET", "304")}
