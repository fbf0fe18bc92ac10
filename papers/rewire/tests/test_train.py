"""Whole runs on the point mass: every method to its end, resumed in mid-task, stopped when it diverges."""

import json

import numpy as np
import pytest
import torch

from clrepro.errors import DataError, UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from rewire_repro import checkpoint, config, experiment, frameworks
from rewire_repro.scenarios.toy import PointMass

CPU = torch.device("cpu")
TINY = (
    "scenario=toy/forgetting", "profile=quick", "logger=jsonl", "device=cpu", "scenario.n_steps=600",
    "scenario.tasks=[plain,far_target,plain]", "framework.params.policy_agent.hidden_size=8",
    "framework.params.critic_agent.hidden_size=8", "framework.params.algorithm.params.batch_size=16",
)  # fmt: skip
EXTRA = {
    "packnet": ("framework.params.algorithm2.params.iterations=5",),
    "csp": (
        "framework.params.alpha_search.params.n_samples=8",
        "framework.params.alpha_search.params.n_rollouts=2",
    ),
    "rewire": ("framework.params.policy_agent.cycle=2",),
}


def start(method, folder, *more):
    node = config.compose(method, [*TINY, *EXTRA.get(method, ()), *more])
    return experiment.run(config.settings(node), node, RunDir(folder), RunDir(folder))


@pytest.mark.parametrize("method", config.METHODS)
def test_every_method_resumed_in_the_middle_of_a_task_equals_the_straight_run(method, tmp_path, monkeypatch):
    straight = start(method, tmp_path / "straight")
    matrix = np.asarray(straight.series["R"])
    assert matrix.shape == (3, 3)
    if method in ("sac_n", "ft_n", "pnn", "packnet"):
        assert continual.forgetting_over_all(matrix) == 0

    class Stop(BaseException):
        pass

    stages = []

    def save_then_stop(folder, framework, results, mark):
        real(folder, framework, results, mark)
        stages.append((framework.stage, framework.training is not None and framework.training.epochs))
        if framework.stage == 1 and framework.training is not None and framework.training.epochs >= 5:
            raise Stop

    real = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", save_then_stop)
    with pytest.raises(Stop):
        start(method, tmp_path / "broken", "checkpoint_minutes=0")
    assert stages[-1] == (1, 5)
    monkeypatch.setattr(checkpoint, "save", real)
    resumed = start(method, tmp_path / "broken", "checkpoint_minutes=0")
    assert resumed.series == straight.series
    assert resumed.metrics == straight.metrics
    assert resumed.data == straight.data


@pytest.mark.parametrize("at", [2, 5])
def test_packnet_resumed_inside_its_fine_tuning_equals_the_straight_run(at, tmp_path, monkeypatch):
    straight = start("packnet", tmp_path / "straight")
    monkeypatch.setattr("rewire_repro.finetuning.LOOK_EVERY", 1)

    class Stop(BaseException):
        pass

    def save_then_stop(folder, framework, results, mark):
        real(folder, framework, results, mark)
        if framework.stage == 1 and framework.tuning is not None and framework.tuning.done == at:
            raise Stop

    real = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", save_then_stop)
    with pytest.raises(Stop):
        start("packnet", tmp_path / "broken", "checkpoint_minutes=0")
    monkeypatch.setattr(checkpoint, "save", real)
    resumed = start("packnet", tmp_path / "broken", "checkpoint_minutes=0")
    assert (resumed.series, resumed.metrics) == (straight.series, straight.metrics)
    assert resumed.data == straight.data


def test_a_fine_tuning_that_diverges_stops_too(tmp_path):
    with pytest.raises(FloatingPointError, match=r"task 0 .*update 5 of the fine-tuning: .*diverged"):
        start("packnet", tmp_path, "framework.params.algorithm2.params.lr_q=1e30")
    assert (tmp_path / "diverged.state").exists()


