"""How old a measurement is: by what has changed since, or by the calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import elec2water as e2w
from elec2water.demo import simulate_county, write_county
from elec2water.expiry import ExpiryRule, expiry_findings, measurement_ages

QUARTER = "2026Q3"


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    """A county of 120 wells of which 30 are metered every month."""
    made = simulate_county(120, 11)
    folder = tmp_path_factory.mktemp("expiry") / "county"
    write_county(folder, made, sample=made.well_id[::4].tolist())
    return e2w.read_project(folder)


def fitted(county, pairs, levels=None, wells=None):
    energy, _ = county.energy()
    wells = county.wells if wells is None else wells
    levels = county.water_levels if levels is None else levels
    coefficient = e2w.fit_coefficient(pairs, wells, levels, energy=energy)
    volume = e2w.estimate_volume(coefficient, energy, quarter=QUARTER, wells=wells, water_levels=levels)
    return coefficient, volume, wells, levels


def aged(pairs: pd.DataFrame, well: str, before: str) -> pd.DataFrame:
    """Leave out what a well measured after a day."""
    return pairs.loc[(pairs["well_id"] != well) | (pairs["end"] <= np.datetime64(before))]


def test_metered_wells_are_new_and_older_ones_are_corrected_and_widened(county):
    wells = county.pairs["well_id"].unique()
    pairs = aged(county.pairs, wells[0], "2025-08-01")
    coefficient, volume, registry, levels = fitted(county, pairs)
    ages = measurement_ages(coefficient, volume, registry, levels).set_index("well_id")
    assert (ages.drop(index=wells[0])["effective_age_years"] < 1.0).all()
    old = ages.loc[wells[0]]
    assert old["age_years"] == pytest.approx(1.04, abs=0.1)
    # Same season a year apart: wear by the posterior's slope, the fall of the yearly mean level by the level's.
    mean = volume.posterior.mean
    layout = volume.posterior.layout
    slope = {n: mean[layout.moving_start + layout.moving_names.index(n)] for n in ("years", "level")}
    depth = e2w.depth_by_well(registry, levels, np.arange("2024-09", "2026-09", dtype="datetime64[M]")).depth_m
    at = int(np.flatnonzero(registry["well_id"] == wells[0])[0])
    fall = np.log(depth[at, 12:]).mean() - np.log(depth[at, :12]).mean()
    assert np.log1p(old["correction"]) == pytest.approx(
        slope["years"] * old["age_years"] + slope["level"] * fall, abs=0.004
    )
    assert old["sd_now"] > old["sd_then"]
    found = expiry_findings(coefficient, volume, registry, levels)
    assert found.frame["well_id"].tolist() == [wells[0]]
    assert found.frame["rule"].item() == "EXPIRY_CORRECTED"
    assert "订正" in found.frame["message"].item()


def test_a_falling_table_and_a_new_pump_age_a_measurement(county):
    wells = county.pairs["well_id"].unique()
    pairs = aged(county.pairs, wells[0], "2025-08-01")
    plain = measurement_ages(*fitted(county, pairs)).set_index("well_id").loc[wells[0]]
    fallen = county.water_levels.copy()
    when = fallen["month" if "month" in fallen.columns else "date"].to_numpy()
    fallen["depth_m"] *= np.where(when >= np.datetime64("2025-10-01"), 1.25, 1.0)
    deeper = measurement_ages(*fitted(county, pairs, levels=fallen)).set_index("well_id").loc[wells[0]]
    # Other wells, metered all the while, did not fall with it: the slope gives way, the correction stays.
    assert deeper["correction"] < plain["correction"] - 0.01
    assert deeper["effective_age_years"] > plain["effective_age_years"] + 0.2
    new_pump = county.wells.copy()
    put_in = new_pump["pump_installed_on"].astype("datetime64[s]")
    new_pump["pump_installed_on"] = put_in.mask(new_pump["well_id"] == wells[0], np.datetime64("2025-12-01", "s"))
    renewed = measurement_ages(*fitted(county, pairs, wells=new_pump)).set_index("well_id").loc[wells[0]]
    assert renewed["sd_now"] > 2.0 * plain["sd_now"]
    assert renewed["effective_age_years"] > 4.0
    done = fitted(county, pairs, wells=new_pump)
    assert "EXPIRY_PAST" in expiry_findings(*done).frame["rule"].tolist()


def test_the_province_may_rule_by_the_calendar(county):
    wells = county.pairs["well_id"].unique()
    pairs = aged(county.pairs, wells[0], "2025-08-01")
    done = fitted(county, pairs)
    by_age = ExpiryRule(by="age", warn_years=0.5, flag_years=1.0)
    found = expiry_findings(*done, rule=by_age).frame
    assert found["rule"].tolist() == ["EXPIRY_PAST"]
    assert not len(expiry_findings(*done, rule=ExpiryRule(by="age", warn_years=3.0)))


def test_the_configuration_carries_the_rule(tmp_path):
    (tmp_path / "elec2water.toml").write_text(
        '[project]\nname = "县"\n[expiry]\nby = "age"\nwarn_years = 2.0\n', encoding="utf-8"
    )
    config = e2w.load_config(tmp_path)
    assert ExpiryRule(**config.expiry.model_dump()) == ExpiryRule("age", 2.0, 4.0)
