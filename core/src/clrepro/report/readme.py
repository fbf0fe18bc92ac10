"""READMEs: a generated block put in its place, and the differences of differences read for the page."""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import escape

from clrepro.errors import DataError

_LEDGER = re.compile(r"## (Differences from .+)")


def readme_block(text: str, markdown: str, name: str, words: str = "") -> str:
    """Returns a README's text with the part between its two markers of this name replaced.

    The markers are `<!-- results:NAMEWORDS -->` and `<!-- /results:NAME -->`.

    Raises: DataError if they are not there.
    """
    start, end = f"<!-- results:{name}{words} -->", f"<!-- /results:{name} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise DataError(f"the text needs the markers {start} and {end}, once each and in this order")
    return text[: text.index(start) + len(start)] + "\n" + markdown.strip() + "\n" + text[text.index(end) :]


def differences(text: str) -> tuple[str, str]:
    """Returns (heading, Markdown) of a README's section "Differences from …"; two empty texts without one."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if found := _LEDGER.fullmatch(line.strip()):
            rest = lines[i + 1 :]
            ends = [k for k, below in enumerate(rest) if below.startswith(("# ", "## "))]
            return found[1], "\n".join(rest[: ends[0]] if ends else rest).strip()
    return "", ""


def markdown_html(text: str, caption: str = "") -> str:
    """Returns Markdown as HTML that is safe to put into a page.

    HTML in the text is shown as text, pictures are left out, and links stay only if they lead to another
    site: relative ones would lead nowhere from the page.
    Args: caption — of its tables, for those who hear the page.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type == "th_open":
            token.attrSet("scope", "col")
        if token.children:
            token.children = _without_relative_links(token.children)
    html = str(parser.renderer.render(tokens, parser.options, {}))
    name = escape(caption)
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table class="prose">'
    html = html.replace("<table>", f"{region}<caption>{name}</caption>")
    return html.replace("</table>", "</table></div>")


def _without_relative_links(tokens: Sequence[Token]) -> list[Token]:
    kept: list[Token] = []
    dropped: list[bool] = []  # of the links that are open
    for token in tokens:
        if token.type == "link_open":
            dropped.append(not re.match(r"https?://", str(token.attrGet("href"))))
            if dropped[-1]:
                continue
            token.attrSet("rel", "noreferrer")
        elif token.type == "link_close" and dropped.pop():
            continue
        kept.append(token)
    return kept