def test_csps_oracle_is_the_best_of_many_combinations_and_changes_nothing_else(tmp_path):
    plain = start("csp", tmp_path / "plain")
    asked = start("csp", tmp_path / "oracle", "framework.params.policy_agent.oracle_rollouts=3")
    assert asked.series["R"] == plain.series["R"]
    assert "oracle" not in plain.series
    assert np.asarray(asked.series["oracle"]).shape == (3, 3)
    extra = asked.data["interactions"]["eval"] - plain.data["interactions"]["eval"]
    assert extra == 3 * 9 * 32 * 40
    one_anchor = asked.data["facts"][0]["n_anchors"] == 1
    best, own = np.asarray(asked.series["oracle"])[0], np.asarray(asked.series["R"])[0]
    assert one_anchor
    assert np.allclose(best, own, rtol=0.5)  # the same policy from other starts
    assert json.loads((tmp_path / "oracle" / "results.json").read_text())["oracle"] == asked.series["oracle"]
    assert "evaluation/2_oracle_reward" in (tmp_path / "oracle" / "metrics.jsonl").read_text()


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path):
    runs = [start("ft_1", tmp_path / str(i), f"seed={seed}").series["R"] for i, seed in enumerate((3, 3, 4))]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("method", ["rewire", "csp", "sac_n"])
def test_going_on_from_the_originals_files(method, tmp_path, monkeypatch):
    straight = start(method, tmp_path / "whole", "framework.params.checkpoint=True")
    broken = tmp_path / "whole"
    for path in (*broken.glob("*_2.dat"), *broken.glob("train.state*")):
        path.unlink()
    resumed = start(method, tmp_path / "more", f"framework.params.path={broken}")
    assert resumed.series["R"] == straight.series["R"]
    for name in ("policy", "critic"):
        content = torch.load(broken / f"{name}_0.dat", weights_only=True)
        assert content["meta"]["method"] == method
    assert (broken / "info_0.dat").exists() == (method != "sac_n")
    (broken / "policy_1.dat").write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match=r"policy_1.dat: not a checkpoint"):
        start(method, tmp_path / "third", f"framework.params.path={broken}")


def test_mistakes_about_the_folder_to_go_on_from(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        start("ft_1", tmp_path / "a", f"framework.params.path={tmp_path}/none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"neither train.state nor policy_\*.dat"):
        start("ft_1", tmp_path / "a", f"framework.params.path={tmp_path}/empty")
    start("ft_1", tmp_path / "b")
    with pytest.raises(DataError, match="of other settings"):
        start("ft_1", tmp_path / "b", "seed=9")


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("[far_target,plain]", r"task 0 \(far_target\) of ft_1: step .*reward is no number; .*diverged"),
        (
            "[plain,far_target]",
            r"task 0 \(plain\) of ft_1: the return of an evaluation is no number; .*diverged",
        ),
    ],
)
def test_a_reward_that_is_no_number_stops_with_a_checkpoint_and_one_line(tasks, said, tmp_path, monkeypatch):
    def broken(self, action):
        step = real(self, action)
        if self.law.goal != (0.0, 0.0):
            step.reward[0] = float("nan")
        return step

    real = PointMass.step
    monkeypatch.setattr(PointMass, "step", broken)
    with pytest.raises(FloatingPointError, match=said):
        start("ft_1", tmp_path, f"scenario.tasks={tasks}")
    assert (tmp_path / "diverged.state").exists()


def test_a_critic_that_diverges_stops_too(tmp_path, monkeypatch):
    monkeypatch.setattr("rewire_repro.train.CHECK_EVERY", 1)
    with pytest.raises(FloatingPointError, match=r"task 0 .*critic has diverged"):
        start("ft_1", tmp_path, "framework.params.algorithm.params.lr_q=1e30")


