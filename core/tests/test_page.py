"""The page: one offline file, text escaped, links that lead somewhere, its script in a browser."""

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from clrepro.claims import Claims, Gap, Ordering, Reference, Value
from clrepro.errors import DataError
from clrepro.records import RunRecord
from clrepro.report import readme_block, results_table, write_page

HOSTILE = "</script><script>alert(1)</script> & <b>"
CLAIMS = Claims(
    f"Title {HOSTILE}",
    {"RA": "retained", "BTI": f"backward {HOSTILE}"},
    (f"note {HOSTILE}",),
    (
        Value("full", "rot/200", "mer", "RA", "recalled", f"source {HOSTILE}", Reference(72.0, 0.1, 5)),
        Value("full", "rot/200", "gem", "RA", "found", "table", Reference(50.0, 0.1, 5)),
        Value("full", "rot/200", "er", "RA", "found", "table", Reference(69.0, 4.0, 3)),
        Value("full", "rot/5120", "er", "RA", "found", "table", Reference(69.0)),
    ),
    (
        Ordering("full", "C1 first", "rot/200", "RA", "mer", "gem", 0.0),
        Gap("full", "C2 second", "RA", "mer", "gem", larger="rot/200", smaller="rot/500", slack_pct=0.0),
    ),
)
VALUES = {"mer": [0.72, 0.722, 0.718], "gem": [0.59, 0.61, 0.60], "er": [0.69, 0.70, 0.68]}


def table(paper="mer", profile="full", setting="rot/200"):
    records = [
        RunRecord(
            paper=paper, profile=profile, setting=setting, method=method, seed=seed, settings_hash="0" * 64,
            command=["main.py", "--model", method, "--data_path", "{data}/", "--note", HOSTILE], settings={},
            metrics={"RA": value, "BTI": math.nan}, series={"R": [[value, 0.1], [value, value]]},
            cost={"wall_s": 60.0 if method == "gem" else 600.0},
        )
        for method, values in VALUES.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    return results_table(paper, profile, records, CLAIMS)


@pytest.fixture
def html(tmp_path):
    pages = [table(profile="quick"), table(), table(paper="tag")]
    path = write_page(tmp_path / "report.html", pages)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects ids, links and tags; complains about tags closed in the wrong order."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "use", "rect"})

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.requests, self.scripts, self.stack = [], [], [], 0, []
        self.feed(text)
        assert not self.stack

    def handle_startendtag(self, tag, attributes):
        self.see(tag, attributes)

    def handle_starttag(self, tag, attributes):
        self.see(tag, attributes)
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop() == tag, self.getpos()

    def see(self, tag, attributes):
        self.scripts += tag == "script"
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in ("src", "href", "action", "srcset", "poster", "xlink:href"):
                self.requests.append(value)


def test_the_page_is_well_formed_and_asks_for_nothing(html):
    page = Reader(html)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(value.startswith(("#", "data:,")) for value in page.requests)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_what_comes_from_files_is_escaped(html):
    assert Reader(html).scripts == 1
    for word in ("Title", "note", "source", "backward"):
        assert f"{word} &lt;/script&gt;" in html


def test_figures_stand_in_the_page_as_drawings(html):
    pytest.importorskip("matplotlib")
    figures = re.findall(r'<figure role="img" aria-label="([^"]+)">.*?</figcaption>(....)', html)
    assert ("Methods side by side, rot/200: RA", "<svg") in figures
    assert {start for _, start in figures} == {"<svg"}


def test_papers_have_one_section_each_and_the_full_profile_first(html):
    assert html.count('<section class="paper"') == 2
    assert html.index('id="mer-full"') < html.index('id="mer-quick"') < html.index('id="tag-full"')
    assert html.count("Where this differs from the paper (1 notes)") == 2


def test_a_row_shows_reference_status_verdict_seeds_and_commands(html):
    row = re.search(r'<tbody class="row" data-words="([^"]*)">(.*?)</tbody>', html, re.DOTALL)
    assert row[1] == "reproduced|no runs"
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row[2]))
    for part in ("72.00 ± 0.20", "[71.50, 72.50]", "72.00 ± 0.10", "recalled", "reproduced", "10.00"):
        assert part in text
    assert "Seeds: 72.00, 72.20, 71.80" in text
    assert "cl-repro reproduce mer --profile full --only &#39;rot/200/mer&#39;" in text
    assert "python main.py --model mer --data_path data/" in text
    assert "reference too wide" in html  # er: a reference with a spread of 4 points over 3 seeds
    assert "1 more targets have no runs here: rot/5120" in html


