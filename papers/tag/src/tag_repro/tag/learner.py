"""The learner that a command line asks for: network, optimizer, and a method around them.

Here the settings end: each argument comes from the field of its name.
"""

from functools import partial
from typing import Any

import torch
from torch import nn

from clrepro.adapters import torch as adapter
from clrepro.seeding import Seeds
from clrepro.settings import keywords
from tag_repro.learning_rate import rate_of_task
from tag_repro.networks.make import make_network
from tag_repro.optim import TAG
from tag_repro.tag.methods import METHODS
from tag_repro.tag.settings import TagSettings
from tag_repro.task_stream import TaskStream


def make_learner(settings: TagSettings, task_stream: TaskStream, seeds: Seeds) -> Any:
    """Returns the learner, fresh: a `clrepro.learner.Learner` on tensors (see `methods.naive.Naive`).

    Args: seeds — streams "init", "dropout" and "memory".
    """
    device = adapter.pick_device(settings.device)
    dropout = torch.Generator(device).manual_seed(seeds.integer("dropout"))
    network = make_network(task_stream, seeds, dropout, **keywords(make_network, settings))
    optimizer = make_optimizer(settings.method.optimizer, network, **keywords(make_optimizer, settings))
    kind, rate = METHODS[settings.method.wrapper], None
    if settings.opt == "":  # gamma is for plain SGD alone
        rate = partial(rate_of_task, **keywords(rate_of_task, settings))
    return kind(
        network, optimizer, task_stream, seeds.generator("memory"), dropout_rng=dropout, rate=rate,
        restart=settings.compat == "original", **keywords(kind, settings),
    )  # fmt: skip


def make_optimizer(
    kind: str, network: nn.Module, *, lr: float, tag_opt: str = "adam", b: float = 5.0
) -> torch.optim.Optimizer:
    """Returns an optimizer for the whole stream: "sgd", "rms", "adagrad", "adam" or "tag"."""
    parameters = list(network.named_parameters())
    if kind == "tag":
        return TAG(parameters, lr, tag_opt, b)
    plain = [p for _, p in parameters]
    together = plain[0].device.type == "cpu" or None  # None: torch's own choice
    if kind == "rms":
        return torch.optim.RMSprop(plain, lr, foreach=together)
    if kind == "adagrad":
        return torch.optim.Adagrad(plain, lr, fused=together)
    if kind == "adam":
        return torch.optim.Adam(plain, lr, fused=together)
    return torch.optim.SGD(plain, lr)
