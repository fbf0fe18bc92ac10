"""The tasks; see tag_repro.tensorflow.streams."""

from tag_repro.tensorflow.streams import benchmark as benchmark
from tag_repro.tensorflow.streams import mean_image as mean_image
