"""Where scalars go: a JSON line each, TensorBoard events if that package is there, W&B if asked for."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clrepro.errors import DataError, UsageError

log = logging.getLogger(__name__)


class Logger:
    """Writes `metrics.jsonl`, one {name, step, value, time} per scalar, and what else the configuration
    names.

    Args: node — the configuration's logger node.  Raises: UsageError for an unknown class; DataError if
    W&B is
    asked for and absent.
    """

    def __init__(self, folder: Path, node: Mapping[str, Any]) -> None:
        kind = node.get("classname")
        if kind not in ("logger.Files", "logger.Wandb"):
            raise UsageError(f"logger.classname={kind}: logger.Files or logger.Wandb")
        self.wandb = _wandb(node) if kind == "logger.Wandb" else None
        self.board = _board(folder) if node.get("tensorboard") else None
        self.file = open(folder / "metrics.jsonl", "a", encoding="utf-8")

    def __call__(self, name: str, value: float, step: int) -> None:
        """Log one scalar."""
        line = {"name": name, "step": step, "value": float(value), "time": round(time.time(), 3)}
        self.file.write(json.dumps(line) + "\n")
        if self.board is not None:
            self.board.add_scalar(name, value, step)
        if self.wandb is not None:
            self.wandb.log({name: value, "step": step})

    def flush(self) -> None:
        """Let readers see what was logged."""
        self.file.flush()
        if self.board is not None:
            self.board.flush()

    def close(self) -> None:
        """End the logs."""
        self.file.close()
        if self.board is not None:
            self.board.close()
        if self.wandb is not None:
            self.wandb.finish()


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("no TensorBoard events: the package tensorboard is not installed")
        return None
    return SummaryWriter(str(folder))


def _wandb(node: Mapping[str, Any]) -> Any:
    try:
        import wandb
    except ImportError:
        raise DataError(
            "logger=wandb: the package is not installed; pip install wandb, or logger=default"
        ) from None
    wandb.init(project=node.get("project"), entity=node.get("entity"))
    return wandb
