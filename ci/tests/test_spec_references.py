"""References such as "spec 2.6", "contract 3.4" or "Oracle 7" lead to a heading or point of a SPEC.md.

Understood: spec, contract, SPEC.md or oracle, then numbers joined by ",", "and", "to" ("contract, section
4.8", "section 8 of the contract", "spec 7, item 12", "spec 3.3 b", and in MER "O7" alone).  "9.12" is heading
9.12 or point 12 of the list right below heading 9.  In a paper's folder the paper is that one; elsewhere the
text must say which ("MER contract 6.5", "papers/tag/SPEC.md, section 10").
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPERS = tuple(sorted(path.parent.name for path in (ROOT / "papers").glob("*/claims.toml")))
NAMES = {"hvcl": "hvcl", "mer": "mer", "rewire": "rewire", "rewireneuron": "rewire", "ta-a-gem": "ta_agem",
         "ta_agem": "ta_agem", "tag": "tag"}  # fmt: skip
LONGEST = 250  # lines of a SPEC.md
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".c", ".h", ".cfg", ".txt", ".bash", ""}
NOT_OURS = {"LICENSE", "poetry.lock", "ci/tests/test_spec_references.py"}

NUMBER = r"O?\d+(?:\.\d+)*"
MANY = rf"{NUMBER}(?:(?:, | and | to |, and ){NUMBER}(?![.\d]*\w))*"
NAME = rf"(?:\b(?P<name>{'|'.join(NAMES)})(?:'s)? )?"
REFERENCE = re.compile(
    rf"{NAME}(?:papers/(?P<folder>\w+)/)?(?<![.\w])(?P<word>spec|contract|oracles?|SPEC\.md)\)?(?:'s)?,? ?\(?"
    rf"(?:sections? )?(?P<numbers>{MANY}(?:(?: and |, )section {MANY})?)\b"
    rf"(?:,? (?:item|step|point) (?P<item>\d+)| \(?(?P<letter>[a-e])\b\)?)?",
    re.IGNORECASE,
)
TURNED = re.compile(
    rf"{NAME}\bsections? (?P<numbers>{MANY}) of (?:the|our) (?:spec|contract)\b", re.IGNORECASE
)
ORACLE = re.compile(r"(?<![\w-])O(?P<numbers>\d{1,2})\b")
NAMELESS = re.compile(r"\b(?:our|the) (?:contract|notes)\b", re.IGNORECASE)
HINT = re.compile(r"spec|contract|oracle|our notes|\bO\d", re.IGNORECASE)  # else a file refers to nothing


@dataclass
class Spec:
    """The headings of a SPEC.md, and below each its text and the numbers of its list."""

    headings: set[str] = field(default_factory=set)
    points: dict[str, list[int]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    oracles: str = ""

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Returns what a SPEC.md has."""
        spec, at = cls(), ""
        for line in text.splitlines():
            if heading := re.match(r"#{2,3} (\d+(?:\.\d+)*)\.? (.*)", line):
                at = heading[1]
                spec.headings.add(at)
                spec.points[at], spec.texts[at] = [], heading[2]
                spec.oracles = at if heading[2] == "Oracles" else spec.oracles
            elif at:
                spec.texts[at] += "\n" + line
                if point := re.match(r"(\d+)\. ", line):
                    spec.points[at].append(int(point[1]))
        return spec

    def has(self, number: str, *, oracle: bool = False, item: str = "", letter: str = "") -> bool:
        """Whether a reference leads somewhere."""
        if oracle:
            return int(number) in self.points.get(self.oracles, [])
        above, _, last = number.rpartition(".")
        found = number in self.headings or int(last) in self.points.get(above, [])
        if item:
            found = found and int(item) in self.points.get(number, [])
        if letter:
            found = found and f"({letter})" in self.texts.get(number, "")
        return found


