"""Command line of Stable SGD; see README.md.  The program is tag_repro.stable_sgd.cli."""

try:
    from tag_repro.stable_sgd.cli import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error}; run 'pip install -e .[tag]' in the repository, or 'nox -s env-tag'"
    ) from None

if __name__ == "__main__":
    raise SystemExit(main())
