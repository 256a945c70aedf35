"""Rows by the block: the same as all at once, whatever the blocks."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from county_kit import command, county, write
from elec2water.blocks import blocks, by_block, rows_of
from elec2water.volume import estimate, parts


@dataclass(frozen=True)
class Made:
    squares: np.ndarray
    names: np.ndarray
    twice: np.ndarray


@given(st.integers(0, 40), st.integers(1, 50))
@settings(deadline=None, max_examples=60)
def test_blocks_hold_every_row_once_and_make_what_the_whole_makes(n, rows):
    assert [k for part in blocks(n, rows) for k in range(n)[part]] == list(range(n))
    values = np.random.default_rng(n).integers(-9, 9, (n, 3))

    def make(part):
        some = values[part]
        return Made(some.sum(axis=1) ** 2, some[:, 0].astype(str).astype(object), 2.0 * some)

    found, whole = by_block(make, n, rows), make(slice(0, n))
    for name in ("squares", "names", "twice"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        assert getattr(found, name).dtype == getattr(whole, name).dtype
    np.testing.assert_array_equal(rows_of(found, slice(0, 2)).twice, 2.0 * values[:2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A county with all that is known well by well.

    Two wells on one meter, readings of two months, a missing month, a well off the grid, measured wells.
    """
    frames = county(n=40, sample=12, seed=3)
    readings, wells = frames["readings"], frames["wells"]
    frames["meters"] = pd.DataFrame({"meter_id": wells["well_id"].to_numpy(), "well_id": wells["well_id"].to_numpy()})
    frames["meters"].loc[[5, 9], "meter_id"] = frames["meters"].loc[4, "meter_id"]
    readings = readings[readings["meter_id"].isin(frames["meters"]["meter_id"])].reset_index(drop=True)
    every = readings["meter_id"].isin(wells["well_id"].iloc[20:30])
    of_two = readings[every].assign(month=lambda rows: pd.to_datetime(rows["start"]).dt.month)
    first, second = of_two[of_two["month"] % 2 == 0], of_two[of_two["month"] % 2 == 1]
    both = first.merge(second, left_on=["meter_id", "end"], right_on=["meter_id", "start"], suffixes=("", "_2"))
    spread = both.assign(end=both["end_2"], energy_kwh=both["energy_kwh"] + both["energy_kwh_2"])
    unread = readings["meter_id"].eq(wells["well_id"].iloc[33]) & readings["start"].eq("2026-08-01")
    frames["readings"] = pd.concat([readings[~every & ~unread], spread[readings.columns]])
    frames["wells"] = wells.assign(power_source=np.where(np.arange(40) == 17, "diesel", "grid"))
    return write(tmp_path_factory.mktemp("blocks") / "county", frames)


def released(folder):
    assert command("run", folder, "--quarter", "2026Q3")[0] == 0
    place = folder / "releases" / "2026Q3" / "r1"
    return pd.read_parquet(place / "wells.parquet"), pd.read_csv(place / "totals.csv", dtype={"key": str})


def test_volumes_by_blocks_of_seven_wells_are_those_of_all_wells_at_once(folder, monkeypatch):
    other = Path(shutil.copytree(folder, folder.parent / "blocks"))
    whole = released(folder)
    assert set(whole[0]["method"]) == {"measured", "converted", "imputed", "none"}
    for module in (estimate, parts):
        monkeypatch.setattr(module, "by_block", partial(by_block, rows=7))
    for found, expected in zip(released(other), whole, strict=True):
        pd.testing.assert_frame_equal(found, expected, rtol=1e-11)
