"""The original's files and its one line of output, byte for byte (contract 2.7), plus the JSON record beside
them.
"""

import argparse
import hashlib
import io
import os
import tempfile
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.atomic import write_atomically
from clrepro.io.checkpoint import RunDir
from clrepro.io.regular_files import open_regular_file
from clrepro.io.strict_json import load_json_object
from clrepro.records import RunRecord, canonical_json
from clrepro.sweep.host import versions
from mer_repro.settings import Settings

if TYPE_CHECKING:
    import torch

    from mer_repro.train import TrainResult

Matrix = NDArray[np.float64]

NAME_FILE = "results.json"  # beside a checkpoint: the name that the result files will have
MAX_BYTES = 1 << 32  # of a result file


def base_name(settings: Settings, now: datetime | None = None, unique: str | None = None) -> str:
    """Returns <save_path>/<model>_<data_file>_<YYYY_MM_DD_HH_MM_SS>_<32 hex digits>."""
    stamp = (now or datetime.now()).strftime("%Y_%m_%d_%H_%M_%S")
    name = f"{settings.model}_{Path(settings.data_file).name}_{stamp}_{unique or uuid.uuid4().hex}"
    return os.path.join(settings.save_path, name)


def kept_base_name(settings: Settings, checkpoint: RunDir | None) -> str:
    """Returns `base_name` of a run, the same whenever it is continued from its checkpoint folder: what a kill
    left half written is then replaced, and a run never leaves two sets of files.
    """
    folder, name = os.path.split(base_name(settings))
    if checkpoint is not None:
        try:
            path = checkpoint.path / NAME_FILE
            begun = load_json_object(path).get("name")
        except DataError:
            begun = None
        if isinstance(begun, str) and begun and begun == os.path.basename(begun):
            return os.path.join(folder, begun)
        checkpoint.atomic_write_json(NAME_FILE, {"name": name})
    return os.path.join(folder, name)


def text_file(baseline: Matrix, matrix: Matrix, metrics: Mapping[str, float]) -> str:
    """Returns the .txt: untrained accuracies, a bar, one line per finished task, and the three summary
    numbers.
    """
    lines = [_numbers(baseline), "|", *[_numbers(row) for row in matrix], ""]
    lines += [f"Final Accuracy: {metrics['RA']:.4f}", f"Backward: {metrics['BTI']:.4f}"]
    lines += [f"Forward:  {metrics['FWT']:.4f}"]
    return "\n".join(lines) + "\n"


def _numbers(row: Matrix) -> str:
    return " ".join(f"{value:.4f}" for value in row)


def one_liner(settings: Settings, metrics: Mapping[str, float]) -> str:
    """Returns the arguments as a dict, then " # " and RA, BTI, FWT with three decimals."""
    return f"{settings.contract()} # " + " ".join(f"{metrics[name]:.3f}" for name in ("RA", "BTI", "FWT"))


def stdout_line(base: str, settings: Settings, metrics: Mapping[str, float], seconds: float) -> str:
    """Returns the line a run prints: base name, arguments, metrics, seconds of training and evaluation."""
    return f"{base}: {one_liner(settings, metrics)} # {seconds}"


def tuple_file(result: "TrainResult", settings: Settings) -> bytes:
    """Returns the .pt's bytes: (result_t, result_a, state_dict, stats, one_liner, args), args an
    argparse.Namespace.
    """
    import torch

    stats = [torch.tensor(result.metrics[name]) for name in ("RA", "BTI", "FWT")]
    content = (
        torch.from_numpy(result.result_t), torch.from_numpy(result.result_a), result.state_dict, stats,
        one_liner(settings, result.metrics), argparse.Namespace(**settings.contract()),
    )  # fmt: skip
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def read_tuple(path: Path) -> Any:
    """Returns the 6-tuple of a result file, admitting tensors and argparse.Namespace and nothing else.

    Raises: DataError if it cannot be read or holds anything else.
    """
    content = _read(path)
    if not isinstance(content, tuple) or len(content) != 6:
        raise DataError(f"{path}: holds no tuple of six; expected what main.py writes as .pt")
    return content


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    """Returns a saved model's parameters by name: of a result file of main.py, the original's or ours, or of
    a state dict saved by torch.

    Raises: DataError if the file cannot be read, holds no such thing, or numbers that are not finite.
    """
    import torch

    content = _read(path)
    state = content[2] if isinstance(content, tuple) and len(content) == 6 else content
    if not isinstance(state, dict) or not state:
        raise DataError(f"{path}: holds no saved model; expected a .pt of main.py, or a saved state_dict()")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise DataError(f"{path}: {str(name)[:60]!r} is no tensor of floating-point numbers")
        if not torch.isfinite(value).all():
            raise DataError(f"{path}: {name[:60]!r} has numbers that are not finite")
    return dict(state)


def _read(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            with open_regular_file(path, MAX_BYTES) as file:
                content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except Exception as problem:  # torch reports damage with many kinds; the first line tells which
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:160]
        raise DataError(f"{path}: not a readable result file ({reason})") from None
    return content


def record_body(result: "TrainResult", settings: Settings, data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metrics, series, settings, data and cost as the run record keeps them."""
    full = settings.values()
    full |= {"engine_used": result.engine}
    del full["checkpoint_dir"]  # where a run was saved on its way does not belong to what it did
    if not settings.init_from:
        del full["init_from"]
    return {
        "metrics": dict(result.metrics),
        "series": {"R": result.matrix, "baseline": result.baseline, "order": result.order},
        "settings": full,
        "data": dict(data),
        "cost": {"train_s": result.train_s, "eval_s": result.eval_s},
    }


def sidecar(result: "TrainResult", settings: Settings, data: Mapping[str, Any]) -> RunRecord:
    """Returns the run record that lies beside the original's files; unlike a sweep's it belongs to no
    profile.
    """
    body = record_body(result, settings, data)
    fingerprint = canonical_json([body["settings"], body["data"]])
    return RunRecord(
        paper="mer", profile="command-line", setting=Path(settings.data_file).stem, method=settings.model,
        seed=settings.seed, command=["main.py"],
        settings_hash=hashlib.sha256(fingerprint.encode()).hexdigest(),
        versions=versions(), **body,
    )  # fmt: skip


def check_folder(save_path: str) -> None:
    """Make the folder of the results and see that it takes a file.  Raises: DataError if it does not."""
    folder = Path(save_path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:  # nameless, so that a kill leaves nothing
            file.write(b"?")
    except OSError as problem:
        raise DataError(
            f"{folder}: results cannot be written there ({problem.strerror}); choose another --save_path"
        ) from None


def write_results(base: str, result: "TrainResult", settings: Settings, data: Mapping[str, Any]) -> str:
    """Write <base>.txt, .pt and .json, all three or none; returns the line to print.

    Raises: DataError if the folder does not take them.
    """
    text = text_file(result.baseline[result.order], result.matrix[:, result.order], result.metrics)
    contents = {
        "txt": text.encode(),
        "pt": tuple_file(result, settings),
        "json": sidecar(result, settings, data).to_json().encode(),
    }
    check_folder(os.path.dirname(base))
    written: list[Path] = []
    try:
        for ending, content in contents.items():
            write_atomically(path := Path(f"{base}.{ending}"), content)
            written.append(path)
    except DataError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return stdout_line(base, settings, result.metrics, result.train_s + result.eval_s)
