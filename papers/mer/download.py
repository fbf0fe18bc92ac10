"""Fetches MNIST and makes all task files; see README.md.  The program is mer_repro.get_data."""

try:
    from mer_repro.get_data import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error}; run 'pip install -e .[mer]' in the repository, or 'nox -s env-mer'"
    ) from None

if __name__ == "__main__":
    raise SystemExit(main(["all", "--source", "download"]))
