"""The networks; see tag_repro.models."""

from tag_repro.models import MLP as MLP
from tag_repro.models import AlexNet as AlexNet
from tag_repro.models import LeNet as LeNet
from tag_repro.models import ResNetS as ResNetS
from tag_repro.resnet18 import ResNet18 as ResNet18
