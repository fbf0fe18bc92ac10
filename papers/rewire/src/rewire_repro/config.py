"""The configuration tree `configs/`: composing it, and turning it into Settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from clrepro.checkout import paper_folder
from clrepro.errors import UsageError
from rewire_repro.settings import (
    CriticSettings,
    EvaluationSettings,
    FineTuneSettings,
    SacSettings,
    ScenarioSettings,
    SearchSettings,
    Settings,
    fill,
)

CONFIGS = paper_folder(__file__) / "configs"
METHODS = ("rewire", "ft_1", "sac_n", "ft_n", "ft_l2", "ewc", "pnn", "packnet", "csp")
FRAMEWORKS = ("OneStep", "TwoSteps", "Subspace", "Rewire")
SCENARIO_CLASSES = ("scenarios.Brax", "scenarios.ContinualWorld", "scenarios.Toy")
DEVICES = ("auto", "cpu", "cuda")
STAGES = ("all", "needed")


def scenarios() -> list[str]:
    """Returns the names of all scenarios, e.g. "halfcheetah/forgetting", sorted; toy ones last."""
    found = [path.relative_to(CONFIGS / "scenario") for path in (CONFIGS / "scenario").glob("*/*.yaml")]
    return sorted(
        (str(path.with_suffix("")) for path in found), key=lambda name: (name.startswith("toy"), name)
    )


def register_resolvers() -> None:
    """Make `${pick:KEY,{a:1,other:2}}` known: the table's entry for KEY, or that for `other`."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("pick", lambda key, table: table.get(key, table["other"]), replace=True)


def compose(method: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the composed, resolved configuration of one run as plain dicts.

    Raises: UsageError in one line for an unknown method, scenario, key or value.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    check_names(method, overrides)
    register_resolvers()
    before = GlobalHydra.instance().hydra  # a @hydra.main around us keeps its own
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            node = hydra_compose(method, list(overrides))
            composed: dict[str, Any] = text_keys(OmegaConf.to_container(node, resolve=True))
            return composed
    except (HydraException, OmegaConfBaseException) as problem:
        reason = " ".join(str(problem).split())
        raise UsageError(f"{reason}; the keys are in {CONFIGS}") from None
    finally:
        GlobalHydra.instance().clear()
        if before is not None:
            GlobalHydra.instance().initialize(before)


def check_names(method: str, overrides: Sequence[str]) -> None:
    """Raises: UsageError listing the valid names if the method or the scenario is not one of them."""
    if method not in METHODS:
        raise UsageError(f"-cn={method}: no such method; one of {', '.join(METHODS)}")
    for word in overrides:
        if word.startswith("scenario=") and "," not in word:
            name = word.partition("=")[2]
            if name not in scenarios():
                raise UsageError(f"scenario={name}: no such scenario; one of {', '.join(scenarios())}")


def settings(config: Mapping[str, Any]) -> Settings:
    """Returns the Settings of a composed configuration.  Raises: UsageError naming the key that is wrong."""
    params = dict(config["framework"]["params"])
    scenario = fill(ScenarioSettings, config["scenario"], "scenario")
    _one_of(scenario.classname, SCENARIO_CLASSES, "scenario.classname")
    framework = str(config["framework"]["classname"]).removeprefix("frameworks.")
    _one_of(framework, FRAMEWORKS, "framework.classname")
    _one_of(config["device"], DEVICES, "device")
    policy = dict(params.pop("policy_agent"))
    nodes = {name: params.pop(name, None) for name in ("algorithm", "algorithm2", "alpha_search")}
    critic, evaluation = params.pop("critic_agent"), params.pop("evaluation")
    _one_of(evaluation.get("stages", "all"), STAGES, "framework.params.evaluation.stages")
    critic = {key: value for key, value in critic.items() if key != "classname"}
    top = {
        "method": config["name"],
        **{key: config[key] for key in ("seed", "device", "paper_faithful", "dry_run", "profile")},
        "checkpoint_minutes": config["checkpoint_minutes"],
        "framework": framework,
        "policy_class": str(policy.pop("classname")).removeprefix("agents."),
        **params,
    }
    return Settings(
        **_top(top),
        scenario=scenario,
        sac=fill(SacSettings, nodes["algorithm"]["params"], "framework.params.algorithm.params"),
        policy=policy,
        critic=fill(CriticSettings, critic, "framework.params.critic_agent"),
        evaluation=fill(EvaluationSettings, evaluation, "framework.params.evaluation"),
        search=fill(SearchSettings, nodes["alpha_search"]["params"], "framework.params.alpha_search.params")
        if nodes["alpha_search"]
        else None,
        **_second(nodes["algorithm2"]),
    )


def _top(values: dict[str, Any]) -> dict[str, Any]:
    """The scalar settings, checked by a dataclass of their own names."""
    from dataclasses import fields, make_dataclass

    names = {one.name: one for one in fields(Settings)}
    if unknown := set(values) - set(names):
        raise UsageError(f"framework.params.{min(unknown)}: no such key")
    kind = make_dataclass("Top", [(key, names[key].type) for key in values])
    filled: Any = fill(kind, values, "framework.params")
    if filled.seed < 0:
        raise UsageError(f"seed={values['seed']}: 0 or more")
    return dict(vars(filled))


def _second(node: Mapping[str, Any] | None) -> dict[str, Any]:
    """What algorithm2 adds: PackNet's fine-tuning, EWC's number of samples; L2 adds nothing."""
    if not node:
        return {}
    where, params = "framework.params.algorithm2.params", node.get("params", {})
    if node["classname"] == "algorithms.PruneAndFinetune":
        return {"finetune": fill(FineTuneSettings, params, where)}
    if node["classname"] == "algorithms.EWC":
        if (
            set(params) != {"n_samples"}
            or not isinstance(params["n_samples"], int)
            or params["n_samples"] < 1
        ):
            raise UsageError(f"{where}={params}: n_samples, 1 or more")
        return {"fisher_samples": params["n_samples"]}
    _one_of(node["classname"], ("algorithms.L2",), "framework.params.algorithm2.classname")
    return {}


def _one_of(value: Any, allowed: Sequence[str], where: str) -> None:
    if value not in allowed:
        raise UsageError(f"{where}={value}: one of {', '.join(allowed)}")


def text_keys(value: Any) -> Any:
    """Returns nested containers with text keys only."""
    if isinstance(value, dict):
        return {str(key): text_keys(item) for key, item in value.items()}
    return [text_keys(item) for item in value] if isinstance(value, list) else value
