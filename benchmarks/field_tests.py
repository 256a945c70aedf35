"""Field tests of 168 real wells, left out in turn: elec2water, class mean, log-linear regression, random forest.

    python benchmarks/field_tests.py [--tests FILE] [--repeats 10]

Writes benchmarks/results/field_tests.json and field_tests.md. The tests are public but have no licence, so they are
not in this repository: they are in github.com/zhangyiningzhang/water-platform, commit 82ac5c5.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import special

from elec2water.coefficient import FitOptions, fit_coefficient
from elec2water.coefficient.predict import forecast_pairs
from elec2water.pairs import measurements
from elec2water.stats import lognormal_interval
from elec2water.strata import classify

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DEFAULT = HERE.parents[1] / "shared" / "data" / "field_tests" / "baicheng.csv"
VARIABLE = "ELEC2WATER_FIELD_TESTS"
SOURCE = "github.com/zhangyiningzhang/water-platform, commit 82ac5c5"
DATE = np.datetime64("2020-07-01", "s")
"""The tests have no dates; one for all serves, as nothing is compared in time."""
CLASSES = 5
FEW = (10, 20, 40)
LEVELS = (0.5, 0.9, 0.95)
REGRESSORS = ("groundwater_depth_m", "pump_power_kw", "pump_head_m", "well_age_yr")

Split: TypeAlias = tuple[pd.DataFrame, pd.DataFrame]
"""Tests to learn from and tests left out."""
Forecast: TypeAlias = Callable[[pd.DataFrame, pd.DataFrame], tuple[np.ndarray, np.ndarray]]
"""From the two parts to the mean of κ of the wells left out and the variance of ln κ, NaN where a method has none."""


def path_of_tests(given: str | Path | None) -> Path:
    """Where the field tests are: as given, or as the environment variable says, or beside the repository."""
    return Path(given or os.environ.get(VARIABLE) or DEFAULT)


def absent(path: Path) -> str:
    """Say where the field tests can be had."""
    return (
        f"{path} is not there: the field tests have no licence and do not come with elec2water. They are in the public "
        f"repository {SOURCE}; name your copy, a row a well with the columns well_id, groundwater_depth_m, "
        f"well_age_yr, pump_power_kw, pump_head_m and coef_m3_per_kwh, in {VARIABLE}."
    )


def read_tests(path: Path) -> pd.DataFrame:
    """Read the tests, a row a well."""
    return pd.read_csv(path, dtype={"well_id": "str"})


def contract_tables(tests: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Field tests as the tables wells, pairs and water_levels; a test is one kWh and the water it lifted."""
    n = len(tests)
    age = (tests["well_age_yr"] * 365.25 * 86400).to_numpy().astype("timedelta64[s]")
    wells = tests[["well_id", "pump_power_kw", "pump_head_m", "groundwater_depth_m"]].assign(
        township="白城",
        aquifer=pd.Series([None] * n, index=tests.index, dtype="str"),
        pump_depth_m=np.nan,
        pump_installed_on=DATE - age,
    )
    pairs = tests[["well_id"]].assign(
        start=DATE, end=DATE, energy_kwh=1.0, volume_m3=tests["coef_m3_per_kwh"], kind="test"
    )
    levels = tests[["well_id"]].assign(date=DATE, depth_m=tests["groundwater_depth_m"])
    return wells, pairs, levels


