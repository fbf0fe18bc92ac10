"""A table as JSON, for those who go on from it: what its CSV says, with every seed's value."""

import json
import math
from dataclasses import asdict
from typing import Any

from clrepro.report.tables import Cell, Table
from clrepro.verdicts import Verdict


def table_json(table: Table) -> str:
    """Returns the JSON text of a table: percent, unrounded, null for what was not measured."""
    rows = [
        {
            "setting": row.setting,
            "method": row.method,
            "seeds": list(row.seeds),
            "minutes_per_run": row.minutes,
            "peak_mb": row.peak_mb,
            "command": row.command,
            "cells": [_cell(cell) for cell in row.cells],
        }
        for row in table.rows
    ]
    orderings = [
        {
            "claim": one.claim.claim,
            "text": one.text,
            "slack_pct": one.claim.slack_pct,
            **_verdict(one.verdict),
        }
        for one in table.orderings
    ]
    body = {
        "schema": 1,
        "paper": table.paper,
        "profile": table.profile,
        "title": table.title,
        "metrics": table.metrics,
        "rows": rows,
        "orderings": orderings,
    }
    return json.dumps(_finite(body), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(cell: Cell) -> dict[str, Any]:
    claim = cell.claim
    reference = None
    if claim is not None and claim.reference is not None:
        reference = {**asdict(claim.reference), "status": claim.status, "source": claim.source}
    return {
        "metric": cell.metric,
        "values_pct": list(cell.values),
        "mean_pct": cell.interval.mean,
        "sd_pct": cell.sd,
        "low_pct": cell.interval.low,
        "high_pct": cell.interval.high,
        "reference_pct": reference,
        "tolerance_pct": claim.tolerance_pct if claim is not None and reference else None,
        **_verdict(cell.verdict),
        "doubt": claim.doubt if claim is not None else "",
        "second": _second(cell),
    }


def _second(cell: Cell) -> dict[str, Any] | None:
    if cell.claim is None or cell.claim.second is None:
        return None
    second = cell.claim.second
    reference = {**asdict(second.reference), "status": second.status, "source": second.source}
    return {"reference_pct": reference, **_verdict(cell.second or cell.verdict)}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    difference = asdict(verdict.difference) if verdict.difference else None
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "n": verdict.n,
        "difference_pct": difference,
        "more_seeds": verdict.more_seeds,
        "seeds_of_both": list(verdict.both_seeds) if verdict.both_seeds else None,
    }


def _finite(value: Any) -> Any:
    """The same with null in place of every number that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
