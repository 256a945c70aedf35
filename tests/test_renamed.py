"""Wells that were given a new number are found by their electricity, and no others are."""

import numpy as np
import pandas as pd

from elec2water.checking import check
from elec2water.energy import MonthlyEnergy
from elec2water.renamed import renamed_wells

MONTHS = np.arange(np.datetime64("2025-01"), np.datetime64("2026-01"))


def county(n=500, seed=3):
    rng = np.random.default_rng(seed)
    season = np.array([0.02, 0.02, 1.0, 2.0, 1.5, 1.0, 0.5, 0.2, 0.1, 0.2, 0.5, 0.1])
    kwh = np.round(rng.lognormal(7.0, 0.8, n)[:, None] * season * rng.lognormal(0.0, 0.3, (n, MONTHS.size)), 1)
    ids = np.array([f"{k:05d}" for k in range(n)], dtype=object)
    return MonthlyEnergy(ids, MONTHS, kwh, np.zeros_like(kwh), np.full(kwh.shape, "A"))


def pairs_of(energy, places, names, rounded=1):
    well, month = np.repeat(places, MONTHS.size), np.tile(np.arange(MONTHS.size), len(places))
    return pd.DataFrame(
        {
            "well_id": np.repeat(np.array(names, dtype=object), MONTHS.size),
            "start": MONTHS[month].astype("datetime64[s]"),
            "end": (MONTHS[month] + 1).astype("datetime64[s]"),
            "energy_kwh": np.round(energy.kwh[well, month], rounded),
            "volume_m3": 3.0 * energy.kwh[well, month],
        },
        index=np.arange(2, well.size + 2),
    )


def test_a_well_under_a_new_number_is_named_and_those_that_kept_theirs_are_not():
    energy = county()
    pairs = pairs_of(energy, [7, 8, 9], ["old-7", "00008", "A9"], rounded=0)
    found = renamed_wells(pairs, energy, lang="en").frame
    assert found["well_id"].tolist() == ["old-7", "A9"]
    assert ["00007" in found["message"][0], "00009" in found["message"][1]] == [True, True]
    assert found["row"].tolist() == [2, 26]


def test_no_well_is_named_by_chance():
    """A hundred strangers whose energy is that of wells of the same kind in another county."""
    energy, other = county(20_000), county(100, seed=4)
    strangers = pairs_of(other, np.arange(100), [f"x{k}" for k in range(100)])
    assert renamed_wells(strangers, energy).count == 0


def test_a_sample_well_of_its_own_is_not_named_for_another():
    energy = county()
    both = pd.concat([pairs_of(energy, [7], ["00007"]), pairs_of(energy, [7], ["old-7"])])
    assert renamed_wells(both, energy).count == 0


def test_two_wells_with_the_same_electricity_are_not_told_apart():
    energy = county()
    energy.kwh[8] = energy.kwh[7]
    assert renamed_wells(pairs_of(energy, [7], ["old-7"]), energy).count == 0


def test_check_names_the_new_number(tmp_path):
    energy = county(60)
    months = MONTHS.astype(str)
    wells = pd.DataFrame({"well_id": energy.well_id, "township": "a", "aquifer": "b", "pump_power_kw": 15.0})
    wells = wells.assign(pump_depth_m=40.0).replace({"well_id": {"00007": "W-1"}})
    readings = pd.DataFrame(
        {
            "meter_id": np.repeat(wells["well_id"].to_numpy(), MONTHS.size),
            "start": np.tile(months, 60),
            "end": np.tile((MONTHS + 1).astype(str), 60),
            "energy_kwh": energy.kwh.ravel(),
        }
    )
    readings[["start", "end"]] += "-01"
    tables = {"wells": wells, "readings": readings, "pairs": pairs_of(energy, [7, 9], ["00007", "00009"])}
    (tmp_path / "inputs").mkdir()
    (tmp_path / "elec2water.toml").write_text('[project]\nname = "renamed"\nlanguage = "en"\n', encoding="utf-8")
    for name, frame in tables.items():
        frame.to_csv(tmp_path / "inputs" / f"{name}.csv", index=False)
    found = check(tmp_path).findings.of(rule="PAIR_WELL_RENAMED").frame
    assert found["well_id"].tolist() == ["00007"]
    assert "well W-1 " in found["message"][0]
