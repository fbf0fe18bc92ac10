"""The tasks; see tag_repro.tf.streams."""

from tag_repro.tf.streams import benchmark as benchmark
from tag_repro.tf.streams import mean_image as mean_image
