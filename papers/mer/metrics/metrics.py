"""RA, LA, BTI and FWT of an accuracy matrix.  The program is clrepro.metrics.continual."""

from clrepro.metrics.continual import average_accuracy as average_accuracy
from clrepro.metrics.continual import backward_transfer_over_all as backward_transfer_over_all
from clrepro.metrics.continual import forward_transfer_over_all as forward_transfer_over_all
from clrepro.metrics.continual import learning_accuracy as learning_accuracy