@dataclass(frozen=True)
class Reference:
    """One number that some text refers to; paper is "" where the text does not say which."""

    paper: str
    number: str
    oracle: bool
    item: str
    letter: str
    words: str

    def resolved(self, specs: dict[str, Spec]) -> bool:
        """Whether it leads somewhere."""
        spec = specs.get(self.paper)
        return spec is not None and spec.has(
            self.number, oracle=self.oracle, item=self.item, letter=self.letter
        )


def joined(text: str) -> str:
    """Returns the text with lines, their indentation and comment signs as single blanks."""
    return re.sub(r"\s*\n[ \t]*(?:#+ |// |\* )?[ \t]*", " ", text)


def references(text: str, paper: str) -> Iterator[Reference]:
    """Yields what a joined text refers to.  Args: paper — that of the file's folder, or ""."""
    for pattern in (REFERENCE, TURNED, *([ORACLE] if paper == "mer" else [])):
        for match in pattern.finditer(text):
            found = match.groupdict()
            named = NAMES.get((found.get("name") or "").lower(), "")
            oracle = pattern is ORACLE or (found.get("word") or "").lower().startswith("oracle")
            for number in re.findall(NUMBER, found["numbers"], re.IGNORECASE):
                if pattern is REFERENCE and paper == "mer" and number[0] in "Oo":
                    continue  # counted by ORACLE
                yield Reference(
                    found.get("folder") or named or paper, number.lstrip("Oo"),
                    oracle or number[0] in "Oo", found.get("item") or "", (found.get("letter") or "").lower(),
                    text[match.start() : match.start() + 60],
                )  # fmt: skip


def tracked() -> list[Path]:
    """The tracked text files that may refer; records of results excepted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no checkout")
    paths = [Path(name) for name in listed.stdout.split("\0") if name and name not in NOT_OURS]
    return [p for p in paths if p.suffix in TEXT and "results" not in p.parts and (ROOT / p).is_file()]


def paper_of(path: Path) -> str:
    """The paper whose folder a file is in, or ""."""
    return path.parts[1] if path.parts[0] == "papers" and path.parts[1] in PAPERS else ""


def unresolved(path: Path, text: str, specs: dict[str, Spec]) -> list[str]:
    """Returns a line for every reference in a text that leads nowhere."""
    lost = [one for one in references(joined(text), paper_of(path)) if not one.resolved(specs)]
    return [f"{path}: {one.words!r} leads nowhere: {one.number}, paper {one.paper or '?'}" for one in lost]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Paper to its SPEC.md."""
    return {paper: (ROOT / "papers" / paper / "SPEC.md").read_text(encoding="utf-8") for paper in PAPERS}


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    """Path to joined text of every tracked file in which a reference may be."""
    read = {path: (ROOT / path).read_text(encoding="utf-8", errors="replace") for path in tracked()}
    return {path: joined(text) for path, text in read.items() if HINT.search(text)}


@pytest.fixture(scope="module")
def found(files: dict[Path, str]) -> dict[Path, list[Reference]]:
    """Path to its references."""
    return {path: list(references(text, paper_of(path))) for path, text in files.items()}


def test_every_reference_leads_somewhere(texts: dict[str, str], found: dict[Path, list[Reference]]) -> None:
    specs = {paper: Spec.parse(text) for paper, text in texts.items()}
    lost = {path: [one for one in ones if not one.resolved(specs)] for path, ones in found.items()}
    assert {str(path): ones for path, ones in lost.items() if ones} == {}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_heading_that_is_gone_is_missed(
    paper: str, texts: dict[str, str], found: dict[Path, list[Reference]]
) -> None:
    """Each heading that somebody refers to, removed from the real page, makes the test above fail."""
    specs = {name: Spec.parse(text) for name, text in texts.items()}
    every = [one for ones in found.values() for one in ones if one.paper == paper and not one.oracle]
    asked = {one.number for one in every} & specs[paper].headings
    assert asked
    for number in asked:
        cut, n = re.subn(rf"^#+ {re.escape(number)}\.? .*\n", "", texts[paper], flags=re.MULTILINE)
        assert n == 1
        assert [one for one in every if not one.resolved({paper: Spec.parse(cut)})], number


