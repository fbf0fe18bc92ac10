"""Command line of the TA-A-GEM experiments; see README.md.  The program is ta_agem_repro.cli."""

try:
    from ta_agem_repro.cli import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error}; run 'pip install -e .[ta-agem]' in the repository, or 'nox -s env-ta_agem'"
    ) from None

if __name__ == "__main__":
    raise SystemExit(main())
