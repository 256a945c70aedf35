"""A coefficient as a file: read back by plain xarray, equal to what was written, and old files still load."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from core_kit import small_case
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.predict import forecast_pairs
from elec2water.coefficient.state import FORMAT, from_dataset, to_dataset
from elec2water.errors import UsageError
from elec2water.release import netcdf_bytes

OLD_FILE = Path(__file__).parent / "data" / "coefficients_format1.nc"
OLD = {
    "sample_id": ["000099", "000113", "000108", "000020", "000052", "000049"],
    "mean": [1.0149787941587043, -0.486238640991157, -0.1342374025611659],
    "variance": [0.047329940789423146, 0.03944012427011137, 0.053430819781993974],
    "wells": [0.043004927324727674, 0.004994783067350262, 0.0017121462405752172],
    "far": 0.0010380224967538926,
    "paths": [0.17179049828361137, -0.05406940052477749, 0.00195840615877918, -0.07297578146095596,
              0.027412809029503826, -0.1157381809416067],
}  # fmt: skip


FILE_2 = Path(__file__).parent / "data" / "coefficients_format2.nc"
KEPT_2 = {
    "mean": [1.1037646527287661, -0.503936983677285, -0.10984496811267694],
    "variance": [0.05510599013743758, 0.04145001633438632, 0.05433450871992835],
    "wells": [0.03875235059751116, 0.003982554644227691, 0.0022569500232566615],
    "far": 0.001063916396635366,
    "paths": [0.12919547401612252, -0.011697404369725217, 0.1904128629464208, -0.14029189494469185,
              -0.0037033497755811773, -0.07613494503958806],
    "in_2030": [4.765734201004786, 5.237844737537929, 2.0852720922399177],
}  # fmt: skip


FILE_3 = Path(__file__).parent / "data" / "coefficients_format3.nc"
KEPT_3 = {
    "mean": [1.085947050317651, -0.500580106750672, -0.10404597976029703],
    "variance": [0.07980081745022938, 0.04231641265369836, 0.05422479563754874],
    "wells": [0.04095234356582674, 0.004027138048664254, 0.0022784981602574604],
    "far": 0.0010829475888655387,
    "paths": [0.12210541943018782, -0.0161560369820537, 0.20311760371686338, -0.1384944457616053,
              0.007519612351607474, -0.08643725389996315],
    "in_2030": [4.6212772880554756, 5.167118228427487, 2.0485300001213016],
}  # fmt: skip


FILE_4 = Path(__file__).parent / "data" / "coefficients_format4.nc"
KEPT_4 = {
    "mean": [1.107518662186499, -0.5955376716916756, -0.1363827195434892],
    "variance": [0.06249138773444178, 0.0394565951889778, 0.05339364804830594],
    "wells": [0.03821819418763772, 0.0039440965512117015, 0.0021679183599025618],
    "far": 0.0002061088843856481,
    "paths": [-0.08289219922612578, -0.03743366598586595, 0.20227523122130786, -0.11037987408351513,
              0.0483832522337474, -0.012774176057732234],
    "in_2030": [4.830786574178083, 5.178762913393375, 2.045446638506796],
}  # fmt: skip
FILE_5 = Path(__file__).parent / "data" / "coefficients_format5.nc"
KEPT_5 = {
    "mean": [1.1056502659433138, -0.5955382690436346, -0.13635314840645027],
    "variance": [0.06232171196839403, 0.039413881136528446, 0.05338457195671524],
    "wells": [0.038001228484951396, 0.0037672029794072214, 0.0020643327120873026],
    "far": 0.00020500622814908557,
    "paths": [-0.08294153052210684, -0.03725264222395008, 0.20384173145128903, -0.11174806937842718,
              0.04885737618981223, -0.0127006784380852],
    "in_2030": [4.810588159020532, 5.169406730218944, 2.047830210632941],
}  # fmt: skip
FILE_6 = Path(__file__).parent / "data" / "coefficients_format6.nc"
KEPT_6 = {
    "mean": [1.0928023280535042, -0.5971195389082475, -0.13854339534801852],
    "variance": [0.06224224842533822, 0.039352520563207684, 0.05337293491506794],
    "wells": [0.03776046969785475, 0.0034547106627152574, 0.0015940806057063513],
    "far": 0.00020381392373416583,
    "paths": [-0.07995053249905504, -0.03742508853719806, 0.2022637858448788, -0.11192307586443273,
              0.05716383346975895, -0.011255060454762766],
    "in_2030": [4.81761943902758, 5.200192124012475, 2.024336623376495],
}  # fmt: skip
DELIVERED_AT = (("border", 0.0), ("pipe", 3.0), ("sprinkler", 25.0), ("drip", 15.0))


@pytest.fixture(scope="module")
def case():
    """A county with tests without dates, a covariate, classes given and a pump replaced in between."""
    case = small_case(40, 7, 2, pair_months=6)
    pairs = case.pairs.copy()
    pairs.loc[pairs.index[:2], ["start", "end"]] = np.datetime64("NaT", "s")
    pairs.loc[pairs.index[:2], "kind"] = "test"
    options = FitOptions(covariates=("well_depth_m",), strata_breaks={"pump_power_kw": (7.5, 15.0)})
    return replace(case, pairs=pairs, options=options)


@pytest.fixture(scope="module")
def coefficient(case):
    return case.fit()


def through_a_file(coefficient):
    return from_dataset(xr.open_dataset(io.BytesIO(netcdf_bytes(to_dataset(coefficient))), engine="h5netcdf").load())


def test_a_file_gives_the_same_coefficient(case, coefficient):
    again = through_a_file(coefficient)
    for name in ("sd", "weight", "means", "covariances", "sample"):
        np.testing.assert_array_equal(getattr(again.posterior, name), getattr(coefficient.posterior, name))
    for name, values in vars(coefficient.posterior.rows).items():
        np.testing.assert_array_equal(getattr(again.posterior.rows, name), values)
    for name, values in vars(coefficient.measured).items():
        np.testing.assert_array_equal(getattr(again.measured, name), values)
        assert getattr(again.measured, name).dtype.kind == values.dtype.kind
    for name, values in vars(coefficient.equipment).items():
        np.testing.assert_array_equal(getattr(again.equipment, name), values)
    assert again.spec == coefficient.spec
    assert again.posterior.layout.names == coefficient.posterior.layout.names
    assert again.sample_id.tolist() == coefficient.sample_id.tolist()
    assert {k: tuple(v) for k, v in again.options.strata_breaks.items()} == coefficient.options.strata_breaks
    assert replace(again.options, strata_breaks={}) == replace(coefficient.options, strata_breaks={})
    np.testing.assert_array_equal(again.windows.level, coefficient.windows.level)


def test_a_file_gives_the_same_forecasts_and_volumes(case, coefficient):
    again = through_a_file(coefficient)
    for quarter in ("2026Q2", "2026Q3"):
        before, after = case.volume(coefficient, quarter), case.volume(again, quarter)
        for name in ("volume_m3", "se_m3", "lower_m3", "upper_m3"):
            np.testing.assert_array_equal(getattr(after.wells, name), getattr(before.wells, name))
            np.testing.assert_array_equal(getattr(after.county, name), getattr(before.county, name))
    arguments = (coefficient.measured, case.wells, case.water_levels, case.energy)
    before, after = forecast_pairs(coefficient, *arguments), forecast_pairs(again, *arguments)
    for name, values in vars(before).items():
        np.testing.assert_array_equal(getattr(after, name), values)


def test_the_same_coefficient_is_the_same_bytes(case, coefficient):
    once = netcdf_bytes(to_dataset(coefficient))
    assert netcdf_bytes(to_dataset(coefficient)) == once
    assert netcdf_bytes(to_dataset(through_a_file(coefficient))) == once
    assert netcdf_bytes(to_dataset(case.fit())) == once


def test_the_file_tells_its_mean_and_covariance_to_plain_xarray(coefficient):
    data = xr.open_dataset(io.BytesIO(netcdf_bytes(to_dataset(coefficient))), engine="h5netcdf")
    np.testing.assert_allclose(data["mean"], coefficient.posterior.mean)
    np.testing.assert_allclose(data["covariance"], coefficient.posterior.covariance)
    assert data["effect"].to_numpy().tolist() == list(coefficient.posterior.layout.names)
    assert data.attrs["Conventions"].startswith("CF-")
    np.testing.assert_array_equal(data["month"].to_numpy(), coefficient.posterior.layout.months)
    assert json.loads(data.attrs["specification"])["features"]["aquifers"]


def test_every_variable_says_what_it_is_and_times_are_times_to_plain_xarray(coefficient):
    """Dates of pairs and levels come back as they were given, a date that is not known as NaT; numbers have a unit."""
    measured = coefficient.measured
    data = xr.open_dataset(io.BytesIO(netcdf_bytes(to_dataset(coefficient))), engine="h5netcdf").load()
    assert np.isnat(measured.start).sum() == 2
    np.testing.assert_array_equal(data["pair_start"].to_numpy(), measured.start)
    np.testing.assert_array_equal(data["pair_end"].to_numpy(), measured.end)
    np.testing.assert_array_equal(data["depth_day"].to_numpy(), coefficient.gauges.date)
    assert data["depth_day"].size > 0
    for name, variable in data.variables.items():
        assert len(variable.attrs["long_name"]) > 5, name
        assert len(variable.attrs["description"]) > 10, name
        assert variable.dtype.kind in "OTUM" or variable.attrs["units"], name


def own_by_hand(data, well, year, pump):
    """Level and wear of one well given its pairs and θ, from the variables of the file alone: mean and covariance."""
    level, wear, error = (data["node_weight"] @ data["node_sd"] ** 2).to_numpy()[:3]
    level *= data["level_scale"].to_numpy()[well]
    mine = np.flatnonzero(data["row_well"].to_numpy() == well)
    names = ("row_y", "row_time", "row_pump", "row_unread", "row_cell", "row_scale", "row_extra")
    y, time, pumps, clock, cell, scale, extra = (data[name].to_numpy()[mine] for name in names)
    months = data["effect"].size - data.sizes["static_effect"] - data.sizes["moving_effect"]
    static = np.tile(data["static"].to_numpy()[well], (mine.size, 1))
    X = np.hstack([static, data["moving"].to_numpy()[mine], np.eye(months)[cell]])
    kept = 1.0 - data.attrs["pump_share_of_level"]

    def unread(when, number):
        """A moment after the last pair of a pump: the clock of that pair and the years since."""
        last = np.flatnonzero(pumps == number)[-1:]
        return (clock[last] + when - time[last]).sum()

    def covariance(t, p, a, s, q, b):
        same = p[:, None] == q[None, :]
        fading = np.exp(-np.abs(t[:, None] - s[None, :]) / data.attrs["wear_memory_years"])
        away = np.abs(a[:, None] - b[None, :])
        stayed = same * np.exp(-data.attrs["pump_renewal_per_year"] * away)
        return level * (kept + (1.0 - kept) * stayed), wear * same * fading

    S = sum(covariance(time, pumps, clock, time, pumps, clock)) + np.diag(error * scale + extra)
    now = np.array([year]), np.array([pump]), np.array([unread(year, pump)])
    cross = np.vstack(covariance(*now, time, pumps, clock))
    gain = cross @ np.linalg.inv(S)
    given = np.diag([level, wear]) - gain @ cross.T
    G = gain @ X
    return gain @ (y - X @ data["mean"].to_numpy()), given, given + G @ data["covariance"].to_numpy() @ G.T


def test_the_file_tells_level_and_wear_of_every_sample_well_to_plain_xarray(coefficient):
    """Oracle: textbook conditioning, well by well, from what else the file holds."""
    data = xr.open_dataset(io.BytesIO(netcdf_bytes(to_dataset(coefficient))), engine="h5netcdf").load()
    assert data["own_effect"].to_numpy().tolist() == ["level", "wear"]
    year = data.attrs["own_year"]
    last = np.datetime64(coefficient.posterior.layout.months[-1]) + 1
    pumps = np.array([(data["pump_well"].to_numpy() == w).sum() for w in range(data.sizes["sample_well"])])
    assert year == pytest.approx(1970 + last.astype(int) / 12, abs=0.01)
    for well in range(data.sizes["sample_well"]):
        mean, given, covariance = own_by_hand(data, well, year, pumps[well])
        np.testing.assert_allclose(data["own_mean"].to_numpy()[well], mean, atol=1e-9)
        np.testing.assert_allclose(data["own_covariance_given"].to_numpy()[well], given, atol=1e-9)
        np.testing.assert_allclose(data["own_covariance"].to_numpy()[well], covariance, atol=1e-9)
    whole = coefficient.posterior.paths(np.full(pumps.size, year), pumps)
    path = whole.offset - whole.gain @ coefficient.posterior.mean
    np.testing.assert_allclose(data["own_mean"].sum("own_effect"), path, atol=1e-9)


@pytest.mark.parametrize("version", [None, FORMAT + 1])
def test_a_file_of_the_future_or_of_others_is_refused(coefficient, version):
    data = to_dataset(coefficient)
    data.attrs.pop("elec2water_format") if version is None else data.attrs.update(elec2water_format=version)
    with pytest.raises(UsageError, match="elec2water_format"):
        from_dataset(data)


def test_a_file_of_format_1_still_loads_and_forecasts_the_same():
    """By version 0.1.0 from `small_case(40, 6, 9, pair_months=6)`, the five heaviest nodes; numbers noted then."""
    coefficient = from_dataset(xr.open_dataset(OLD_FILE, engine="h5netcdf").load())
    posterior = coefficient.posterior
    assert coefficient.sample_id.tolist() == OLD["sample_id"]
    np.testing.assert_allclose(posterior.mean[:3], OLD["mean"], rtol=1e-10)
    np.testing.assert_allclose(np.diag(posterior.covariance)[:3], OLD["variance"], rtol=1e-10)
    np.testing.assert_allclose([posterior.variance[k] for k in ("level", "drift", "error")], OLD["wells"], rtol=1e-10)
    far = posterior.covering(np.array(["2027-03"], dtype="datetime64[M]"))
    assert far.covariance[-1, -1] == pytest.approx(OLD["far"], rel=1e-8)
    paths = posterior.paths(np.full(6, 2026.6), np.ones(6, dtype=np.intp))
    np.testing.assert_allclose(paths.offset - paths.gain @ posterior.mean, OLD["paths"], rtol=1e-7)


def test_a_file_of_format_1_is_updated_without_its_registry():
    coefficient = from_dataset(xr.open_dataset(OLD_FILE, engine="h5netcdf").load())
    later = coefficient.update(until=np.datetime64("2030-12", "M"))
    assert later.news["wear_and_time"].lt(0).all()
    again = from_dataset(to_dataset(later))
    np.testing.assert_array_equal(again.posterior.means, later.posterior.means)
    np.testing.assert_array_equal(again.summary["se"], later.summary["se"])


@pytest.mark.parametrize(
    ("file", "kept", "head", "found"),
    [
        (FILE_2, KEPT_2, (0.0, 0.0, ()), ["000108"]),
        (FILE_3, KEPT_3, (12.0, 1.0, ()), ["000108"]),
        (FILE_4, KEPT_4, (12.0, 0.8, DELIVERED_AT), ["000099", "000108"]),
        (FILE_5, KEPT_5, (12.0, 0.8, DELIVERED_AT), ["000099", "000108"]),
        (FILE_6, KEPT_6, (12.0, 0.8, DELIVERED_AT), ["000099", "000108"]),
    ],
    ids=["2", "3", "4", "5", "6"],
)
def test_a_file_of_an_earlier_format_loads_and_is_carried_on_as_it_was_then(file, kept, head, found):
    """By version 0.1.0 from `small_case(40, 6, 9, pair_months=18, missing=0.0)`, fitted until 2025-06 and updated to
    2026-06 with one well's volumes of 2026 times 1.6 (and of format 6 with none of another's from July to April); the
    two heaviest nodes; numbers noted then. A gap between pairs counts for nothing in any of them."""
    coefficient = from_dataset(xr.open_dataset(file, engine="h5netcdf").load())
    posterior = coefficient.posterior
    assert coefficient.sample_id.tolist() == OLD["sample_id"]
    np.testing.assert_allclose(posterior.mean[:3], kept["mean"], rtol=1e-10)
    np.testing.assert_allclose(np.diag(posterior.covariance)[:3], kept["variance"], rtol=1e-10)
    spread = [posterior.variance[name] for name in ("level", "drift", "error")]
    np.testing.assert_allclose(spread, kept["wells"], rtol=1e-10)
    far = posterior.covering(np.array(["2027-03"], dtype="datetime64[M]"))
    assert far.covariance[-1, -1] == pytest.approx(kept["far"], rel=1e-8)
    paths = posterior.paths(np.full(6, 2026.9), np.ones(6, dtype=np.intp))
    np.testing.assert_allclose(paths.offset - paths.gain @ posterior.mean, kept["paths"], rtol=1e-7)
    assert coefficient.equipment.well_id[coefficient.equipment.detected].tolist() == found
    spec = coefficient.spec
    assert (spec.head_beyond_m, spec.head_curvature, spec.delivery) == head
    later = coefficient.update(until=np.datetime64("2030-12", "M"))
    np.testing.assert_allclose(later.summary["coefficient_m3_per_kwh"], kept["in_2030"], rtol=1e-6)
    assert not from_dataset(to_dataset(later)).posterior.rows.unread.any()


def test_an_update_keeps_how_fast_a_past_unread_fades(case, coefficient):
    """A file that knows nothing of renewal goes on without it, also when a pair is corrected."""
    before = replace(coefficient, posterior=replace(coefficient.posterior, renewal=0.0))
    corrected = case.pairs.copy()
    corrected.loc[corrected.index[-1], "volume_m3"] *= 1.01
    after = before.update(corrected, wells=case.wells, water_levels=case.water_levels, energy=case.energy)
    assert not np.array_equal(after.posterior.means, before.posterior.means)
    assert after.posterior.renewal == 0.0
    assert to_dataset(after).attrs["pump_renewal_per_year"] == 0.0
