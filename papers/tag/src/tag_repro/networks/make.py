"""Which network learns which stream of tasks."""

from pathlib import Path

import torch
from torch import nn

from clrepro.adapters import torch as adapter
from clrepro.seeding import Seeds
from tag_repro.networks.models import MLP, AlexNet, Dropout, ResNetS
from tag_repro.networks.resnet18 import ResNet18, load_pretrained
from tag_repro.settings import Common, TagSettings
from tag_repro.task_stream import TaskStream


def make_network(
    settings: TagSettings, task_stream: TaskStream, seeds: Seeds, generator: torch.Generator
) -> nn.Module:
    """Returns the network on the settings' device: an MLP; AlexNet for CIFAR-100 in ten tasks; ResNet-18 for
    birds; else the reduced ResNet-18.

    Args: seeds — stream "init"; generator — of its dropout, on the device.
    Raises: DataError if --pretrained names a file that does not fit.
    """
    with adapter.drawing_from(seeds.integer("init")):
        network = _build(settings, task_stream, generator)
    return network.to(generator.device)


def _build(settings: TagSettings, task_stream: TaskStream, generator: torch.Generator) -> nn.Module:
    outputs, dropout = task_stream.n_outputs, Dropout(settings.dropout, generator)
    if task_stream.shape is None:
        return MLP(task_stream.stream.n_inputs, settings.hiddens, outputs, dropout)
    if settings.images == "cifar100" and settings.tasks == 10:
        return AlexNet(outputs, generator)
    if settings.images == "cub":
        network = ResNet18(outputs)
        if settings.pretrained:
            load_pretrained(network, Path(settings.pretrained))
        return network
    return resnet_s(settings, outputs, dropout, task_stream.shape[-1])


def resnet_s(settings: Common, outputs: int, dropout: Dropout, side: int) -> ResNetS:
    """Returns the reduced ResNet-18, fused on a CPU unless the settings ask for torch's own layers."""
    network = ResNetS(outputs, dropout, side)
    network.fused = settings.engine != "reference" and settings.device == "cpu"
    return network
