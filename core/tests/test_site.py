"""The report's site: its files, text escaped, links that lead somewhere, what an overview and a row say."""

import json
import math
import re
from html.parser import HTMLParser

import pytest

from clrepro.claims import Claims, Gap, Ordering, Reference, Second, Value
from clrepro.errors import DataError
from clrepro.records import RunRecord
from clrepro.report import results_table, write_site
from clrepro.report.bench_results import Bench, Benchmark, Fault, Faults, Line, Ratio, Scaling, Variant
from clrepro.report.page import Offer, PaperFacts
from clrepro.report.site import Measured, _day_and_hour, _figures, _hours, _seconds, _unbroken

HOSTILE = "</script><script>alert(1)</script> & <b>"
CLAIMS = Claims(
    f"Title {HOSTILE}",
    {"RA": "retained", "BTI": f"backward {HOSTILE}"},
    (f"note {HOSTILE}",),
    (
        Value("full", "rot/200", "mer", "RA", "recalled", f"source {HOSTILE}", Reference(72.0, 0.1, 5)),
        Value("full", "rot/200", "gem", "RA", "found", "table", Reference(50.0, 0.1, 5)),
        Value("full", "rot/200", "er", "RA", "found", "table", Reference(69.0, 4.0, 3)),
        Value(
            "full",
            "rot/200",
            "twice",
            "RA",
            "recalled",
            "memory",
            Reference(60.0, 0.1, 5),
            second=Second(Reference(70.1, 0.3, 4), "measured", f"ran {HOSTILE}"),
            doubt=f"another {HOSTILE}",
        ),
        Value("full", "rot/5120", "er", "RA", "found", "table", Reference(69.0)),
    ),
    (
        Ordering("full", "C1 first", "rot/200", "RA", "mer", "gem", 0.0),
        Gap("full", "C2 second", "RA", "mer", "gem", larger="rot/200", smaller="rot/500", slack_pct=0.0),
    ),
)
VALUES = {
    "mer": [0.72, 0.722, 0.718],
    "gem": [0.59, 0.61, 0.60],
    "er": [0.69, 0.70, 0.68],
    "twice": [0.70, 0.701, 0.702],
}
README = f"# X\n\n## Differences from the original\n\nWhy {HOSTILE}.\n\n| a | b |\n|---|---|\n| `x` | y |\n"
FACTS = PaperFacts("mer", CLAIMS.title, CLAIMS.metrics, CLAIMS.notes, readme=README)
WAITING = PaperFacts("hvcl", "Not run", {}, offers=(Offer("quick", 2, 6, "5 min", f"data {HOSTILE}"),))
MEASURED = Measured(
    Bench(
        {"cpu": f"a {HOSTILE}"},
        "2026-01-02T03:04:05",
        (
            Benchmark(
                "mer", f"inner loop {HOSTILE}", "step", f"≥ 10× {HOSTILE}", "processor",
                (Variant("ours", 1e-6, 9e-7, 2e-6, 5),),
                Ratio("theirs", "ours", 12.0, 11.0, 14.0), 10.0, "kept",
            ),
        ),
        (Scaling("mer", "memory", "slots", "s", True, (Line("ours", (1, 10, 100), (1, 2, 3)),)),),
    ),
    Faults({}, "2026-01-02", (Fault("kill", f"kill -9 {HOSTILE}", 200, 199, 1, 0, 12.5, "note"),)),
)  # fmt: skip


