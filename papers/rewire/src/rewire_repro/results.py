"""What a run found out: the matrices, results.json after every task, and the numbers of its record."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.checkout import paper_folder
from clrepro.io.strict_json import load_json_object
from clrepro.metrics import continual
from clrepro.records import canonical_json
from clrepro.sweep.host import versions
from rewire_repro.frameworks import Framework
from rewire_repro.networks import Net
from rewire_repro.scenarios import Scenario
from rewire_repro.settings import Settings

REFERENCES = paper_folder(__file__) / "references.json"
SILENT = ("path", "checkpoint", "dry_run", "checkpoint_minutes")  # of no influence on the numbers
HUNDRED = 100.0  # records hold fractions, tables show hundredths: so returns appear as they are


@dataclass
class Results:
    """Rows so far, one per finished task and column per task of the sequence: mean returns, success at any
    step, at
    the last; parameter counts per stage.
    """

    returns: list[list[float | None]] = field(default_factory=list)
    success_any: list[list[float | None]] = field(default_factory=list)
    success_final: list[list[float | None]] = field(default_factory=list)
    n_parameters: list[dict[str, int]] = field(default_factory=list)
    facts: list[dict[str, float]] = field(default_factory=list)
    oracle: list[list[float | None]] = field(default_factory=list)  # csp's, where it was asked for

    def add(
        self,
        evaluation: Mapping[int, Mapping[str, float]],
        n_tasks: int,
        sizes: dict[str, int],
        facts: dict[str, float],
    ) -> None:
        """Add what was measured after a task; None for the tasks that were not evaluated."""
        rows = {
            "avg_reward": self.returns,
            "success_rate": self.success_any,
            "final_success_rate": self.success_final,
        }
        for name, row in rows.items():
            row.append(_row(evaluation, n_tasks, name))
        if all("oracle_reward" in one for one in evaluation.values()):
            self.oracle.append(_row(evaluation, n_tasks, "oracle_reward"))
        self.n_parameters.append(sizes)
        self.facts.append(facts)

    def plain(self) -> dict[str, Any]:
        """Returns the rows as nested lists."""
        return asdict(self)


def _row(evaluation: Mapping[int, Mapping[str, float]], n_tasks: int, name: str) -> list[float | None]:
    return [evaluation[i][name] if i in evaluation else None for i in range(n_tasks)]


def identity(settings: Settings) -> str:
    """Returns the sha256 (hex) of the settings that decide the numbers."""
    body = {key: value for key, value in asdict(settings).items() if key not in SILENT}
    return hashlib.sha256(canonical_json(json.loads(json.dumps(body))).encode()).hexdigest()


def references(profile: str, setting: str, tasks: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Returns what references.json has of these tasks learnt from scratch under the same profile: `returns`
    S (T,) and, where tasks have a goal, `auc` (T,), the means of the successes while training.
    """
    stored = load_json_object(REFERENCES) if REFERENCES.is_file() else {}
    entry = stored.get(f"{profile}/{setting}")
    if entry is None or list(entry["tasks"]) != list(tasks):
        return {}
    return {what: np.asarray(entry[what], np.float64) for what in ("returns", "auc") if what in entry}


def against_scratch(
    profile: str,
    setting: str,
    tasks: Sequence[str],
    returns: Sequence[Sequence[float | None]],
    repeats: bool,
    successes: Sequence[Sequence[float]] = (),
) -> dict[str, float]:
    """Returns the numbers of a record that need references.json, as far as it has them: T, T_2 (T on the
    second half of a sequence that repeats its tasks), P_rel, F_rel and T_rel (absent where tasks learnt from
    scratch are no sound scale), ft_auc.

    Args: returns — R (T, T), None or nan where nothing was measured; successes — per task, of the episodes
    that ended while training.
    """
    alone, out = references(profile, setting, tasks), {}
    r = np.asarray(returns, np.float64)
    if "returns" in alone:
        scratch = alone["returns"]
        out["T"] = continual.transfer_from_scratch(r, scratch) / HUNDRED
        if repeats:
            out["T_2"] = continual.transfer_from_scratch(r, scratch, first=len(r) // 2) / HUNDRED
        scale = continual.positive_scale(scratch)
        if scale is not None:
            relative = r / scale
            out |= {
                "P_rel": continual.average_accuracy(relative),
                "F_rel": continual.forgetting_over_all(relative),
                "T_rel": continual.transfer_from_scratch(relative, np.ones(len(r))),
            }
    if "auc" in alone and successes and all(successes):
        auc = [float(np.mean(one)) for one in successes]
        out["ft_auc"] = continual.forward_transfer_auc(auc, alone["auc"])
    return out


def metrics(
    settings: Settings, results: Results, one_policy: int, curves: Sequence[Mapping[str, Any]] = ()
) -> dict[str, float]:
    """Returns the numbers of a record, in hundredths of what tables show: P and F in returns, size in
    policies; successes as fractions where tasks have a goal; and those of `against_scratch`.

    Args: one_policy — parameters of a single network of the run's hidden size (pnn: that of the other
    methods); curves — per task {"success": of the episodes that ended while training}.
    """
    r, scenario = np.asarray(results.returns, np.float64), settings.scenario
    out = {"P": continual.average_accuracy(r) / HUNDRED, "F": continual.forgetting_over_all(r) / HUNDRED}
    out["size"] = results.n_parameters[-1]["inference"] / one_policy / HUNDRED
    if scenario.evaluate_success:
        reached, final = (np.asarray(one, np.float64) for one in (results.success_any, results.success_final))
        out |= {
            "success": continual.average_accuracy(reached),
            "final_success": continual.average_accuracy(final),
        }
        out["success_F"] = continual.forgetting_over_all(reached)
    successes = [one["success"] for one in curves] if scenario.evaluate_success else []
    return out | against_scratch(
        settings.profile,
        f"{scenario.domain}/{scenario.name}",
        scenario.sequence,
        results.returns,
        scenario.repeat_scenario > 1,
        successes,
    )


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
