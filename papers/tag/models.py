"""The networks; see tag_repro.networks.models."""

from tag_repro.networks.models import MLP as MLP
from tag_repro.networks.models import AlexNet as AlexNet
from tag_repro.networks.models import LeNet as LeNet
from tag_repro.networks.models import ResNetS as ResNetS
from tag_repro.networks.resnet18 import ResNet18 as ResNet18
