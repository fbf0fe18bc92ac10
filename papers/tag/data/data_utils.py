"""Reading the images of a data set; see tag_repro.task_stream."""

from tag_repro.image_streams import as_colour as as_colour
from tag_repro.task_stream import load_split as load_split
