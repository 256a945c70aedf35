"""Shared meters over two releases: the second splits by what the first's posterior says of each well."""

import numpy as np
import pandas as pd
import pytest

from county_kit import TOML, command, county, write
from elec2water.outputs import read_coefficients


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    frames = county(n=24, seed=3)
    # Wells without neighbours tell nothing of the exponents of power and area: both stay at one.
    wells = frames["wells"] = frames["wells"].assign(village=[f"{k}村" for k in range(24)])
    readings = frames["readings"]
    sampled = set(frames["pairs"]["well_id"])
    one, two = [w for w in wells["well_id"] if w not in sampled][:2]
    joint = readings[readings["meter_id"].isin([one, two])]
    joint = joint.groupby(["start", "end"], as_index=False)["energy_kwh"].sum().assign(meter_id="shared")
    rest = readings[~readings["meter_id"].isin([one, two])]
    ids = wells["well_id"]
    frames["readings"] = pd.concat([rest, joint[rest.columns]], ignore_index=True)
    frames["meters"] = pd.DataFrame({"meter_id": np.where(ids.isin([one, two]), "shared", ids), "well_id": ids})
    folder = write(tmp_path_factory.mktemp("split"), frames, toml=TOML + '[energy]\nsplit = "posterior"\n')
    for quarter in ("2026Q2", "2026Q3"):
        status, _, err = command("run", folder, "--quarter", quarter)
        assert status == 0, err
    return folder, (one, two), joint, wells.set_index("well_id")


def _shares(folder, quarter, pair):
    energy = pd.read_parquet(folder / "releases" / quarter / "r1" / "energy.parquet")
    some = energy[energy["well_id"].isin(pair)]
    return some.pivot_table(index="month", columns="well_id", values="energy_kwh")[list(pair)]


def test_the_first_release_splits_by_power_and_area_the_second_by_area_over_coefficient(releases):
    folder, pair, _, wells = releases
    size = (wells["pump_power_kw"] * wells["irrigated_area_mu"])[list(pair)].to_numpy()
    kappa = read_coefficients(folder / "releases" / "2026Q2" / "r1")[list(pair)].to_numpy()
    water = wells["irrigated_area_mu"][list(pair)].to_numpy() / kappa
    for quarter, weight in (("2026Q2", size), ("2026Q3", water)):
        kwh = _shares(folder, quarter, pair).to_numpy()[-3:]
        np.testing.assert_allclose(kwh / kwh.sum(axis=1, keepdims=True), np.tile(weight / weight.sum(), (3, 1)))


def test_the_meter_keeps_its_energy_to_the_last_digit(releases):
    folder, pair, joint, _ = releases
    kwh = _shares(folder, "2026Q3", pair)
    read = joint.set_index(pd.to_datetime(joint["start"]).dt.strftime("%Y-%m"))["energy_kwh"]
    months = pd.Index([str(m)[:7] for m in kwh.index])
    np.testing.assert_allclose(kwh.sum(axis=1).to_numpy(), read[months].to_numpy(), rtol=1e-12)
