"""Files of a run that training goes on from: `train.state` with everything, and the original's `.dat` files.

`policy_TASK.dat`, `critic_TASK.dat` (and `info_TASK.dat` of rewire and csp) have the original's names, but
hold
plain tensors and text, so `torch.load(path, weights_only=True)` reads them.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.io.regular_files import open_regular_file
from rewire_repro.frameworks import Framework

NAME = "train"
MAX_BYTES = 1 << 32
INFO = ("rewire", "csp")


def save(folder: RunDir, framework: Framework, results: dict[str, Any], identity: str) -> None:
    """Write `train.state`: framework, results so far, and what the settings were."""
    folder.save_state(NAME, {"framework": framework.state(), "results": results, "identity": identity})


def restore(folder: RunDir, framework: Framework, identity: str) -> dict[str, Any] | None:
    """Put the framework where `train.state` left it; returns the results so far, None if there is no such
    file.

    Raises: DataError if the file is damaged or other settings made it.
    """
    state = folder.load_state(NAME)
    if state is None:
        return None
    if state["identity"] != identity:
        raise DataError(
            f"{folder.path}: its checkpoint is of other settings; give the same ones, or another folder"
        )
    framework.load(state["framework"])
    results: dict[str, Any] = state["results"]
    return results


def write_dats(folder: RunDir, framework: Framework, task_id: int) -> None:
    """Write the original's files of a finished task."""
    settings = framework.settings
    meta = {
        "method": settings.method,
        "task": task_id,
        "seed": settings.seed,
        "stage": framework.stage,
        "widths": list(framework.agent.widths),
        "interactions": dict(framework.interactions),
    }
    parts: dict[str, Any] = {
        "policy": framework.agent.state(),
        "critic": {**framework.critic.state(), "width": framework.critic.weights[0].shape[1]},
    }
    if settings.method in INFO:
        state = framework.agent.state()
        parts["info"] = {name: state[name] for name in ("wirings", "alphas") if name in state}
    for name, content in parts.items():
        _write(folder, f"{name}_{task_id}.dat", {"meta": meta, "state": to_tensors(content)})
    rngs = {
        "rngs": to_tensors(framework.rngs.state()),
        "curves": framework.curves,
        "wall": framework.wall,
    }
    _write(folder, f"rng_{task_id}.dat", {"meta": meta, "state": rngs})


def read_dats(folder: Path, framework: Framework) -> int:
    """Put the framework after the highest-numbered task with a policy file; returns how many tasks are done.

    Raises: DataError if there is none, a file is missing or damaged, or it is of another method.
    """
    found = [
        int(m[1])
        for path in folder.glob("policy_*.dat")
        if (m := re.fullmatch(r"policy_(\d+)\.dat", path.name))
    ]
    if not found:
        raise DataError(
            f"{folder}: neither train.state nor policy_*.dat; framework.params.path is a run's folder"
        )
    task = max(found)
    policy, critic, rng = (_read(folder / f"{name}_{task}.dat") for name in ("policy", "critic", "rng"))
    meta = policy["meta"]
    if meta["method"] != framework.settings.method or list(meta["widths"]) != list(framework.agent.widths):
        raise DataError(f"{folder}: policy_{task}.dat is of {meta['method']} with widths {meta['widths']}")
    rest = to_arrays(rng["state"])
    framework.load(
        {
            "agent": to_arrays(policy["state"]),
            "critic": to_arrays({"tensors": critic["state"]["tensors"]}),
            "critic_width": critic["state"]["width"],
            "rngs": rest["rngs"],
            "stage": meta["stage"],
            "before": float("nan"),
            "training": None,
            "interactions": meta["interactions"],
            "wall": rest["wall"],
            "curves": rest["curves"],
        }
    )
    return framework.stage


def _write(folder: RunDir, name: str, content: dict[str, Any]) -> None:
    import io

    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder.atomic_write_bytes(name, buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        with open_regular_file(path, MAX_BYTES) as file:
            content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return {"meta": content["meta"], "state": content["state"]}
    except FileNotFoundError:
        raise DataError(f"{path}: missing, so training cannot go on from there") from None
    except DataError:
        raise
    except Exception as problem:  # torch's reader raises anything for forged bytes
        reason = " ".join(str(problem).split())[:120]
        raise DataError(f"{path}: not a checkpoint of this program ({reason})") from None


def to_tensors(value: Any) -> Any:
    """Nested containers with tensors in place of arrays."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: to_tensors(item) for key, item in value.items()}
    return [to_tensors(item) for item in value] if isinstance(value, list) else value


def to_arrays(value: Any) -> Any:
    """The inverse of `to_tensors`."""
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {key: to_arrays(item) for key, item in value.items()}
    return [to_arrays(item) for item in value] if isinstance(value, list) else value
