"""PPO on one environment after the other, all of them evaluated as training goes on; resumable after each."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clrepro.envs import VectorEnv
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from hvcl_repro.baselines import ppo
from hvcl_repro.baselines.penalties import EWC, UCL, fisher, load_terms, terms_state
from hvcl_repro.baselines.policy import Policy, log_prob
from hvcl_repro.baselines.settings import PPOSettings
from hvcl_repro.rl.curves import Curves
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, SETS, maker, mask, sizes
from hvcl_repro.rl.evaluate import Examiner
from hvcl_repro.rl.rewards import RewardScale

CLIP_OBS = 10.0


class ObservationScale:
    """Running mean and deviation of observations; frozen when evaluating.  Source: spec 7, item 29."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 1e-4, np.zeros(OBS_DIM), np.zeros(OBS_DIM)

    def see(self, x: NDArray[np.float32]) -> None:
        """Note observations (n, 28)."""
        n, mean = len(x), x.mean(axis=0)
        delta, total = mean - self.mean, self.count + n
        self.squares += ((x - mean) ** 2).sum(axis=0) + delta**2 * self.count * n / total
        self.mean, self.count = self.mean + delta * n / total, total

    def scaled(self, x: NDArray[np.float32]) -> torch.Tensor:
        """Returns observations over their deviation, within ± 10; padding stays 0."""
        z = (x - self.mean) / np.sqrt(self.squares / self.count + 1e-8)
        return torch.from_numpy(np.clip(z, -CLIP_OBS, CLIP_OBS).astype(np.float32))

    def state(self) -> list[Any]:
        """Returns all numbers."""
        return [self.count, self.mean, self.squares]


@dataclass
class PPOResult:
    """curves as in `rl.train`; spread — the same lists of (largest, smallest) return of an evaluation;
    train — mean return of training episodes at each update of each task.
    """

    settings: PPOSettings
    curves: Curves
    largest: Curves
    smallest: Curves
    train: list[list[float]]
    steps: int = 0
    restarts: int = 0
    seconds: float = 0.0


