"""The continual loop: collect, learn, evaluate on all environments seen, one environment after the other.

At every checkpoint the training environments begin anew with seeds of their own, in a straight run too, so a
run that was killed and continued ends in the same file.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.envs import VectorEnv
from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from hvcl_repro.rl.curves import Curves
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, SETS, maker, sizes
from hvcl_repro.rl.evaluate import Examiner
from hvcl_repro.rl.experience import ExperienceBuffer
from hvcl_repro.rl.rewards import RewardScale
from hvcl_repro.rl.sac import SAC
from hvcl_repro.rl.settings import ALPHA, BETA_ZERO, EPISODE_SLICE, RLSettings

EVAL_SEEDS = 100  # evaluation of task t uses seeds from seed + (1 + t) · 100 on, as the original
RENEW_STEP = 1009


@dataclass
class RLResult:
    """What a run has measured: curves[t][i], mean raw return on task i at every evaluation in segment t."""

    settings: RLSettings
    curves: Curves = field(default_factory=list)
    train_steps: int = 0
    eval_steps: int = 0
    updates: int = 0
    restarts: int = 0
    seconds: float = 0.0


class Loop:
    """State of a run between two phases.

    Args: out — prints; n_workers — processes of the environments, 0: here.
    Raises: UsageError for settings that leave nothing to do.
    """

    def __init__(
        self, settings: RLSettings, seeds: Seeds, checkpoint: RunDir | None, n_workers: int, verbose: int
    ) -> None:
        if settings.n_envs < 1:
            raise UsageError(f"--train_interval {settings.train_interval}: {EPISODE_SLICE} or more")
        self.settings, self.seeds, self.checkpoint, self.n_workers, self.verbose = (
            settings,
            seeds,
            checkpoint,
            n_workers,
            verbose,
        )
        self.env_ids = SETS[settings.env_set]
        self.sac = SAC(settings, seeds)
        self.result = RLResult(settings)
        self.examiners: list[Examiner] = []
        self.task = self.steps = 0
        self.buffer, self.scale = self._memory(0), self._scale()

    def run(self, progress: Progress | None = None) -> RLResult:
        """Train on all environments, or on what a checkpoint has left.

        Raises: FloatingPointError if a loss is no number any more; the last checkpoint stays.
        """
        began = time.perf_counter() - self._resume()
        course = (progress or Progress.silent()).run(len(self.env_ids), self._done())
        try:
            while self.task < len(self.env_ids):
                self._task(began, course)
                self.task, self.steps = self.task + 1, 0
                if self.task < len(self.env_ids):
                    self.buffer, self.scale = self._memory(self.task), self._scale()
                self._save(time.perf_counter() - began)
        finally:
            for examiner in self.examiners:
                examiner.close()
        self.result.seconds = time.perf_counter() - began
        return self.result

    def _done(self) -> float:
        """Tasks done, parts of one included."""
        return self.task + min(self.steps / self.settings.train_steps, 1.0)

    def _task(self, began: float, course: Course) -> None:
        s, number = self.settings, self.task
        n_actions = sizes(self.env_ids)[number][1]
        if self.steps == 0:
            self.sac.begin_task(number, n_actions)
            self.result.curves.append([[] for _ in range(number + 1)])
        self.sac.set_actions(n_actions)
        if self.verbose:
            print(
                f"Obs dim: {sizes(self.env_ids)[number][0]}\nActs dim: {n_actions}\n"
                f"Collecting with {s.n_envs} envs"
            )
        with VectorEnv(
            [maker(self.env_ids[number])] * s.n_envs, OBS_DIM, ACT_DIM, self._train_seeds(), self.n_workers
        ) as envs:
            seen = envs.reset()
            while self.steps < s.train_steps:
                before = self.steps
                seen = self._collect(envs, seen)
                if self.buffer.n_entries > s.replay_start_size:
                    self._learn()
                for due in range(before // s.eval_interval + 1, self.steps // s.eval_interval + 1):
                    self._evaluate(due, began)
                if (
                    self.steps // s.checkpoint_interval > before // s.checkpoint_interval
                    and self.steps < s.train_steps
                ):
                    seen = envs.renew(self._train_seeds())
                    self.scale.returns[:] = 0.0
                    self._save(time.perf_counter() - began)
                course.at(self._done())
            self.result.restarts += envs.restarts

    def _train_seeds(self) -> list[int]:
        """Returns the environments' seeds from here on: they depend on task and steps alone."""
        start = self.settings.seed + RENEW_STEP * (
            self.task * 1000 + self.steps // self.settings.checkpoint_interval
        )
        return [start + i for i in range(self.settings.n_envs)]

    def _collect(self, envs: VectorEnv, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """One phase: a hundred steps in every environment.  Returns: what is seen then."""
        s = self.settings
        for _ in range(min(EPISODE_SLICE, -(-(s.train_steps - self.steps) // s.n_envs))):
            actions = self.sac.act(seen, explore=True)
            got = envs.step(actions)
            done = got["terminated"] | got["truncated"]
            self.scale.see(got["reward"], done)
            whole = np.isfinite(got["last"]).all(axis=1)  # not the rows of a worker that died
            # A time limit is no end of the task: its value is still estimated from what came next.
            original = s.original("terminal")
            terminal, after = (done, got["obs"]) if original else (got["terminated"], got["last"])
            self.buffer.extend(
                seen[whole], actions[whole], got["reward"][whole], after[whole], terminal[whole]
            )
            seen = got["obs"]
            self.steps += s.n_envs
            self.result.train_steps += s.n_envs
        return envs.reset() if s.original("slices") else seen

    def _learn(self) -> None:
        """One phase of updates; priorities change once, at its end."""
        s = self.settings
        if self.verbose and not self.result.updates:
            print(f"Started Training with {self.buffer.n_entries} Samples in Buffer")
        beta, _ = self.buffer.schedule.get_beta(self.steps)
        size = min(s.batch_s, self.buffer.n_entries)
        batch, weights, slots = self._draw(beta, s.updates, size)
        batch["rewards"] = self.scale.scaled(batch["rewards"])
        report, errors = self.sac.train(batch, weights, s.updates)
        if not all(math.isfinite(value) for value in report.values()):
            bad = next(name for name, value in report.items() if not math.isfinite(value))
            where = self.checkpoint.path if self.checkpoint is not None else "nowhere"
            raise FloatingPointError(
                f"{bad} is {report[bad]} in {self.env_ids[self.task]} after {self.steps} steps; "
                f"the last checkpoint is in {where}; try a lower --lr"
            )
        self.buffer.update_priority(slots, errors)
        self.result.updates += s.updates
        if self.verbose:
            print(
                f"{self.env_ids[self.task]} update {self.result.updates} "
                + " ".join(f"{k} {v:.4g}" for k, v in report.items())
            )

    def _draw(self, beta: float, n: int, size: int) -> tuple[Any, NDArray[np.float32], NDArray[np.int64]]:
        """Returns n batches in one draw, each one's weights divided by its own largest."""
        slots, weights = self.buffer.policy.sample(n * size, beta)
        per_batch = weights.reshape(n, size)
        per_batch = per_batch / per_batch.max(axis=1, keepdims=True)
        return self.buffer.columns.read(slots), per_batch.ravel().astype(np.float32), slots

    def _evaluate(self, due: int, began: float) -> None:
        """Measure the policy on all environments seen so far, and print the progress line."""
        s = self.settings
        while len(self.examiners) <= self.task:
            t = len(self.examiners)
            first = s.seed + (1 + t) * EVAL_SEEDS
            seeds = [first + i for i in range(s.eval_episodes)]
            self.examiners.append(Examiner(self.env_ids[t], seeds, self.n_workers))
        means, before = [], sum(examiner.restarts for examiner in self.examiners)
        for t, examiner in enumerate(self.examiners):
            self.sac.set_actions(sizes(self.env_ids)[t][1])
            returns, steps = examiner.returns(lambda seen: self.sac.act(seen, explore=False))
            self.result.eval_steps += steps
            means.append(float(returns.mean()))
            self.result.curves[self.task][t].append(means[-1])
        self.result.restarts += sum(examiner.restarts for examiner in self.examiners) - before
        self.sac.set_actions(sizes(self.env_ids)[self.task][1])
        took = time.perf_counter() - began
        print(
            f"{self.env_ids[self.task]} steps {due * s.eval_interval}/{s.train_steps} "
            f"rewards [{', '.join(f'{m:.1f}' for m in means)}] "
            f"eval steps {self.result.eval_steps} {took:.0f} s",
            flush=True,
        )

    # --- memory and checkpoints ------------------------------------------------------------------------

    def _memory(self, number: int) -> ExperienceBuffer:
        s = self.settings
        return ExperienceBuffer(
            {
                "size": min(s.buffer_size, s.train_steps + s.n_envs), "batch_size": s.batch_s,
                "total_steps": s.train_steps, "learn_start": s.replay_start_size, "beta_zero": BETA_ZERO,
                "alpha": ALPHA, "largest_obs_dim": OBS_DIM, "largest_act_dim": ACT_DIM,
                "seed": self.seeds.integer(f"memory/{number}"),
            }
        )  # fmt: skip

    def _scale(self) -> RewardScale:
        return RewardScale(self.settings.n_envs, self.settings.gamma)

    def _save(self, seconds: float) -> None:
        if self.checkpoint is None:
            return
        r = self.result
        self.checkpoint.save_state(
            "run",
            {
                "sac": self.sac.state(), "buffer": self.buffer.state(), "scale": self.scale.state(),
                "curves": r.curves, "task": self.task, "steps": self.steps,
                "counts": [r.train_steps, r.eval_steps, r.updates, r.restarts], "seconds": seconds,
            },
        )  # fmt: skip

    def _resume(self) -> float:
        """Take over a checkpoint, if there is one; returns the seconds it had taken."""
        saved = self.checkpoint.load_state("run") if self.checkpoint is not None else None
        if saved is None:
            return 0.0
        self.task, self.steps = int(saved["task"]), int(saved["steps"])
        self.sac.load(saved["sac"])
        self.buffer = self._memory(min(self.task, len(self.env_ids) - 1))
        self.buffer.load_state(saved["buffer"])
        self.scale.load(saved["scale"])
        r = self.result
        r.curves = saved["curves"]
        r.train_steps, r.eval_steps, r.updates, r.restarts = saved["counts"]
        return float(saved["seconds"])
