"""The baselines' command line on CIFAR-100 in 20 tasks; see README.md.  Program: tag_repro.tensorflow.cli."""

try:
    from tag_repro.tensorflow.cli import conv_split_cifar
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error}; run 'pip install -e .[tag-tf]' in the repository") from None

if __name__ == "__main__":
    raise SystemExit(conv_split_cifar())
