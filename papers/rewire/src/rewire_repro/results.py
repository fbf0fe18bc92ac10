"""What a run found out: the matrices, results.json after every task, and the numbers of its record."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.io.strict_json import load_json_object
from clrepro.metrics import continual
from clrepro.records import canonical_json
from clrepro.sweep.host import versions
from rewire_repro.frameworks import Framework
from rewire_repro.networks import Net
from rewire_repro.scenarios import Scenario
from rewire_repro.settings import Settings

REFERENCES = Path(__file__).resolve().parents[2] / "references.json"
SILENT = ("path", "checkpoint", "dry_run", "checkpoint_minutes")  # of no influence on the numbers
HUNDRED = 100.0  # records hold fractions, tables show hundredths: so returns appear as they are


@dataclass
class Results:
    """Rows so far, one per finished task and column per task of the sequence: mean returns, success at any
    step, at
    the last; parameter counts per stage.
    """

    returns: list[list[float]] = field(default_factory=list)
    success_any: list[list[float]] = field(default_factory=list)
    success_final: list[list[float]] = field(default_factory=list)
    n_parameters: list[dict[str, int]] = field(default_factory=list)
    facts: list[dict[str, float]] = field(default_factory=list)
    oracle: list[list[float]] = field(default_factory=list)  # csp's, where it was asked for

    def add(
        self, evaluation: Mapping[int, Mapping[str, float]], sizes: dict[str, int], facts: dict[str, float]
    ) -> None:
        """Add what was measured after a task."""
        rows = {
            "avg_reward": self.returns,
            "success_rate": self.success_any,
            "final_success_rate": self.success_final,
        }
        for name, row in rows.items():
            row.append([one[name] for _, one in sorted(evaluation.items())])
        if all("oracle_reward" in one for one in evaluation.values()):
            self.oracle.append([one["oracle_reward"] for _, one in sorted(evaluation.items())])
        self.n_parameters.append(sizes)
        self.facts.append(facts)

    def plain(self) -> dict[str, Any]:
        """Returns the rows as nested lists."""
        return asdict(self)


def identity(settings: Settings) -> str:
    """Returns the sha256 (hex) of the settings that decide the numbers."""
    body = {key: value for key, value in asdict(settings).items() if key not in SILENT}
    return hashlib.sha256(canonical_json(json.loads(json.dumps(body))).encode()).hexdigest()


def references(settings: Settings, what: str = "returns") -> NDArray[np.float64] | None:
    """Returns S (T,), each task learnt from scratch under the same profile, if references.json has it.

    Args: what — "returns", or "auc": the mean of the successes while training.
    """
    if not REFERENCES.is_file():
        return None
    one, stored = settings.scenario, load_json_object(REFERENCES)
    entry = stored.get(f"{settings.profile}/{one.domain}/{one.name}")
    if entry is None or tuple(entry["tasks"]) != one.sequence:
        return None
    return np.asarray(entry[what], np.float64) if what in entry else None


def metrics(
    settings: Settings, results: Results, one_policy: int, curves: Sequence[Mapping[str, Any]] = ()
) -> dict[str, float]:
    """Returns the numbers of a record, in hundredths of what tables show: P, F and T in returns, T_2 (T on
    the second half of a sequence that repeats its tasks), P_rel, F_rel and T_rel relative to tasks learnt
    from scratch (absent where that is no sound scale), size in policies; successes as fractions where tasks
    have a goal, with ft_auc from what happened while training.

    Args: one_policy — parameters of a single network of the run's hidden size (pnn: that of the other
    methods); curves — per task {"success": of the episodes that ended while training}.
    """
    r = np.asarray(results.returns, np.float64)
    out = {"P": continual.rewire_performance(r) / HUNDRED, "F": continual.rewire_forgetting(r) / HUNDRED}
    out["size"] = results.n_parameters[-1]["inference"] / one_policy / HUNDRED
    scratch = references(settings)
    if scratch is not None:
        out["T"] = continual.rewire_transfer(r, scratch) / HUNDRED
        if settings.scenario.repeat_scenario > 1:
            out["T_2"] = continual.rewire_transfer(r, scratch, first=len(r) // 2) / HUNDRED
        scale = continual.rewire_scale(scratch)
        if scale is not None:
            relative = r / scale
            out |= {
                "P_rel": continual.rewire_performance(relative),
                "F_rel": continual.rewire_forgetting(relative),
                "T_rel": continual.rewire_transfer(relative, np.ones(len(r))),
            }
    if settings.scenario.evaluate_success:
        reached, final = (np.asarray(one, np.float64) for one in (results.success_any, results.success_final))
        out |= {
            "success": continual.rewire_performance(reached),
            "final_success": continual.rewire_performance(final),
        }
        out["success_F"] = continual.rewire_forgetting(reached)
        alone = references(settings, "auc")
        if alone is not None and curves and all(one["success"] for one in curves):
            auc = [float(np.mean(one["success"])) for one in curves]
            out["ft_auc"] = continual.forward_transfer_auc(auc, alone)
    return out


def one_policy_size(settings: Settings, scenario: Scenario, hidden: int) -> int:
    """Returns the parameters of one plain policy network."""
    import torch

    from rewire_repro.networks import sizes

    net = Net.make(sizes(scenario.n_in, hidden, 2 * scenario.n_actions), torch.Generator().manual_seed(0))
    return net.numel()


def document(
    settings: Settings, scenario: Scenario, framework: Framework, results: Results
) -> dict[str, Any]:
    """Returns the content of results.json."""
    n = len(scenario.sequence)
    none: list[list[float | None]] = [[None] * n for _ in range(n - len(results.returns))]
    return {
        "method": settings.method,
        "scenario": scenario.name,
        "seed": settings.seed,
        "profile": settings.profile,
        "paper_faithful": settings.paper_faithful,
        "config_hash": identity(settings),
        "versions": versions(),
        "backend": {"name": scenario.backend, "reason": scenario.reason},
        "tasks": list(scenario.sequence),
        "R": results.returns + none,
        "success_any": results.success_any + none,
        "success_final": results.success_final + none,
        "n_parameters": results.n_parameters,
        "facts": results.facts,
        **({"oracle": results.oracle + none} if results.oracle else {}),
        "interactions": framework.interactions,
        "wall": {**framework.wall, "compile_s": scenario.compile_s()},
    }
