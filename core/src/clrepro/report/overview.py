"""All papers in one table: what came out, from how many runs."""

import math
from collections.abc import Sequence

from clrepro.report.page import PaperPage, added
from clrepro.report.tables import duration
from clrepro.verdicts import CELL_WORDS, ORDERING_WORDS

WORDS = CELL_WORDS[:4]  # those of cells with a reference


def overview_table(pages: Sequence[PaperPage]) -> str:
    """Returns a Markdown table, a line per paper with records: cells by verdict, orderings that hold, runs,
    processor time.
    """
    lines = [
        f"| paper | {' | '.join(WORDS)} | orderings that hold | runs | processor time |",
        "|---|" + "---:|" * (len(WORDS) + 3),
    ]
    for page in pages:
        if not page.sections:
            continue
        cells = added([section.counts for section in page.sections], CELL_WORDS)
        orderings = added([section.ordering_counts for section in page.sections], ORDERING_WORDS)
        judged = sum(orderings.get(word, 0) for word in ORDERING_WORDS[:3])
        hours = sum(s.hours if math.isfinite(s.hours) else s.table.hours for s in page.sections)
        facts = page.facts
        line = [f"[{facts.label}](papers/{facts.name})", *(str(cells.get(word, 0)) for word in WORDS)]
        line += [f"{orderings.get('holds', 0)} of {judged}", f"{sum(s.runs for s in page.sections):,}"]
        lines.append("| " + " | ".join([*line, duration(hours)]) + " |")
    return "\n".join(lines) + "\n"
