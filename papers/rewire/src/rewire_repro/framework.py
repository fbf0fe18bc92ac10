"""What all methods share on their way through the tasks: training, evaluation, accounts, checkpoints."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from clrepro.progress import Course
from rewire_repro.agents import Shape, make_agent
from rewire_repro.evaluation import Rollout, batches, rollouts
from rewire_repro.networks import Actor, TwinCritics
from rewire_repro.rng import Rngs
from rewire_repro.scenarios import Scenario, Task, VectorEnv
from rewire_repro.settings import Settings
from rewire_repro.train import Training

Log = Callable[[str, float, int], None]  # name, value, step
LOG_EVERY = 100  # epochs
IN_TRAINING = 0.95  # of a task's time, for the progress bar: the rest is choice and evaluation


class Framework:
    """Trains a policy and its critic task by task, and evaluates them on all tasks after each.

    `interactions` counts environment steps by purpose; `save` is called whenever a checkpoint may be made.
    """

    def __init__(self, settings: Settings, scenario: Scenario, device: torch.device) -> None:
        self.settings, self.scenario, self.device = settings, scenario, device
        self.rngs = Rngs(settings.seed, device)
        shape = Shape(scenario.n_in, scenario.n_actions, len(scenario.sequence))
        self.agent = make_agent(
            settings.policy_class, settings.policy, shape, self.rngs, settings.paper_faithful
        )
        self.critic = self._fresh_critic()
        self.stage = 0  # tasks finished
        self.training: Training | None = None
        self.before = float("nan")  # rewire: return before the task
        self.interactions = dict.fromkeys(("train", "eval", "control", "selection"), 0)
        self.wall = dict.fromkeys(("train_s", "eval_s"), 0.0)
        self.curves: list[dict[str, Any]] = []

    def _fresh_critic(self) -> TwinCritics:
        values, n_in = self.settings.critic, self.scenario.n_in + self.scenario.n_actions
        width = self.agent.context_width
        return TwinCritics(n_in + width, values.hidden_size, self.rngs.generator("init"), values.layer_norm)

    def get_stage(self) -> int:
        """Returns how many tasks are finished."""
        return self.stage

    def done(self, tasks: list[Task]) -> float:
        """Returns how many of `tasks` are done, with the part of one that a checkpoint has brought."""
        if self._pending is None:
            return self.stage
        return self._reached(int(self._pending["counts"][0]), self.n_steps(tasks[self.stage]))

    def _reached(self, interactions: int, n_steps: int) -> float:
        return self.stage + IN_TRAINING * min(interactions / n_steps, 1.0)

    def memory_size(self) -> dict[str, int]:
        """Returns the policy's parameter counts."""
        return self.agent.numel()

    def get_evaluation_agent(self, task_id: int) -> Actor:
        """Returns the deterministic policy of a task."""
        return self.agent.actor(task_id)

    # --- Training ----------------------------------------------------------------------------------------

    def train(
        self, task: Task, log: Log, save: Callable[["Framework"], None], course: Course | None = None
    ) -> dict[str, float]:
        """Train on a task to its end, from its start or from a checkpoint inside it; returns what to
        report.
        """
        started = time.perf_counter()
        env = task.make()
        if self.training is None:
            self.begin(task, env)
        resumed, self._pending = self._pending, None
        self.training = self._new_training(task, env)
        if resumed is None:
            self.training.start(self.rngs.seeds.integer(f"env/train/{task.task_id}"))
        else:
            self.training.load(resumed)
        self._save, self._last_save = save, time.monotonic()
        whole, env.horizon = env.horizon, self.settings.scenario.train_horizon or env.horizon
        try:
            self.training.run(self._watcher(task, log, course))
        finally:
            env.horizon = whole
        self.training.sac.release()
        self.finish(task, env, self.training)
        self.interactions["train"] += self.training.interactions
        self.curves.append(self.training.curve())
        report = {
            "n_epochs": float(self.training.epochs),
            "n_interactions": float(self.training.interactions),
        }
        self.training = None
        self.stage += 1
        self.wall["train_s"] += time.perf_counter() - started
        return {**report, "training_time": time.perf_counter() - started, **self.agent.facts()}

    _pending: dict[str, Any] | None = None
    _save: Callable[["Framework"], None]
    _last_save: float

    def save_if_due(self) -> None:
        """Make a checkpoint if `checkpoint_minutes` have passed since the last one."""
        if time.monotonic() - self._last_save >= 60 * self.settings.checkpoint_minutes:
            self._save(self)
            self._last_save = time.monotonic()

    def begin(self, task: Task, env: VectorEnv) -> None:
        """What a method does before SAC."""
        self.agent.set_task(None)
        if self.settings.reset_critic and self.stage and not self.settings.paper_faithful:
            self.critic = self._fresh_critic()

    def finish(self, task: Task, env: VectorEnv, training: Training) -> None:
        """What a method does after SAC."""
        self.agent.set_task(-1)

    def n_steps(self, task: Task) -> int:
        """Returns the environment steps that SAC gets of the task's."""
        assert task.n_interactions is not None, f"{task.name} is a test task"
        return task.n_interactions

    def _new_training(self, task: Task, env: VectorEnv) -> Training:
        settings = self.settings
        faithful_pairs = settings.paper_faithful and settings.scenario.domain == "continual_world"
        return Training(
            *(self.agent, self.critic, env, settings.sac, self.rngs),
            n_steps=self.n_steps(task),
            start_steps=settings.scenario.start_steps,
            faithful=settings.paper_faithful,
            faithful_pairs=faithful_pairs,
        )

    def _watcher(self, task: Task, log: Log, course: Course | None) -> Callable[[Training], None]:
        """Logs, control rollouts, checkpoints and progress between epochs."""
        prefix, values = f"stage_{self.stage}/SAC/", self.settings.sac
        best = -np.inf

        def watch(training: Training) -> None:
            nonlocal best
            if training.epochs % LOG_EVERY == 0:
                for name, value in training.report().items():
                    log(prefix + name, value, training.interactions)
                if course is not None:
                    course.at(self._reached(training.interactions, training.n_steps))
            if values.n_control_rollouts and training.epochs % values.control_every_n_epochs == 0:
                done = self.deterministic(task, self.agent.actor(), values.n_control_rollouts, "control")
                best = max(best, float(done.returns.mean()))
                for name, value in _validation(done, best).items():
                    log(prefix + name, value, training.interactions)
            self.save_if_due()

        return watch

    def deterministic(
        self,
        task: Task,
        actor: Actor,
        n: int,
        purpose: str,
        name: str = "",
        max_steps: int | None = None,
    ) -> Rollout:
        """Returns `n` rollouts of every environment, in environments of their own; `purpose` is charged.

        Args: name — of the starts, where `purpose` has several; max_steps — cut episodes after so many.
        """
        env = task.make()
        seeds = [self.rngs.seeds.integer(f"env/{purpose}{name}/{task.task_id}/{i}") for i in range(n)]
        done = rollouts(env, actor, seeds, n * env.n_envs, max_steps)
        self.interactions[purpose] += done.steps
        return done

    # --- Evaluation --------------------------------------------------------------------------------------

    def due(self, tasks: list[Task]) -> list[Task]:
        """Returns which of all `tasks` are to be evaluated now, by `evaluation.stages`."""
        if self.settings.evaluation.stages == "all" or self.stage == len(tasks):
            return tasks
        return [tasks[self.stage - 1]]

    def evaluate(self, tasks: list[Task]) -> dict[int, dict[str, float]]:
        """Returns per task (seen or not) mean return, success at any step and at the last, of first episodes.

        The episodes' starts depend on the seed and the task only, so that stages can be compared.
        """
        started, values = time.perf_counter(), self.settings.evaluation
        out = {}
        for task in tasks:
            env = task.make()
            n = values.n_rollouts * values.n_evaluation_envs
            names = [f"env/eval/{task.task_id}/{i}" for i in range(batches(n, env.n_envs))]
            seeds = [self.rngs.seeds.integer(f"{name}/{values.seed}") for name in names]
            done = rollouts(env, self.get_evaluation_agent(task.task_id), seeds, n)
            self.interactions["eval"] += done.steps
            out[task.task_id] = {
                "avg_reward": float(done.returns.mean()),
                "success_rate": float(done.success_any.mean()),
                "final_success_rate": float(done.success_final.mean()),
            }
        self.wall["eval_s"] += time.perf_counter() - started
        return out

    # --- Checkpoints -------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Returns everything, also in the middle of a task."""
        return {
            "agent": self.agent.state(),
            "critic": self.critic.state(),
            "critic_width": self.critic.weights[0].shape[1],
            "rngs": self.rngs.state(),
            "stage": self.stage,
            "before": self.before,
            "training": None if self.training is None else self.training.state(),
            "interactions": dict(self.interactions),
            "wall": dict(self.wall),
            "curves": self.curves,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.agent.load(state["agent"])
        values, width = self.settings.critic, int(state["critic_width"])
        self.critic = TwinCritics(width, values.hidden_size, self.rngs.generator("init"), values.layer_norm)
        self.critic.load(state["critic"])
        self.rngs.load(state["rngs"])  # last: making a critic draws
        self.stage, self.before = int(state["stage"]), float(state["before"])
        self.interactions = {name: int(n) for name, n in state["interactions"].items()}
        self.wall = {name: float(s) for name, s in state["wall"].items()}
        self.curves = list(state["curves"])
        self._pending = state["training"]
        if self._pending is not None:
            self.training = _IN_THE_MIDDLE


_IN_THE_MIDDLE: Any = object()  # a task was begun before the checkpoint: do not begin it again


def _validation(done: Rollout, best: float) -> dict[str, float]:
    """The original's names for a control rollout."""
    out = {
        "reward": float(done.returns.mean()),
        "best_reward": best,
        "success_rate": float(done.success_any.mean()),
    }
    if not np.isnan(done.distance).all():
        out["goalDist"] = float(np.nanmean(done.distance))
    return {f"validation/{name}": value for name, value in out.items()}
