"""The baselines' command line on two MNIST streams; see README.md.  The program is tag_repro.tf.cli."""

try:
    from tag_repro.tf.cli import fc_mnist
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error}; run 'pip install -e .[tag-tf]' in the repository") from None

if __name__ == "__main__":
    raise SystemExit(fc_mnist())
