"""Every page of the report in headless Chromium: no request but for its own files, no error, links that
lead somewhere, sorting, filter and copying that work, and no page wider than its window.
"""

import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

pytestmark = pytest.mark.slow
TIMEOUT_S = 60.0


def names_of_pages(site: Path) -> list[Path]:
    return sorted((site / "report").glob("*.html"))


def methods(browser: Any) -> Any:
    """The methods of the results table that are shown, in their order."""
    rows = "[...document.getElementById('full-table').tBodies].filter(row => !row.hidden)"
    return browser.value(f"{rows}.map(row => row.querySelector('.more').textContent)")


def test_every_page_loads_without_errors_and_asks_only_for_its_own_files(site: Path, browser: Any) -> None:
    pages = names_of_pages(site)
    assert [page.stem for page in pages] == ["arena", "bench", "faults", "index", "mer"]
    for page in pages:
        events = browser.open(page.as_uri())
        bad = (
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Network.loadingFailed",
        )
        assert [event for event in events if event.get("method") in bad] == []
        sent = [event["params"] for event in events if event.get("method") == "Network.requestWillBeSent"]
        urls = {one["request"]["url"] for one in sent} - {"about:blank", "data:,"}
        own = {page.as_uri(), *((site / "report" / name).as_uri() for name in ("report.css", "report.js"))}
        assert page.as_uri() in urls <= own  # less where it has them in memory
        assert browser.value("broken") == []
        assert browser.value("document.documentElement.className") == "js"  # the script ran
        assert (
            browser.value("getComputedStyle(document.querySelector('.top')).position") == "sticky"
        )  # and the style


def test_a_script_that_is_not_the_sites_own_is_refused(site: Path, browser: Any) -> None:
    page = site / "report" / "injected.html"
    text = (site / "report" / "faults.html").read_text()
    page.write_text(text.replace("<main", "<script>window.ran = 1</script><main"))
    browser.open(page.as_uri())
    page.unlink()
    assert browser.value("window.ran") is None
    assert browser.value("broken") == ["script-src-elem"]


def test_the_door_leads_to_the_overview(site: Path, browser: Any) -> None:
    browser("Page.navigate", url=(site / "report.html").as_uri())
    give_up = time.monotonic() + TIMEOUT_S
    while not str(browser.value("location.href")).endswith("/report/index.html"):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_every_link_leads_to_a_file_and_a_place_in_it(site: Path, browser: Any) -> None:
    links: set[str] = set()
    ids: dict[str, set[str]] = {}
    for page in names_of_pages(site):
        browser.open(page.as_uri())
        links |= set(browser.value("[...document.links].map(link => link.href)"))
        ids[page.as_uri()] = set(browser.value("[...document.querySelectorAll('[id]')].map(one => one.id)"))
    assert len(links) > 10
    for link in links:
        url, place = urldefrag(link)
        assert urlsplit(url).scheme == "file", link
        assert Path(unquote(urlsplit(url).path)).is_file(), link
        assert not place or unquote(place) in ids[url], link


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_no_page_is_wider_than_its_window(
    site: Path, browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    for page in names_of_pages(site):
        browser.open(page.as_uri(), width, scheme)
        browser.value("for (const one of document.querySelectorAll('details')) one.open = true")
        browser.value("for (const one of document.querySelectorAll('[data-all]')) one.click()")
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.value(wide) == 0, page
        assert browser.value("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
        browser.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"


def test_sorting_says_so_and_turns_round(site: Path, browser: Any) -> None:
    browser.open((site / "report" / "mer.html").as_uri())

    def sort(column: int) -> Any:
        browser.value(f"document.querySelectorAll('#full-table .sort button')[{column}].click()")
        return methods(browser)

    assert sort(1) == ["er", "gem", "mer"]
    assert sort(1) == ["mer", "gem", "er"]
    assert sort(3) == ["gem", "er", "mer"]  # RA
    assert sort(6) == ["mer", "er", "gem"]  # BTI: negative numbers are numbers
    assert sort(7) == ["gem", "er", "mer"]  # minutes
    marked = (
        "[...document.querySelectorAll('#full-table [aria-sort]')].map(th => th.textContent + th.ariaSort)"
    )
    assert browser.value(marked) == ["minascending"]


def test_the_filter_takes_words_and_verdicts(site: Path, browser: Any) -> None:
    browser.open((site / "report" / "mer.html").as_uri())
    typed = (
        "var box = document.querySelector('input'); box.value = '{}'; box.dispatchEvent(new Event('input'))"
    )
    browser.value(typed.format("ROT ge"))
    assert methods(browser) == ["gem"]
    assert browser.value("document.querySelector('output').textContent") == "1 of 3 rows"
    browser.value(typed.format(""))
    browser.value("document.querySelector('[data-word=differs]').click()")
    assert methods(browser) == ["gem"]
    browser.value("document.querySelector('[data-word=reproduced]').click()")
    assert methods(browser) == ["mer", "gem"]


def test_rows_fold_out_by_keyboard_and_by_link(site: Path, browser: Any) -> None:
    page = (site / "report" / "mer.html").as_uri()
    browser.open(page)
    shown = "[...document.querySelectorAll('.detail')].filter(row => row.offsetParent).length"
    assert browser.value(shown) == 0
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "skip"
    browser.value("document.querySelector('.more').focus()")
    browser.press("Enter")
    assert browser.value(shown) == 1
    assert browser.value("document.querySelector('.more').ariaExpanded") == "true"
    browser.open(page + "#full:rot/200/er")
    assert browser.value(shown) == 1
    assert "er" in browser.value("document.querySelector('tbody.open .more').textContent")


@pytest.mark.parametrize("clipboard", ["true", "false"])
def test_commands_are_copied_or_at_least_selected(site: Path, browser: Any, clipboard: str) -> None:
    browser.open((site / "report" / "mer.html").as_uri())
    write = "{writeText: text => { window.copied = text; return Promise.resolve(); }}"
    browser.value(
        f"Object.defineProperty(navigator, 'clipboard', {{value: {clipboard} ? {write} : undefined}});"
        "document.execCommand = () => false; document.querySelector('.budget [data-copy]').click()"
    )
    text = browser.value("document.querySelector('.budget [data-copy]').previousElementSibling.textContent")
    assert text.startswith("cl-repro reproduce mer")
    if clipboard == "true":
        assert browser.value("window.copied") == text
    else:
        assert browser.value("String(getSelection())").split() == text.split()
    said = browser.value("document.querySelector('.budget [data-copy]').textContent")
    assert said == ("Copied" if clipboard == "true" else "Selected")


def test_everything_that_can_be_pressed_has_a_name(site: Path, browser: Any) -> None:
    unnamed = """[...document.querySelectorAll("button, input, a, [role=region], [role=img], nav")].filter(
        one => !one.textContent.trim() && !one.ariaLabel && !one.closest("label")).length"""
    for page in names_of_pages(site):
        browser.open(page.as_uri())
        assert browser.value(unnamed) == 0
        assert browser.value("[...document.querySelectorAll('table')].every(one => one.caption)") is True
        assert (
            browser.value("document.querySelectorAll('main').length + document.querySelectorAll('h1').length")
            == 2
        )
