"""The tasks; see tag_repro.tensorflow.streams."""

from tag_repro.tensorflow.streams import mean_image as mean_image
from tag_repro.tensorflow.streams import task_stream as task_stream