def table(paper="mer", profile="full", setting="rot/200"):
    records = [
        RunRecord(
            paper=paper, profile=profile, setting=setting, method=method, seed=seed, settings_hash="0" * 64,
            command=["main.py", "--model", method, "--data_path", "{data}/", "--note", HOSTILE], settings={},
            metrics={"RA": value, "BTI": math.nan}, series={"R": [[value, 0.1], [value, value]]},
            cost={"wall_s": 60.0 if method == "gem" else 600.0, "cpu_s": 1800.0},
            versions={"python": "3.11.7", "machine": "Linux x"}, data={"name": "mnist"},
        )
        for method, values in VALUES.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    return results_table(paper, profile, records, CLAIMS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of a site with two papers that have runs, one that has none, and both measurements."""
    out = tmp_path_factory.mktemp("out")
    tables = [table(profile="quick"), table(), table(paper="tag")]
    made = {("mer", "full"): "written 1 May 2026"}
    assert write_site(out, tables, [FACTS, WAITING], made, MEASURED) == out / "report.html"
    return out


@pytest.fixture(scope="module")
def pages(site):
    """Name of each page to its text."""
    return {path.stem: path.read_text(encoding="utf-8") for path in (site / "report").glob("*.html")}


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


def text_of(html):
    """The words of a page, blanks made one."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_which_files_there_are(site):
    names = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    papers = [
        f"report/data/{name}.{kind}"
        for name in ("mer-full", "mer-quick", "tag-full")
        for kind in ("csv", "json")
    ]
    html = [f"report/{name}.html" for name in ("bench", "faults", "hvcl", "index", "mer", "tag")]
    assert names == ["report.html", *sorted([*papers, *html, "report/report.css", "report/report.js"])]
    assert "url=report/index.html" in (site / "report.html").read_text()


def test_every_page_is_well_formed_and_asks_for_nothing_but_its_style_and_script(pages):
    for name, html in pages.items():
        page = Reader(html)
        assert len(page.ids) == len(set(page.ids)), name
        assert [one for one in page.requests if not one.startswith("#")] == [
            "data:,",
            "report.css",
            "report.js",
        ]
        assert not re.search(r"@import|url\((?!#)|<style", html), name
        assert "default-src 'none'" in html
        assert re.search(r'<html lang="en">.*<title>[^<]+</title>.*<main id="main"', html, re.DOTALL), name


def test_every_link_leads_to_a_file_and_place_of_the_site(site, pages):
    ids = {name: set(Reader(html).ids) for name, html in pages.items()}
    for name, html in pages.items():
        for link in Reader(html).links:
            file, _, place = link.partition("#")
            assert not file or (site / "report" / file).is_file(), (name, link)
            assert not place or place in ids[file.removesuffix(".html") or name], (name, link)


def test_what_comes_from_files_is_escaped(pages):
    assert {name: Reader(html).scripts for name, html in pages.items()} == dict.fromkeys(pages, 1)
    for name, words in (
        ("mer", ("Title", "note", "source", "backward", "Why")),
        ("hvcl", ("data",)),
        ("bench", ("inner loop", "a")),
        ("faults", ("kill -9",)),
    ):
        for word in words:
            assert f"{word} &lt;/script&gt;" in pages[name]


def test_the_overview_counts_and_says_how_to_get_what_is_not_there(pages):
    text = text_of(pages["index"])
    assert "3 papers 36 runs 18.0 h of processor time" in text
    assert "2 reproduced 2 consistent 4 differs 4 no reference" in text  # full twice, quick has no targets
    assert "Records written 1 May 2026. Made with python 3.11.7 on Linux x." in text
    assert "No finished runs here." in text
    assert "cl-repro reproduce hvcl --profile quick" in text
    assert "200 tried, 199 survived, 1 lost, 0 executed" in text
    assert "1 kept" in text


def test_figures_stand_in_the_page_as_drawings(pages):
    pytest.importorskip("matplotlib")
    figures = re.findall(
        r'<figcaption>([^<]+)</figcaption><div role="img" aria-label="([^"]+)">(....)', pages["mer"]
    )
    assert ("rot/200: RA", "Methods side by side, rot/200: RA", "<svg") in figures
    assert {start for _, _, start in figures} == {"<svg"}
    assert pages["bench"].count("<svg") == 2


def test_the_full_profile_is_first_and_the_ledger_is_there(pages):
    html = pages["mer"]
    assert html.index('id="full"') < html.index('id="quick"') < html.index('id="differences"')
    assert '<h2 id="differences">Differences from the original</h2>' in html
    assert "<td><code>x</code></td>" in html
    assert 'id="differences"' not in pages["tag"]  # nothing was said of its README


def test_a_row_shows_reference_status_verdict_seeds_and_commands(pages):
    row = re.search(
        r'<tbody class="row" id="full:rot/200/mer" data-words="([^"]*)">(.*?)</tbody>',
        pages["mer"],
        re.DOTALL,
    )
    assert row[1] == "reproduced|no runs"
    text = text_of(row[2])
    for part in ("72.00 ± 0.20", "[71.50, 72.50]", "72.00 ± 0.10", "recalled", "reproduced", "10.00"):
        assert part in text
    assert "Seeds: 72.00, 72.20, 71.80" in text
    assert "cl-repro reproduce mer --profile full --only &#39;rot/200/mer&#39;" in text
    assert "python main.py --model mer --data_path data/" in text
    assert "seeds on either side" in pages["mer"]  # er: a reference with a spread of 4 points over 3 seeds
    assert "1 more target has no runs here: rot/5120" in text_of(pages["mer"])


def test_a_row_shows_its_second_reference_and_the_doubt_about_the_first(pages):
    row = re.search(r'<tbody class="row" id="full:rot/200/twice".*?</tbody>', pages["mer"], re.DOTALL)
    text = text_of(row[0])
    assert "60.00 ± 0.10 recalled, doubtful 70.10 ± 0.30 measured, n 4" in text
    assert "differs reproduced" in text
    assert "Reference: memory. Doubtful: another &lt;/script&gt;" in text
    assert "Second reference: ran &lt;/script&gt;" in text


def test_the_seeds_that_would_not_help_are_said_plainly(pages):
    text = text_of(pages["mer"])
    assert "Of 1 open cell (consistent or inconclusive), more seeds would decide none" in text
    assert "rot/200/er RA 3 69.00 ± 4.00 +0.00 ± 9.94 ± 1.5 32 seeds on either side" in text


def test_columns_without_any_target_are_left_out(pages):
    html = pages["mer"]
    quick, full = html[html.index('id="quick"') :], html[html.index('id="full"') : html.index('id="quick"')]
    assert [len(re.findall("(?:</span>|>)verdict</button>", part)) for part in (quick, full)] == [0, 1 + 2]
    assert 'colspan="7"' in quick
    assert 'colspan="9"' in full


def test_json_and_csv_hold_the_same_cells(site):
    body = json.loads((site / "report/data/mer-full.json").read_text())
    cells = [cell for row in body["rows"] for cell in row["cells"]]
    lines = (site / "report/data/mer-full.csv").read_text().splitlines()
    assert len(cells) == len(lines) - 1 == 8
    mer = body["rows"][0]["cells"]
    assert mer[0]["values_pct"] == pytest.approx([72.0, 72.2, 71.8])
    assert (mer[0]["verdict"], mer[0]["reference_pct"]["value"]) == ("reproduced", 72.0)
    assert (mer[1]["verdict"], mer[1]["mean_pct"]) == ("no runs", None)


def test_the_same_tables_make_the_same_site(tmp_path):
    files = []
    for name in ("a", "b"):
        write_site(tmp_path / name, [table()], [FACTS], {}, MEASURED)
        paths = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        files.append([path.read_bytes() for path in paths])
    assert files[0] == files[1]


def test_a_site_without_anything_says_what_to_do(tmp_path):
    write_site(tmp_path, [])
    pages = {name: (tmp_path / f"report/{name}.html").read_text() for name in ("index", "bench", "faults")}
    assert "cl-repro reproduce mer" in pages["index"]
    assert "nox -s bench" in pages["bench"]
    assert "nox -s faults" in pages["faults"]


def test_what_was_wrong_with_a_measurement_stands_in_its_page(tmp_path):
    write_site(tmp_path, [], measured=Measured(bench_problem="bench.json: field 'rows' is missing"))
    assert "field &#39;rows&#39; is missing" in (tmp_path / "report/bench.html").read_text()


def test_a_site_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as problem:
        write_site(tmp_path / "file", [table()])
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (_figures(0.0), "0"),
        (_figures(1.2345), "1.23"),
        (_figures(12345.6), "12,346"),
        (_figures(1.5e-5), "1.5·10⁻⁵"),
        (_hours(math.nan), "?"),
        (_hours(0.001), "< 1 min"),
        (_hours(0.0), "0 min"),
        (_hours(3.0), "3.0 h"),
        (_seconds(1.5), "1.5 s"),
        (_seconds(600.0), "10 min"),
        (_day_and_hour("2026-11-21"), "21 November 2026"),
        (_day_and_hour("2026-11-21T17:05:09+00:00"), "21 November 2026, 17:05 UTC"),
        (_day_and_hour("2026-11-21T17:05"), "21 November 2026, 17:05"),
        (str(_unbroken("a --b <c> x")), "a <span>--b</span> &lt;c&gt; x"),
    ],
)
def test_numbers_times_and_commands_in_words(said, words):
    assert said == words


def test_what_a_killed_writer_left_half_written_goes(tmp_path):
    for name in ("report/.index.html.0a1b.tmp", "report/data/.x.csv.0a1b.tmp", ".report.html.0a1b.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    write_site(tmp_path, [table()])
    assert not list(tmp_path.rglob("*.tmp"))
    assert (tmp_path / "report" / "index.html").is_file()
