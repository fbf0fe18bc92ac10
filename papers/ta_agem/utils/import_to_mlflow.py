"""Import result files into MLflow; the program is ta_agem_repro.analysis.importer."""

from ta_agem_repro.analysis.importer import main

if __name__ == "__main__":
    raise SystemExit(main())
