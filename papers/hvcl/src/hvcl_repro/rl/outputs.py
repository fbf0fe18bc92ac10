"""The original's result file, an object array of ragged lists, and a JSON file that anything can read."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clrepro.io.checkpoint import RunDir
from clrepro.records import canonical_json, plain
from clrepro.sweep.host import versions
from hvcl_repro.rl import curves as c

if TYPE_CHECKING:  # the PPO baselines, which need no TensorFlow, use `metrics`
    from hvcl_repro.rl.train import RLResult


def ragged(curves: c.Curves) -> Any:
    """Returns an object array (T,): entry t is a list of t + 1 lists of returns."""
    out = np.empty(len(curves), dtype=object)
    for t, segment in enumerate(curves):
        out[t] = [list(map(float, values)) for values in segment]
    return out


def metrics(
    curves: c.Curves, floor: list[float], reference: list[float] | None
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Returns (shares of 1 that tables show, series beside them) of a run of either program.

    S_self and S_ref are the sums over tasks divided by their number; retention is the mean over all tasks but
    the last, of what is left above a random policy.  S_ref and BWT_ref need the single-task references.
    """
    r = c.matrix(curves)
    n = len(r)
    kept = c.retention(r, floor)[:-1]
    found = {
        "S_self": c.self_normalised(curves) / n,
        "retention": float(np.mean(kept)) if n > 1 else float("nan"),
    }
    if reference is None:
        return found, {}
    found |= {
        "S_ref": c.reference_normalised(r, floor, reference) / n,
        "BWT_ref": c.transfer(r, floor, reference),
    }
    return found, {"reference": reference}


def write(
    result: "RLResult", floors: dict[str, list[float]], reference: list[float] | None, folder: RunDir
) -> Path:
    """Write both files into the folder.  Returns: the path of the array."""
    buffer = io.BytesIO()
    # The original's file is an array of lists of unequal length, which numpy stores only so: ours to write
    # and never to read: what we read is the JSON beside it.
    np.save(buffer, ragged(result.curves), allow_pickle=True)
    path = folder.atomic_write_bytes(result.settings.file_name, buffer.getvalue())
    r = c.matrix(result.curves)
    body = {
        "settings": result.settings.fingerprint(), "versions": versions(), "curves": result.curves,
        "R": [[None if v != v else v for v in row] for row in r.tolist()], "floors": floors,
        "S_self": _number(c.self_normalised(result.curves)),
        **({} if reference is None else {
            "references": reference,
            "S_ref": _number(c.reference_normalised(r, floors["random"], reference)),
            "BWT_ref": _number(c.transfer(r, floors["random"], reference)),
        }),
        "steps": {"train": result.train_steps, "eval": result.eval_steps, "updates": result.updates},
        "worker_restarts": result.restarts, "seconds": result.seconds,
    }  # fmt: skip
    folder.atomic_write_text(
        path.with_suffix(".json").name, json.dumps(json.loads(canonical_json(plain(body))), indent=1) + "\n"
    )
    return path


def _number(value: float) -> float | None:
    return value if value == value else None
