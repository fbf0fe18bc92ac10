"""The commands of `cl-repro`, one module each with one function `run(...)` that returns the exit code."""
