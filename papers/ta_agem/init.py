"""Another entry point of the data sets of load_dataset.py."""

from ta_agem_repro.loader import load_dataset as load_dataset
