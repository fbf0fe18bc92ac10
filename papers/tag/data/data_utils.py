"""Reading the images of a data set; see tag_repro.benchmarks."""

from tag_repro.benchmarks import load_split as load_split
from tag_repro.image_benchmarks import as_colour as as_colour
