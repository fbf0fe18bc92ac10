"""Framework specifics, one file per framework; each imports its framework inside its functions."""
