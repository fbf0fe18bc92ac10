"""The baselines' command line on two MNIST streams; see README.md.  Program: tag_repro.tensorflow.cli."""

try:
    from tag_repro.tensorflow.cli import fc_mnist
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error}; run 'pip install -e .[tag-tf]' in the repository") from None

if __name__ == "__main__":
    raise SystemExit(fc_mnist())