def test_an_oracle_that_is_gone_is_missed(texts: dict[str, str], found: dict[Path, list[Reference]]) -> None:
    for paper, number in (("hvcl", 7), ("mer", 14)):
        left = Spec.parse(texts[paper])
        left.points[left.oracles].remove(number)
        lost = [one for ones in found.values() for one in ones if one.paper == paper]
        assert {one.number for one in lost if not one.resolved({paper: left})} == {str(number)}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_spec_is_short_numbered_in_order_and_says_where_its_facts_come_from(
    paper: str, texts: dict[str, str]
) -> None:
    lines, spec = texts[paper].splitlines(), Spec.parse(texts[paper])
    assert len(lines) <= LONGEST
    assert any(line.startswith("Where a fact comes from:") for line in lines[:15])
    assert spec.points[spec.oracles]
    for points in spec.points.values():
        assert points == list(range(1, len(points) + 1))
    within = re.findall(r"\(see (\d+(?:\.\d+)*)", texts[paper])
    assert [number for number in within if not spec.has(number)] == []


def test_no_text_points_at_papers_that_are_not_here(files: dict[Path, str]) -> None:
    """ "our contract", "our notes": either with a number that resolves, or as a sentence of its own."""
    loose = []
    for path, flat in files.items():
        numbered = [m.span() for pattern in (REFERENCE, TURNED) for m in pattern.finditer(flat)]
        for match in NAMELESS.finditer(flat):
            if not any(low <= match.end() and match.start() < high for low, high in numbered):
                loose.append(f"{path}: {flat[max(0, match.start() - 40) : match.end() + 40]}")
    assert loose == []


@pytest.mark.parametrize(
    ("text", "paper", "numbers"),
    [
        ("Source: spec 3.2 and 3.4.", "tag", ["3.2", "3.4"]),
        ("Source: spec 1.4 and section 5.  More", "tag", ["1.4", "5"]),
        ("(contract\n    3.2).", "mer", ["3.2"]),
        ("Spec 3.5 and\n3.7.", "tag", ["3.5", "3.7"]),
        ("spec 3.2 to 3.5", "tag", ["3.2", "3.5"]),
        ("the contract's section 4.8 says", "rewire", ["4.8"]),
        ("(section 8 of the contract)", "tag", ["8"]),
        ("spec (2.5, 6.7, 6.10, 6.16) and", "tag", ["2.5", "6.7", "6.10", "6.16"]),
        ("contract 2, O16", "mer", ["2", "16"]),
        ("oracle 25 and spec 2.", "hvcl", ["25", "2"]),
        ("spec 4.2: log(s0/s) + 12", "hvcl", ["4.2"]),
        ("import spec; spec.parts[0]; load_spec(3)", "mer", []),
    ],
)
def test_what_counts_as_a_reference(text: str, paper: str, numbers: list[str]) -> None:
    assert sorted(one.number for one in references(joined(text), paper)) == sorted(numbers)


def test_outside_a_papers_folder_the_paper_must_be_named() -> None:
    spec = Spec.parse("## 2. Files\n### 2.6 Data\n## 9. Oracles\n1. One.\n")
    specs = dict.fromkeys(PAPERS, spec)
    core = Path("core/src/x.py")
    assert unresolved(core, "MER contract 2.6", specs) == []
    assert unresolved(core, "papers/tag/SPEC.md, section 9", specs) == []
    assert unresolved(core, "HVCL Oracle 1", specs) == []
    assert len(unresolved(core, "contract 2.6", specs)) == 1
    assert len(unresolved(core, "MER contract 2.7", specs)) == 1
    assert len(unresolved(Path("papers/mer/x.py"), "O2", specs)) == 1
