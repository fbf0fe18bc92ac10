"""Loaders of the data sets, and the download; the program is ta_agem_repro.loader."""

from ta_agem_repro.loader import DatasetLoader as DatasetLoader
from ta_agem_repro.loader import load_dataset as load_dataset
from ta_agem_repro.loader import main

if __name__ == "__main__":
    raise SystemExit(main())
