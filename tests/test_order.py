"""The same tables with their rows in another order: the same release, but for the numbers of the rows."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water import demo, project
from elec2water.tables import typed

QUARTER = "2026Q3"
EXACT = ("totals.csv", "design_totals.csv", "coefficients.csv", "wells.parquet", "energy.parquet")
ROUNDED = ("totals.csv", "design_totals.csv", "coefficients.csv")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A county with shared and exchanged meters, and its release."""
    folder = tmp_path_factory.mktemp("straight") / "county"
    demo(folder, wells=150, seed=3)
    return folder, project.run(folder, quarter=QUARTER).release.folder


def release_of(straight, place, seed, tables):
    """Run the county with the rows of some tables in another order."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(straight, place, ignore=shutil.ignore_patterns("releases", "ledger.sqlite"))
    rng = np.random.default_rng(seed)
    for table in tables:
        path = place / "inputs" / f"{table}.csv"
        head, *rows = path.read_text(encoding="utf-8-sig").splitlines()
        path.write_text("\n".join([head, *(rows[k] for k in rng.permutation(len(rows)))]), encoding="utf-8-sig")
    return project.run(place, quarter=QUARTER).release.folder


def said(folder):
    """Findings without what numbers rows, in an order of their own."""
    frame = pd.read_csv(folder / "findings.csv", dtype=str, keep_default_na=False)
    return sorted(map(tuple, frame.drop(columns=["row", "message"]).to_numpy().tolist()))


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rows_of_meters_readings_and_companions_in_any_order(straight, tmp_path_factory, seed):
    folder, release = straight
    place = tmp_path_factory.mktemp("shuffled") / "county"
    other = release_of(folder, place, seed, ("meters", "readings", "pairs", "water_levels", "permits"))
    for name in EXACT:
        assert (other / name).read_bytes() == (release / name).read_bytes(), name
    assert said(other) == said(release)


def test_names_of_meters_kept_as_codes_are_the_same_names(straight, tmp_path, monkeypatch):
    """So the meters of millions of readings are kept; here from the first reading on."""
    folder, release = straight
    monkeypatch.setattr(typed, "MANY_READINGS", 1)
    other = release_of(folder, tmp_path / "county", 1, ())
    for name in (*EXACT, "findings.csv", "coefficients.nc"):
        assert (other / name).read_bytes() == (release / name).read_bytes(), name


def test_wells_in_another_order_are_summed_in_another_order(straight, tmp_path):
    """Their files list them as the registry does; sums differ by rounding, which no published digit shows."""
    folder, release = straight
    other = release_of(folder, tmp_path / "county", 5, ("wells",))
    for name in ROUNDED:
        assert (other / name).read_bytes() == (release / name).read_bytes(), name
    assert said(other) == said(release)
    before, after = (pd.read_parquet(at / "wells.parquet").set_index("well_id").sort_index() for at in (release, other))
    figures = before.select_dtypes("float").columns
    np.testing.assert_allclose(after[figures], before[figures], rtol=1e-11)
    assert after.drop(columns=figures).equals(before.drop(columns=figures))
