"""READMEs: the generated block, and the differences of differences as safe HTML."""

from pathlib import Path

import pytest

from clrepro.errors import DataError
from clrepro.report.readme import differences, markdown_html, readme_block

PAPERS = Path(__file__).resolve().parents[2] / "papers"


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


def test_the_ledger_is_the_section_under_its_heading_alone():
    text = "# T\n\n## Differences from the original\n\none\n\n### more\n\ntwo\n\n## Speed\n\nfast\n"
    assert differences(text) == ("Differences from the original", "one\n\n### more\n\ntwo")
    assert differences("## Differences from the originals\nlast\n") == (
        "Differences from the originals",
        "last",
    )
    assert differences("# T\n\n## Speed\n") == ("", "")


@pytest.mark.parametrize("paper", sorted(path.parent.name for path in PAPERS.glob("*/README.md")))
def test_every_paper_has_a_ledger_with_a_table(paper):
    heading, text = differences((PAPERS / paper / "README.md").read_text(encoding="utf-8"))
    html = markdown_html(text, heading)
    rows = sum(line.startswith("|") for line in text.splitlines())
    tables = html.count("<thead>")
    assert tables >= 1
    assert html.count("<tr>") == rows - tables  # all but the lines of dashes
    assert "|---" not in html


def test_tables_have_a_caption_scopes_and_a_region():
    html = markdown_html("| a | b |\n|---|---|\n| `x` | *y* \\| z |\n", 'Notes & "more"')
    assert "<caption>Notes &amp; &#34;more&#34;</caption>" in html
    assert html.count('scope="col"') == 2
    assert "<td><code>x</code></td>" in html
    assert "<td><em>y</em> | z</td>" in html
    assert html.startswith('<div class="scroll" tabindex="0" role="region"')
    assert html.rstrip().endswith("</table></div>")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <b onclick='x()'>b</b>",
        "![picture](https://example.org/x.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html,x)",
        "| <img src=x> |\n|---|\n| <svg/onload=x> |",
    ],
)
def test_no_markup_of_the_text_reaches_the_page(text):
    html = markdown_html(text)
    for bad in ("<script", "<b ", "<img", "<svg", 'href="javascript', 'href="data', "src="):
        assert bad not in html.replace("&lt;img src=x", "")


def test_links_stay_only_if_they_lead_to_another_site():
    html = markdown_html("[here](results/full) and [there](https://example.org/a?b&c)")
    assert html == ('<p>here and <a href="https://example.org/a?b&amp;c" rel="noreferrer">there</a></p>\n')
