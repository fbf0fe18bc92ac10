"""What a run says while it goes on: the lines of the original on stdout, their wording ours."""

import sys
from pathlib import Path
from typing import TextIO

from ta_agem_repro.result import Epoch, Result
from ta_agem_repro.settings import Settings

# Names of the parts of training in the table of times.
PARTS = {
    "training": "  open batches", "get from memory": "  get from memory", "optimize": "  optimize",
    "add samples": "  add samples",
}  # fmt: skip
SUMMARY_EVERY = 20  # epochs between lines on the memory; 5 in lite mode


class Console:
    """Prints to `out` (default: standard output as it is then); a verbose run has a line per evaluation."""

    def __init__(self, settings: Settings, out: TextIO | None = None) -> None:
        self._out, self._verbose = out, settings.verbose
        self._every = 5 if settings.quick_test_mode else SUMMARY_EVERY

    def started(self, settings: Settings, data: dict[str, str]) -> None:
        """Say what will be run."""
        scheduler = "on" if settings.use_learning_rate_scheduler else "off"
        draw = "random draw from memory" if settings.random_em else "whole memory"
        self._say(f"Device: {settings.device}, seed {settings.seed}, method {settings.method}")
        self._say(f"Removal function: {settings.removal_function}")
        self._say(
            f"{'Quick' if settings.quick_test_mode else 'Full'} run: {settings.task_type} on "
            f"{settings.dataset_name}, {settings.num_tasks} tasks, {settings.task_introduction}; {draw}, "
            f"sampling rate {settings.sampling_rate:g}, scheduler {scheduler}"
        )

    def epoch(self, epoch: Epoch, total: int) -> None:
        """One line per evaluation."""
        if self._verbose or (epoch.epoch + 1) % self._every == 0:
            self._say(
                f"Epoch {epoch.epoch + 1}/{total}: task {epoch.task_id}, accuracy {epoch.overall:.4f}, "
                f"loss {epoch.loss:.4f}, memory {epoch.memory_size}"
            )

    def task(self, result: Result) -> None:
        """The state after a task's last epoch."""
        last = result.epochs[-1]
        accuracies = ", ".join(f"{task}: {accuracy:.4f}" for task, accuracy in last.accuracies.items())
        self._say(f"Task {last.task_id} done in {result.training_times[-1]:.1f} s; accuracy {accuracies}")
        if result.stored:
            self._say(
                f"  memory {last.memory_size} in {len(result.stored)} pools; stored of offered: "
                + ", ".join(f"{k}: {n}/{result.offered[k]}" for k, n in sorted(result.stored.items()))
            )

    def finished(self, result: Result) -> None:
        """The numbers of the run, and where its time went."""
        metrics = result.metrics()
        self._say(f"Final Average Accuracy (all epochs, all tasks): {metrics['A']:.4f}")
        self._say(
            f"After the last epoch: {metrics['A_T']:.4f}; forgetting {metrics['F']:.4f}, of the first task "
            f"{metrics['F1']:.4f}; projected {metrics['projection_rate']:.1%} of the steps"
        )
        self._say(times_table(whole_and_parts(result.times)))

    def wrote(self, path: Path) -> None:
        """Name a file that was written."""
        self._say(f"written: {path}")

    def _say(self, line: str) -> None:
        print(line, file=self._out or sys.stdout, flush=True)


def whole_and_parts(times: dict[str, list[float]]) -> dict[str, list[float]]:
    """Returns the times with the training as a whole, one entry, before the parts that it is made of.

    Args: times — {key: seconds of each call} of `train.Run`, whose "training" is the opening of the batches.
    """
    parts = {PARTS[key]: spent for key, spent in times.items() if key in PARTS}
    rest = {key: spent for key, spent in times.items() if key not in PARTS}
    out = {key: rest.pop(key) for key in ("init",) if key in rest}
    if parts:
        out |= {"training": [sum(map(sum, parts.values()))], **parts}
    return out | rest


def times_table(times: dict[str, list[float]]) -> str:
    """Returns a table of {key: seconds of each call}: total, count, mean, shortest, longest."""
    lines = [f"{'':<18}{'total s':>10}{'count':>9}{'avg ms':>13}{'low ms':>13}{'high ms':>13}"]
    for key, spent in times.items():
        ms = [1000 * s for s in spent]
        mean = sum(ms) / len(ms)
        lines.append(f"{key:<18}{sum(spent):>10.2f}{len(ms):>9}{mean:>13.3f}{min(ms):>13.3f}{max(ms):>13.3f}")
    return "\n".join(lines)
