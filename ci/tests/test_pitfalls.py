"""docs/PITFALLS.md: what a row takes from a paper's README or tables stands there, to the last digit."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPERS = {"MER": "mer", "TA-A-GEM": "ta_agem", "TAG": "tag", "HVCL": "hvcl", "RewireNeuron": "rewire"}
SOURCE = re.compile(rf"README of ({'|'.join(PAPERS)})\b")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
SECTION = "section"  # what follows is a place on the page and no measurement


def numbers(text: str) -> set[str]:
    """Returns the numbers in a text without signs, leading zeros and the commas of thousands."""
    return {found.replace(",", "").lstrip("0") for found in NUMBER.findall(text)}


def rows() -> list[tuple[str, str, str]]:
    """Returns (the row, its effect, the paper) of every row that names a README."""
    out = []
    for line in (ROOT / "docs" / "PITFALLS.md").read_text(encoding="utf-8").splitlines():
        named = SOURCE.search(line)
        if not line.startswith("|") or named is None:
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        effect = cells[1] if len(cells) == 4 else cells[-1]
        out.append((line, re.sub(rf"{SECTION}s? \d+(?: and \d+)?", "", effect), PAPERS[named[1]]))
    return out


def pages(paper: str) -> str:
    """Returns a paper's pages and tables, its SPEC.md excepted: that one quotes no results."""
    folder = ROOT / "papers" / paper
    found = [*folder.glob("*.md"), *folder.glob("results/*/table.md")]
    return "\n".join(page.read_text(encoding="utf-8") for page in found if page.name != "SPEC.md")


def absent(effect: str, text: str) -> set[str]:
    """Returns the numbers of an effect that a text does not have."""
    return numbers(effect) - numbers(text)


@pytest.mark.parametrize("paper", PAPERS.values())
def test_every_number_stands_in_the_page_that_its_row_names(paper: str) -> None:
    text, found = pages(paper), [row for row in rows() if row[2] == paper]
    assert found
    assert {line: lost for line, effect, _ in found if (lost := absent(effect, text))} == {}


def test_a_number_that_is_not_there_is_missed() -> None:
    assert absent("78.2 with, 0.17 without", "| 78.2 | 0.17 |") == set()
    assert absent("48,000 steps, -3.6", "48000 and −3.6") == set()
    assert absent("78.3", "| 78.2 |") == {"78.3"}


def test_every_row_names_its_source() -> None:
    text = (ROOT / "docs" / "PITFALLS.md").read_text(encoding="utf-8")
    table = [line for line in text.partition("## 6.")[0].splitlines() if line.startswith("| ")]
    known = re.compile(rf"\| ({SOURCE.pattern}|Issue \d+|Commit [0-9a-f]+|CHANGELOG|source) \|$")
    assert [line for line in table if not known.search(line)] == []
