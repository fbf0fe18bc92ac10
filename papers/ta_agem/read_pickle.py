"""Prints what a result file holds; see README.md.  The program is ta_agem_repro.analysis.read_pickle."""

try:
    from ta_agem_repro.analysis.read_pickle import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error}; run 'pip install -e .[ta-agem]' in the repository, or 'nox -s env-ta_agem'"
    ) from None

if __name__ == "__main__":
    raise SystemExit(main())