def model(known: pd.DataFrame, hidden: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """elec2water: the registry has all wells, the pairs only those that were tested."""
    wells, pairs, levels = contract_tables(pd.concat([known, hidden], ignore_index=True))
    options = FitOptions(strata_by=("groundwater_depth_m",), strata_classes=CLASSES)
    coefficient = fit_coefficient(pairs.iloc[: len(known)], wells, levels, options=options)
    asked = measurements(pairs.iloc[len(known) :], wells["well_id"].to_numpy(dtype=object))
    forecast = forecast_pairs(coefficient, asked, wells, levels, None)
    return forecast.mean, forecast.log_variance


def class_mean(known: pd.DataFrame, hidden: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Mean κ of the tested wells of the same class of depth to water: what offices do."""
    both = pd.concat([known, hidden], ignore_index=True)
    label = classify(both, ("groundwater_depth_m",), classes=CLASSES).labels
    mean = known["coef_m3_per_kwh"].groupby(label[: len(known)]).mean()
    fallback = known["coef_m3_per_kwh"].mean()
    return np.array([mean.get(c, fallback) for c in label[len(known) :]]), np.full(len(hidden), np.nan)


def log_linear(known: pd.DataFrame, hidden: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of ln κ on the logarithm of the depth to water, with half the residual variance to come back."""
    return _least_squares(known, hidden, ("groundwater_depth_m",))


def log_linear_all(known: pd.DataFrame, hidden: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Run the same on depth, power, head and age."""
    return _least_squares(known, hidden, REGRESSORS)


def forest(known: pd.DataFrame, hidden: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Random forest on depth, power, head and age."""
    ensemble = importlib.import_module("sklearn.ensemble")
    trees = ensemble.RandomForestRegressor(n_estimators=300, min_samples_leaf=5, random_state=0)
    trees.fit(known[list(REGRESSORS)].to_numpy(), known["coef_m3_per_kwh"].to_numpy())
    return trees.predict(hidden[list(REGRESSORS)].to_numpy()), np.full(len(hidden), np.nan)


METHODS: Mapping[str, Forecast] = {
    "elec2water": model,
    "class mean": class_mean,
    "log-linear, depth": log_linear,
    "log-linear, all": log_linear_all,
    "random forest": forest,
}


def _least_squares(
    known: pd.DataFrame, hidden: pd.DataFrame, columns: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    X, wanted = (np.column_stack([np.ones(len(t)), np.log(t[list(columns)])]) for t in (known, hidden))
    y = np.log(known["coef_m3_per_kwh"].to_numpy())
    slopes, *_ = np.linalg.lstsq(X, y, rcond=None)
    variance = float(((y - X @ slopes) ** 2).sum()) / (y.size - X.shape[1])
    leverage = np.einsum("ni,ij,nj->n", wanted, np.linalg.inv(X.T @ X), wanted)
    return np.exp(wanted @ slopes + 0.5 * variance), variance * (1.0 + leverage)


def cross_validate(
    tests: pd.DataFrame, methods: Mapping[str, Forecast], *, folds: int = 10, repeats: int = 10
) -> pd.DataFrame:
    """Forecast every well by every method while it is left out; a row a method, repeat and well."""
    parts = []
    for repeat in range(repeats):
        fold = np.random.default_rng(repeat).permutation(np.arange(len(tests)) % folds)
        parts += [_forecasts(tests, fold == k, methods, repeat) for k in range(folds)]
    return pd.concat(parts, ignore_index=True)


def few_wells(tests: pd.DataFrame, methods: Mapping[str, Forecast], *, n: int, repeats: int) -> pd.DataFrame:
    """Learn from ``n`` wells drawn at random and forecast the others; a row a method, repeat and well."""
    parts = []
    for repeat in range(repeats):
        drawn = np.random.default_rng(repeat).permutation(len(tests)) < n
        parts.append(_forecasts(tests, ~drawn, methods, repeat))
    return pd.concat(parts, ignore_index=True)


def _forecasts(tests: pd.DataFrame, hidden: np.ndarray, methods: Mapping[str, Forecast], repeat: int) -> pd.DataFrame:
    left_out = tests.loc[hidden]
    rows = []
    for name, method in methods.items():
        mean, variance = method(tests.loc[~hidden], left_out)
        frame = left_out[["well_id"]].assign(observed=left_out["coef_m3_per_kwh"], forecast=mean, log_variance=variance)
        rows.append(frame.assign(method=name, repeat=repeat))
    return pd.concat(rows, ignore_index=True)


def scores(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Errors and coverage by method, the mean over repeats: a row a method in the order they were given."""
    rows = []
    for method, part in forecasts.groupby("method", sort=False):
        observed, error = part["observed"], part["forecast"] - part["observed"]
        row = {
            "method": method,
            "mean_absolute_relative_error": (error.abs() / observed).mean(),
            "weighted_absolute_error": error.abs().sum() / observed.sum(),
            "bias": error.sum() / observed.sum(),
        }
        for level in LEVELS:
            z = special.ndtri(0.5 * (1.0 + level))
            lower, upper = lognormal_interval(part["forecast"].to_numpy(), part["log_variance"].to_numpy(), z)
            inside = ((lower <= observed) & (observed <= upper)).mean()
            row[f"coverage_{level:g}"] = inside if part["log_variance"].notna().all() else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def held_out(forecasts: pd.DataFrame, method: str = "elec2water", repeat: int = 0) -> pd.DataFrame:
    """One repeat of one method with its intervals, as the figures of ``elec2water.plot`` take it."""
    part = forecasts.loc[(forecasts["method"] == method) & (forecasts["repeat"] == repeat)]
    frame = part.rename(columns={"forecast": "model"}).assign(held_out="wells")
    for level in LEVELS:
        z = special.ndtri(0.5 * (1.0 + level))
        frame[f"lower_{level:g}"], frame[f"upper_{level:g}"] = lognormal_interval(
            frame["model"].to_numpy(), frame["log_variance"].to_numpy(), z
        )
    return frame.reset_index(drop=True)


def markdown(table: pd.DataFrame) -> str:
    """Write the scores as a table of percentages."""
    head = (
        "| method | mean of \\|error\\|/κ | Σ\\|error\\|/Σκ | bias | inside 50 % | inside 90 % | inside 95 % |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    percent = table.drop(columns="method").map(lambda v: "–" if pd.isna(v) else f"{100 * v:.1f} %")
    rows = [
        f"| {name} | {' | '.join(cells)} |\n" for name, cells in zip(table["method"], percent.to_numpy(), strict=True)
    ]
    return head + "".join(rows)


def main() -> None:
    """Compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", help=f"file of the field tests; default {VARIABLE} or {DEFAULT}")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    path = path_of_tests(arguments.tests)
    if not path.exists():
        parser.exit(2, absent(path) + "\n")
    tests, repeats = read_tests(path), arguments.repeats
    learned_from = {
        "10-fold, wells left out": cross_validate(tests, METHODS, repeats=repeats),
        **{f"from {n} wells": few_wells(tests, METHODS, n=n, repeats=4 * repeats) for n in FEW},
    }
    tables = {name: scores(forecasts) for name, forecasts in learned_from.items()}
    write_results(tables, n_wells=len(tests), repeats=repeats)


def write_results(tables: Mapping[str, pd.DataFrame], *, n_wells: int, repeats: int) -> None:
    """Write and print the scores of each way of leaving wells out."""
    figures: dict[str, object] = {"source": SOURCE, "n_wells": n_wells, "repeats": repeats}
    text = (
        f"{n_wells} field tests at Baicheng ({SOURCE}); {repeats} repeats of ten folds, {4 * repeats} of few wells.\n"
    )
    for name, table in tables.items():
        figures[name] = json.loads(table.round(5).to_json(orient="records"))
        text += f"\n**{name[0].upper()}{name[1:]}**\n\n{markdown(table)}"
    RESULTS.mkdir(exist_ok=True)
    written = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / "field_tests.json").write_text(written, encoding="utf-8")
    (RESULTS / "field_tests.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
