"""Compare MLflow experiments; the program is ta_agem_repro.analysis.mlflow_analysis."""

from ta_agem_repro.analysis.mlflow_analysis import main

if __name__ == "__main__":
    raise SystemExit(main())
