"""Which network learns which stream of tasks."""

from pathlib import Path

import torch
from torch import nn

from clrepro.adapters import torch as adapter
from clrepro.seeding import Seeds
from tag_repro.networks.models import MLP, AlexNet, Dropout, ResNetS
from tag_repro.networks.resnet18 import ResNet18, load_pretrained
from tag_repro.task_stream import TaskStream


def make_network(
    task_stream: TaskStream,
    seeds: Seeds,
    generator: torch.Generator,
    *,
    images: str,
    hiddens: int,
    dropout: float,
    engine: str = "auto",
    pretrained: str = "",
) -> nn.Module:
    """Returns the network for a stream: an MLP; AlexNet for CIFAR-100 in ten tasks; ResNet-18 for birds; else
    the reduced ResNet-18.

    Args: seeds — stream "init"; generator — of its dropout, on the network's device; images — what the tasks
        are made of; hiddens — units of both hidden layers of the MLP; engine — see `resnet_s`; pretrained —
        file of weights for ResNet-18.
    Raises: DataError if that file does not fit.
    """
    outputs, drop = task_stream.n_outputs, Dropout(dropout, generator)
    with adapter.drawing_from(seeds.integer("init")):
        if task_stream.shape is None:
            network: nn.Module = MLP(task_stream.stream.n_inputs, hiddens, outputs, drop)
        elif images == "cifar100" and len(task_stream.stream) == 10:
            network = AlexNet(outputs, generator)
        elif images == "cub":
            network = ResNet18(outputs)
            if pretrained:
                load_pretrained(network, Path(pretrained))
        else:
            network = resnet_s(outputs, drop, task_stream.shape[-1], engine)
    return network.to(generator.device)


def resnet_s(outputs: int, dropout: Dropout, side: int, engine: str) -> ResNetS:
    """Returns the reduced ResNet-18 in torch's own layers for the engine "reference" and on a GPU, else
    fused.
    """
    network = ResNetS(outputs, dropout, side)
    network.fused = engine != "reference" and dropout.generator.device.type == "cpu"
    return network