def test_columns_without_any_target_are_left_out(html):
    quick = html[html.index('id="mer-quick"') : html.index('id="tag-full"')]
    full = html[html.index('id="mer-full"') : html.index('id="mer-quick"')]
    assert [part.count(">verdict</button>") for part in (quick, full)] == [0, 1 + 2]  # RA and two claims
    assert 'colspan="7"' in quick
    assert 'colspan="9"' in full


def test_the_same_tables_make_the_same_page(tmp_path):
    one, two = (write_page(tmp_path / name, [table()]).read_bytes() for name in ("a.html", "b.html"))
    assert one == two


def test_a_page_without_runs_says_what_to_do(tmp_path):
    assert "cl-repro reproduce" in write_page(tmp_path / "report.html", []).read_text()


def test_a_page_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as problem:
        write_page(tmp_path / "file" / "report.html", [table()])
    assert "\n" not in str(problem.value)


def test_readme_block_is_idempotent_and_strict():
    text = "a\n<!-- results:x -->\nold\n<!-- /results:x -->\nb\n"
    new = readme_block(text, "| new |\n", "x")
    assert new == "a\n<!-- results:x -->\n| new |\n<!-- /results:x -->\nb\n"
    assert readme_block(new, "| new |", "x") == new
    for bad in (
        "",
        text + text,
        text.replace("<!-- results:x -->", ""),
        "<!-- /results:x --><!-- results:x -->",
    ):
        with pytest.raises(DataError, match="markers"):
            readme_block(bad, "", "x")


PROBE = r"""
const found = {errors: []};
addEventListener("error", event => found.errors.push(String(event.message)));
addEventListener("securitypolicyviolation", event => found.errors.push(event.violatedDirective));
addEventListener("load", () => {
  const $ = (what, where = document) => [...where.querySelectorAll(what)];
  const section = document.getElementById("mer-full"), table = $("table.results", section)[0];
  const methods = () => [...table.tBodies].filter(b => !b.hidden).map(b => $(".more", b)[0].textContent);
  const sort = i => { $(".sort button", table)[i].click(); return methods(); };
  found.folded = $(".detail").every(row => row.hidden);
  found.byMethod = sort(1); found.byMethodDown = sort(1); found.byValue = sort(3); found.byMinutes = sort(7);
  found.marks = $("[aria-sort]", table).map(th => th.textContent.trim() + " " + th.getAttribute("aria-sort"));
  const input = $("input", section)[0];
  input.value = "ROT ge"; input.dispatchEvent(new Event("input"));
  found.filtered = methods(); found.said = $("output", section)[0].textContent;
  input.value = ""; input.dispatchEvent(new Event("input"));
  const chip = $('[data-word="differs"]', section)[0];
  chip.click(); found.chip = methods(); chip.click(); found.all = methods().length;
  $(".more", table)[0].click();
  found.opened = $(".detail", table).filter(row => !row.hidden).length;
  found.expanded = $('.more[aria-expanded="true"]', table).length;
  $("[data-all]", section)[0].click();
  found.openedAll = $(".detail", table).filter(row => !row.hidden).length;
  found.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.named = $("button, input").every(one => (one.textContent.trim() || one.closest("label")) !== null);
  const out = document.createElement("pre");
  out.id = "found"; out.textContent = JSON.stringify(found); document.body.append(out);
});
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 500])
def test_sorting_filter_and_details_work_in_a_browser(html, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    page = tmp_path / "probe.html"
    page.write_text(html.replace('"use strict";', PROBE, 1), encoding="utf-8")
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")
    command = [
        *(browser, "--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}"),
        *(f"--disable-{name}" for name in quiet),
        *(f"--window-size={width},900", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout)[1])
    assert found == {
        "errors": [],
        "folded": True,
        "byMethod": ["er", "gem", "mer"],
        "byMethodDown": ["mer", "gem", "er"],
        "byValue": ["gem", "er", "mer"],
        "byMinutes": ["gem", "er", "mer"],
        "marks": ["min ascending"],
        "filtered": ["gem"],
        "said": "1 of 3 rows",
        "chip": ["gem"],
        "all": 3,
        "opened": 1,
        "expanded": 1,
        "openedAll": 3,
        "wider": 0,
        "named": True,
    }