def test_results_hold_what_the_contract_asks_for(tmp_path):
    outcome = start("rewire", tmp_path)
    body = json.loads((tmp_path / "results.json").read_text())
    assert body["tasks"] == ["plain", "far_target", "plain"]
    assert body["R"] == outcome.series["R"]
    assert set(body["interactions"]) == {"train", "eval", "control", "selection"}
    assert (
        body["interactions"]["selection"] == 2 * 4 * 32 * 40
    )  # two tasks, before and three modes, 32 × 40 steps
    assert body["interactions"]["eval"] == 9 * 32 * 40
    assert body["facts"][-1]["n_slots"] == 2
    assert [len(one) for one in outcome.series["rewards"]] == [19] * 3  # 19 steps of 32 rows
    assert [one[-1] for one in outcome.series["reward_steps"]] == [608] * 3
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    points = {(line["name"], line["step"]) for line in lines}
    assert {("evaluation/0_avg_reward", stage) for stage in range(3)} <= points
    assert json.loads((tmp_path / "params.json").read_text())["name"] == "rewire"


def test_stages_needed_leaves_out_what_no_number_is_made_of(tmp_path):
    everything = start("ft_1", tmp_path / "all")
    needed = start("ft_1", tmp_path / "needed", "framework.params.evaluation.stages=needed")
    whole, part = (np.asarray(one.series["R"], np.float64) for one in (everything, needed))
    kept = np.array([[True, False, False], [False, True, False], [True, True, True]])
    assert np.array_equal(~np.isnan(part), kept)
    assert np.array_equal(part[kept], whole[kept])
    assert needed.metrics == everything.metrics
    assert needed.data["interactions"]["eval"] == 5 * 32 * 40
    lines = [json.loads(line) for line in (tmp_path / "needed" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["name"] == "evaluation/aggregate_avg_reward"] == [2]


@pytest.mark.parametrize("method", ["ft_1", "rewire"])
def test_training_cuts_its_episodes_and_evaluation_plays_whole_ones(method, tmp_path):
    outcome = start(method, tmp_path, "+scenario.train_horizon=5")
    assert [len(one) for one in outcome.series["curve_steps"]] == [3] * 3  # 19 steps of 32 rows, cut at 5
    assert outcome.data["interactions"]["eval"] == 9 * 32 * 40
    assert outcome.data["interactions"]["selection"] == (2 * 4 * 32 * 40 if method == "rewire" else 0)


def test_rewire_chooses_by_rollouts_as_long_as_asked(tmp_path):
    outcome = start("rewire", tmp_path, "framework.params.selection_steps=7")
    assert outcome.data["interactions"]["selection"] == 2 * 4 * 32 * 7


@pytest.mark.parametrize(
    ("new", "old", "yes"), [(12, 10, True), (10.5, 10, False), (-10.5, -10, False), (-8, -10, True)]
)
def test_csp_decides_alike_for_negative_returns(new, old, yes):
    from rewire_repro.alpha_search import improves

    assert improves(new, old, 0.1) is yes
    assert improves(-10.5, -10, 0.1, faithful=True)  # the original keeps an anchor that is worse


def test_rewire_undoes_a_task_that_made_things_worse(tmp_path, composed):
    one = composed("rewire", *TINY, "framework.params.improvement_threshold=1000.0")
    from rewire_repro.scenarios import make_scenario

    scenario = make_scenario(one, CPU)
    framework = frameworks.make_framework(one, scenario, CPU)
    tasks, obs = scenario.train_tasks(), torch.randn(5, 4)
    framework.train(tasks[0], lambda *line: None, lambda state: None)
    before = framework.agent.actor(0)(obs)
    framework.train(tasks[1], lambda *line: None, lambda state: None)
    assert torch.equal(framework.agent.actor(0)(obs), before)


def test_the_original_keeps_its_critic_and_ours_starts_sac_n_afresh(composed):
    from rewire_repro.scenarios import make_scenario

    for extra, same in (("paper_faithful=False", False), ("paper_faithful=True", True)):
        one = composed("sac_n", *TINY, extra)
        scenario = make_scenario(one, CPU)
        framework = frameworks.make_framework(one, scenario, CPU)
        framework.begin(scenario.train_tasks()[0], None)
        critic, framework.stage = framework.critic, 1
        framework.begin(scenario.train_tasks()[1], None)
        assert (framework.critic is critic) is same