class Baseline:
    """A run: policy, penalty and scales, kept from task to task.

    Args: n_workers — processes of the environments.
    """

    def __init__(
        self, settings: PPOSettings, seeds: Seeds, checkpoint: RunDir | None, n_workers: int
    ) -> None:
        self.settings, self.checkpoint, self.n_workers = settings, checkpoint, n_workers
        self.env_ids = SETS[settings.env_set][: 1 if settings.single_task else None]
        self.rng = torch.Generator().manual_seed(seeds.integer("ppo"))
        self.policy = Policy(settings, len(self.env_ids), self.rng)
        self.penalty: Any = None
        if settings.approach == "ewc":
            self.penalty = EWC(settings.ewc_lambda, settings.ewc_online)
        elif settings.approach == "ucl":
            self.penalty = UCL(self.policy, float(np.log1p(np.exp(settings.ucl_rho))), settings.ucl_beta)
        # The original is told the task, so every task has statistics of its own; a single head has one.
        kept = (
            [ObservationScale() for _ in self.env_ids] if settings.heads == "multi" else [ObservationScale()]
        )
        self.scales = kept if settings.heads == "multi" else kept * len(self.env_ids)
        self.result = PPOResult(settings, [], [], [], [])
        self.examiners: list[Examiner] = []
        self.masks = [torch.from_numpy(mask(actions)) for _, actions in sizes(self.env_ids)]

    def run(self, progress: Progress | None = None) -> PPOResult:
        """Train on all tasks, or on those a checkpoint has left.

        Raises: FloatingPointError if the loss is no number any more.
        """
        began = time.perf_counter() - self._resume()
        course = (progress or Progress.silent()).run(len(self.env_ids), len(self.result.curves))
        try:
            for task in range(len(self.result.curves), len(self.env_ids)):
                self._task(task, course)
                self.result.seconds = time.perf_counter() - began
                if self.checkpoint is not None:
                    self.checkpoint.save_state("ppo", self._state())
        finally:
            for examiner in self.examiners:
                examiner.close()
        return self.result

    def _task(self, task: int, course: Course) -> None:
        s, r = self.settings, self.result
        for curves in (r.curves, r.largest, r.smallest):
            curves.append([[] for _ in range(task + 1)])
        r.train.append([])
        optimizer = torch.optim.Adam(self.policy.parameters(), s.lr, eps=s.eps)
        scale = RewardScale(s.num_processes, s.gamma)
        seeds = [s.seed + 100_000 * task + i for i in range(s.num_processes)]
        make = maker(self.env_ids[task])
        with VectorEnv([make] * s.num_processes, OBS_DIM, ACT_DIM, seeds, self.n_workers) as envs:
            seen, running = envs.reset(), np.zeros(s.num_processes)
            for number in range(s.updates):
                if s.use_linear_lr_decay:
                    optimizer.param_groups[0]["lr"] = s.lr * (1 - number / s.updates)
                rollout, seen, returns = self._collect(envs, seen, running, scale, task)
                loss = ppo.update(
                    self.policy, optimizer, s, rollout, task, self.masks[task], self.rng, self._held(task)
                )
                if not np.isfinite(loss):
                    raise FloatingPointError(
                        f"the loss is {loss} in {self.env_ids[task]}, update {number + 1}; lower --lr"
                    )
                r.train[task].append(float(np.mean(returns)) if returns else float("nan"))
                if (number + 1) % s.eval_interval == 0 or number + 1 == s.updates:
                    self._evaluate(task, number)
                course.at(task + (number + 1) / s.updates)
            r.restarts += envs.restarts
        self._close(task, rollout)

    def _held(self, task: int) -> Any:
        """Returns the penalty as a function, or None where there is nothing to hold to."""
        if self.penalty is None or (task == 0 and isinstance(self.penalty, EWC)):
            return None
        share = self.settings.num_mini_batch if isinstance(self.penalty, UCL) else 1
        return lambda: self.penalty.loss(self.policy) / share

    def _collect(
        self, envs: VectorEnv, seen: Any, running: Any, scale: RewardScale, task: int
    ) -> tuple[ppo.Rollout, Any, list[float]]:
        """Returns (rollout, what is seen then, returns of the episodes that ended)."""
        s, rows, returns = self.settings, [], []
        self.policy.train()
        for _ in range(s.num_steps):
            self.scales[task].see(seen)
            with torch.no_grad():
                states = self.scales[task].scaled(seen)
                mean, log_std, value = self.policy(states, task)
                action = mean + torch.exp(log_std) * torch.randn(mean.shape, generator=self.rng)
                log_pi = log_prob(action, mean, log_std, self.masks[task])
                got = envs.step(action.numpy())
                lost = ~np.isfinite(got["last"]).all(axis=1)  # the rows of a worker that died
                last = np.where(lost[:, None], seen, got["last"])  # what came next is another episode
                after = self.policy(self.scales[task].scaled(last), task)[2]
            done = got["terminated"] | got["truncated"]
            running += got["reward"]
            returns += running[done & ~lost].tolist()
            running[done] = 0.0
            scale.see(got["reward"], done)
            reward = torch.from_numpy(scale.scaled(got["reward"].astype(np.float32)))
            terminal = got["terminated"] if s.use_proper_time_limits else done
            flags = [torch.from_numpy(flag.astype(np.float32)) for flag in (done, terminal)]
            rows.append((states, action, log_pi, value, reward, after, *flags, torch.from_numpy(lost)))
            seen = got["obs"]
            self.result.steps += s.num_processes
        return ppo.Rollout(*(torch.stack(column) for column in zip(*rows, strict=True))), seen, returns

    def _evaluate(self, task: int, number: int) -> None:
        """Measure the mean policy on every environment seen so far; prints a line."""
        s, r = self.settings, self.result
        self.policy.eval()
        means, before = [], sum(examiner.restarts for examiner in self.examiners)
        for t in range(task + 1):
            if len(self.examiners) == t:
                first = s.seed + 50_000 + 1000 * t
                seeds = [first + i for i in range(s.eval_episodes)]
                self.examiners.append(Examiner(self.env_ids[t], seeds, self.n_workers))

            def act(seen: Any, t: int = t) -> Any:
                with torch.no_grad():
                    return self.policy(self.scales[t].scaled(seen), t)[0].numpy()

            returns, _ = self.examiners[t].returns(act)
            means.append(float(returns.mean()))
            r.curves[task][t].append(means[-1])
            r.largest[task][t].append(float(returns.max()))
            r.smallest[task][t].append(float(returns.min()))
        r.restarts += sum(examiner.restarts for examiner in self.examiners) - before
        print(
            f"{self.env_ids[task]} update {number + 1}/{s.updates} "
            f"rewards [{', '.join(f'{m:.1f}' for m in means)}]",
            flush=True,
        )

    def _close(self, task: int, rollout: ppo.Rollout) -> None:
        """After a task: remember what the approach remembers."""
        if isinstance(self.penalty, EWC):
            flat = rollout.states.flatten(0, 1)
            chosen = torch.randperm(len(flat), generator=self.rng)[: self.settings.fisher_samples]
            self.penalty.close(
                self.policy, fisher(self.policy, flat[chosen], task, self.masks[task], self.rng)
            )
        elif isinstance(self.penalty, UCL):
            self.penalty.close(self.policy)

    def _state(self) -> dict[str, Any]:
        r = self.result
        return {
            "policy": {n: p.detach().numpy() for n, p in self.policy.named_parameters()},
            "rng": self.rng.get_state().numpy(), "scales": [scale.state() for scale in self.scales],
            "terms": terms_state(self.penalty), "curves": r.curves, "largest": r.largest,
            "smallest": r.smallest,
            "train": r.train, "steps": r.steps, "restarts": r.restarts, "seconds": r.seconds,
        }  # fmt: skip

    def _resume(self) -> float:
        saved = self.checkpoint.load_state("ppo") if self.checkpoint is not None else None
        if saved is None:
            return 0.0
        with torch.no_grad():
            for name, p in self.policy.named_parameters():
                p.copy_(torch.from_numpy(saved["policy"][name]))
        self.rng.set_state(torch.from_numpy(saved["rng"]))
        for scale, (count, mean, squares) in zip(self.scales, saved["scales"], strict=True):
            scale.count, scale.mean, scale.squares = count, mean, squares
        load_terms(self.penalty, saved["terms"])
        r = self.result
        r.curves, r.largest, r.smallest, r.train = (
            saved[n] for n in ("curves", "largest", "smallest", "train")
        )
        r.steps, r.restarts = int(saved["steps"]), int(saved.get("restarts", 0))  # older ones count none
        return float(saved["seconds"])
