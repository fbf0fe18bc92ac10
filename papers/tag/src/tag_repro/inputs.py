"""Pixels to the numbers that a network gets."""

import torch
from torch import Tensor

from tag_repro.task_stream import TaskStream

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red, green, blue
CUB_MEAN = (103.94, 116.78, 123.68)  # blue, green, red


def scaled(x: Tensor, task_stream: TaskStream) -> Tensor:
    """Returns float32 (n, inputs) or (n, 3, side, side) of uint8 images (n, inputs).

    "unit": to 0..1; "symmetric": to -1..1; "imagenet": less ImageNet's mean, by its deviation;
    "cub-original": as TAG's published code, blue first, less the means, times two less one, never divided.
    """
    values = x.float()
    if task_stream.shape is not None:
        values = values.reshape(-1, *task_stream.shape)
    if task_stream.scale == "cub-original":
        return 2 * (values.flip(1) - _channels(CUB_MEAN, values) - 0.5)
    values = values / 255
    if task_stream.scale == "symmetric":
        return 2 * (values - 0.5)
    if task_stream.scale == "imagenet":
        return (values - _channels(MEAN, values)) / _channels(DEVIATION, values)
    return values


def _channels(numbers: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(numbers, device=like.device).reshape(3, 1, 1)
