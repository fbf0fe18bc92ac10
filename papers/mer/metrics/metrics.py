"""RA, LA, BTI and FWT of an accuracy matrix.  The program is clrepro.metrics.continual."""

from clrepro.metrics.continual import mer_backward as mer_backward
from clrepro.metrics.continual import mer_forward as mer_forward
from clrepro.metrics.continual import mer_learning_accuracy as mer_learning_accuracy
from clrepro.metrics.continual import mer_retained_accuracy as mer_retained_accuracy
