"""Volumes in closed form against brute-force simulation from the same posterior, and the sums that must agree."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import dense
from core_kit import QUARTER, small_case
from elec2water.calendar_ import quarter_months
from elec2water.coefficient.context import on_grid
from elec2water.coefficient.predict import blank_variance, unseen_blanks
from elec2water.energy import MonthlyEnergy
from elec2water.energy.split import Split
from elec2water.energy.spreading import Spreading
from elec2water.errors import UsageError
from elec2water.stats import mixture_quantile
from elec2water.volume import totals as totals_module
from elec2water.volume.measured import measured_months
from elec2water.volume.parts import Parts
from elec2water.volume.wells import METHODS

DRAWS = 100_000  # fewer tell the spread of a heavy-tailed mixture to 2 % only


@pytest.fixture(scope="module")
def case():
    """200 wells, 14 measured, some into the quarter; energy known to 10 % a month; two wells without energy."""
    case = small_case(200, 14, 5, last_pair=-2, missing=0.15)
    case = replace(case, wells=case.wells.assign(irrigated_area_mu=case.wells["irrigated_area_mu"].mask(
        np.arange(200) % 9 == 0)))  # fmt: skip
    kwh, variance = case.energy.kwh.copy(), 0.01 * case.energy.kwh**2
    kwh[[17, 90]] = np.nan
    variance[[17, 90]] = np.nan
    quality = case.energy.quality.copy()
    quality[[17, 90]] = "N"
    quality[[20, 60], -1] = "S"
    return replace(case, energy=replace(case.energy, kwh=kwh, variance=variance, quality=quality))


@pytest.fixture(scope="module")
def coefficient(case):
    return case.fit()


@pytest.fixture(scope="module")
def volume(case, coefficient):
    return case.volume(coefficient)


@pytest.fixture(scope="module")
def world(case, coefficient):
    """What volumes are made of, well by well and month by month: parts, loadings, shift of the mean; then variances."""
    months = quarter_months(QUARTER)
    posterior = coefficient.posterior.covering(months)
    context = coefficient.context(case.wells, case.water_levels, case.energy, months)
    parts = Parts.of(coefficient, posterior, context, case.energy, on_grid(case.wells))
    A = dense.county_loadings(coefficient, posterior, context)
    A[posterior.sample] -= parts.loadings.gain[:, None, :]
    kwh = np.nan_to_num(parts.kwh)
    mean_row = np.einsum("nm,nmp->np", kwh / np.maximum(kwh.sum(axis=1, keepdims=True), 1e-300), A)
    unbiased = posterior.unbiasing - posterior.covariance
    shift = np.where(parts.sampled, 0.0, 0.5 * np.einsum("ni,ij,nj->n", mean_row, unbiased, mean_row))
    level = posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2
    typical = posterior.variance["level"] + posterior.variance["drift"]
    own = parts.own_variance + np.where(parts.sampled, 0.0, (level - typical)[:, None])
    pumped = replace(parts, kwh=parts.kwh * parts.pumping, kwh_variance=parts.kwh_variance * parts.pumping**2)
    return posterior, pumped, A, shift, own


def exact_moments(world, member, meter_rel_u):
    """Mean and standard deviation of the total of some wells: the mixed second moments of every pair of well-months."""
    posterior, parts, A, shift, own = world
    met = np.isfinite(parts.measured.volume_m3) & parts.sampled[:, None] & member[:, None]
    well, month = np.nonzero(~met & np.isfinite(parts.kwh) & member[:, None])
    a, kwh = A[well, month], parts.kwh[well, month]
    squares = np.outer(kwh, kwh) + np.diag(parts.kwh_variance[well, month])
    fixed = np.where(met, parts.measured.volume_m3, 0.0).sum(axis=1)
    same = well[:, None] == well
    first, second = 0.0, 0.0
    for k, weight in enumerate(posterior.weight):
        cross = a @ posterior.covariances[k] @ a.T + np.where(same, own[k][well], 0.0)
        log_mean = a @ posterior.means[k] + (parts.log_offset + shift)[well] + 0.5 * np.diag(cross)
        converted = kwh @ np.exp(log_mean)
        first += weight * (converted + fixed.sum())
        pairs = np.vdot(squares, np.exp(log_mean[:, None] + log_mean + cross))
        second += weight * (pairs + 2.0 * converted * fixed.sum() + fixed.sum() ** 2)
    second += fixed**2 @ parts.measured.own_error
    return first, np.sqrt(second * (1.0 + meter_rel_u**2) - first**2)


@pytest.mark.parametrize("one_node", [False, True])
@pytest.mark.parametrize("domain", ["county", "township", "aquifer"])
def test_totals_have_the_exact_moments_of_the_posterior(
    case, coefficient, volume, world, domain, one_node, monkeypatch
):
    """Without draws: the closed form is linear in wells, the oracle sums over all pairs of them at every node."""
    monkeypatch.setattr(totals_module, "_DOMAINS_BY_NODE", 0 if one_node else 512)
    labels = np.full(200, "all", dtype=object) if domain == "county" else case.wells[domain].to_numpy(dtype=object)
    totals = volume.total(labels)
    rel_u = coefficient.options.shared_meter_rel_u
    known = np.isfinite(volume.wells.volume_m3)
    mean, sd = np.transpose([exact_moments(world, known & (labels == key), rel_u) for key in totals.keys])
    np.testing.assert_allclose(totals.volume_m3, mean, rtol=0.0006)
    np.testing.assert_allclose(totals.se_m3, sd, rtol=0.012 if one_node else 0.006)


@pytest.fixture(scope="module")
def simulated(coefficient, world):
    """Volumes of all wells in ``DRAWS`` worlds: node, θ, own levels, energy, pair errors and the meters' common error.

    Each well is shifted by ½a'(Q - C)a, as `Posterior.unbiasing` says; the closed form claims no other departure.
    """
    posterior, parts, A, shift, own = world
    rng, n, kwh = np.random.default_rng(1), 200, np.nan_to_num(parts.kwh)
    measured = np.where(parts.sampled[:, None], parts.measured.volume_m3, np.nan)
    out = np.empty((DRAWS, n))
    node = rng.choice(posterior.weight.size, DRAWS, p=posterior.weight)
    for k in np.unique(node):
        draws = np.flatnonzero(node == k)
        theta = rng.multivariate_normal(posterior.means[k], posterior.covariances[k], draws.size)
        log_kappa = np.einsum("nmp,dp->dnm", A, theta, optimize=True)
        log_kappa += (parts.log_offset + shift + np.sqrt(own[k]) * rng.standard_normal((draws.size, n)))[:, :, None]
        energy = kwh + np.sqrt(parts.kwh_variance) * rng.standard_normal((draws.size, n, 3))
        met = measured * (1 + np.sqrt(parts.measured.own_error) * rng.standard_normal((draws.size, n)))[:, :, None]
        common = 1 + coefficient.options.shared_meter_rel_u * rng.standard_normal(draws.size)
        out[draws] = np.where(np.isfinite(measured), met, energy * np.exp(log_kappa)).sum(axis=2) * common[:, None]
    return out


def test_the_case_has_everything_in_it(case, volume):
    assert (
        set(volume.wells.method) == {"measured", "converted", "imputed", "none"} or volume.wells.partly_measured.any()
    )
    assert volume.wells.sampled.sum() == 14


def test_wells_agree_with_simulation(volume, simulated):
    known = np.isfinite(volume.wells.volume_m3) & (volume.wells.volume_m3 > 0)
    found, se = volume.wells.volume_m3[known], volume.wells.se_m3[known]
    mean, sd = simulated[:, known].mean(axis=0), simulated[:, known].std(axis=0)
    np.testing.assert_allclose(found, mean, rtol=0.015)
    assert np.mean(found / mean) == pytest.approx(1.0, abs=0.004)
    np.testing.assert_allclose(se, sd, rtol=0.05)
    assert np.mean(se / sd) == pytest.approx(1.0, abs=0.015)


@pytest.mark.parametrize("domain", ["county", "township", "aquifer"])
def test_totals_agree_with_simulation(case, volume, simulated, domain):
    labels = np.full(200, "all", dtype=object) if domain == "county" else case.wells[domain].to_numpy(dtype=object)
    totals = volume.total(labels)
    known = np.isfinite(volume.wells.volume_m3)
    worlds = np.column_stack([simulated[:, known & (labels == key)].sum(axis=1) for key in totals.keys])
    np.testing.assert_allclose(totals.volume_m3, worlds.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(totals.se_m3, worlds.std(axis=0), rtol=0.02)
    inside = ((totals.lower_m3 < worlds) & (worlds < totals.upper_m3)).mean(axis=0)
    np.testing.assert_allclose(inside, 0.90, atol=0.012)
    scale = np.sqrt(np.outer(*2 * [worlds.var(axis=0)]))
    np.testing.assert_allclose(volume.covariance(totals) / scale, np.cov(worlds.T) / scale, atol=0.045)


def test_what_wells_err_by_together_where_readings_were_spread_is_in_totals_and_covariances(case, coefficient, volume):
    """Rates of two months are uncertain in the county, and in every township by itself: against full matrices."""
    rng, months, n = np.random.default_rng(8), quarter_months(QUARTER), 200
    town, keys = pd.factorize(case.wells["township"], sort=True)
    row, month, source = np.repeat(np.arange(n), 4), np.tile([0, 0, 1, 1], n), np.tile([0, 1, 0, 1], n)
    slope = rng.lognormal(3.0, 1.0, n)[row] * np.tile([1.0, -0.7, -1.0, 0.7], n)
    rates, apart = np.diag([0.04, 0.09, 0.0]), np.array([0.3, 0.2, 0.0])
    spreading = Spreading(months, rates, row, month, source, slope, town[row], apart)
    told = replace(case, energy=replace(case.energy, spreading=spreading)).volume(coefficient)
    used = volume.monthly_kwh > 0
    kappa = np.divide(volume.wells.converted_m3, volume.monthly_kwh, out=np.zeros((n, 3)), where=used)
    load = np.zeros((n, 3))
    np.add.at(load, (row, source), slope * kappa[row, month])
    joint = load @ rates @ load.T + (town[:, None] == town) * (load @ np.diag(apart**2) @ load.T)
    member = np.eye(len(keys))[town]
    added = member.T @ joint @ member
    before, after = (v.total(case.wells["township"]) for v in (volume, told))
    assert after.keys.tolist() == keys.tolist()
    np.testing.assert_allclose(after.own_m6 - before.own_m6, np.diag(added), rtol=1e-6)
    off = ~np.eye(len(keys), dtype=bool)
    np.testing.assert_allclose((told.covariance(after) - volume.covariance(before))[off], added[off], rtol=1e-6)
    assert told.county.own_m6[0] - volume.county.own_m6[0] == pytest.approx(joint.sum(), rel=1e-6)
    alone = 1.0 + np.diag(joint) / np.maximum(volume.wells.volume_m3, 1e-9) ** 2
    known = np.isfinite(volume.wells.volume_m3) & ~volume.wells.sampled & (volume.wells.volume_m3 > 0)
    assert (told.wells.se_m3 > volume.wells.se_m3)[known & (alone > 1.001)].all()


def test_intervals_of_wells_hold_their_share_of_worlds(volume, simulated):
    known = np.isfinite(volume.wells.volume_m3) & (volume.wells.volume_m3 > 0)
    inside = (volume.wells.lower_m3 < simulated) & (simulated < volume.wells.upper_m3)
    assert inside[:, known].mean() == pytest.approx(0.90, abs=0.01)
    assert inside[:, known].mean(axis=0).min() > 0.86


def test_wells_add_up_to_every_total_and_months_to_the_quarter(case, volume):
    county = volume.county
    for labels in (case.wells["township"], case.wells["aquifer"], np.arange(200) % 7):
        totals = volume.total(labels.to_numpy(dtype=object) if isinstance(labels, pd.Series) else labels)
        assert totals.volume_m3.sum() == pytest.approx(county.volume_m3[0], rel=1e-9)
        assert totals.kwh.sum() == pytest.approx(county.kwh[0], rel=1e-9)
        assert totals.n_by_method.sum() == 200
        # Lognormal moments of parts and whole agree to second order in the relative variance.
        assert volume.covariance(totals).sum() == pytest.approx(volume.covariance(county)[0, 0], rel=5e-3)
    assert np.nansum(volume.wells.volume_m3) == pytest.approx(county.volume_m3[0], rel=1e-9)
    np.testing.assert_allclose(np.nan_to_num(volume.wells.volume_m3), volume.monthly_m3.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(np.nan_to_num(volume.wells.kwh), volume.monthly_kwh.sum(axis=1), rtol=1e-9)


def test_wells_without_energy_are_counted_and_never_zero(volume):
    blank = volume.wells.method == "none"
    assert np.flatnonzero(blank).tolist() == [17, 90]
    assert np.isnan(volume.wells.volume_m3[blank]).all()
    assert np.isnan(volume.wells.upper_m3[blank]).all()
    assert volume.county.n_wells[0] == 200
    assert volume.county.n_by_method[0].sum() == 200
    assert volume.county.n_by_method[0, 3] == 2


def test_measured_months_report_what_was_measured(case, volume):
    pairs = case.pairs.assign(place=pd.Index(volume.wells.well_id).get_indexer(case.pairs["well_id"]))
    for m, month in enumerate(quarter_months(QUARTER)):
        met = pairs[pairs["start"] == month.astype("datetime64[s]")]
        np.testing.assert_allclose(volume.monthly_m3[met["place"], m], met["volume_m3"], rtol=1e-12)
    assert len(pairs[pairs["start"] >= np.datetime64("2026-07-01")]) > 10


def test_the_order_of_wells_does_not_matter(case, volume):
    order = np.random.default_rng(2).permutation(200)
    energy = replace(case.energy, **{
        name: getattr(case.energy, name)[order] for name in ("well_id", "kwh", "variance", "quality")
    })  # fmt: skip
    shuffled = replace(case, wells=case.wells.iloc[order].reset_index(drop=True), energy=energy)
    again = shuffled.volume()
    np.testing.assert_allclose(again.wells.volume_m3, volume.wells.volume_m3[order], rtol=1e-6)
    for name in ("volume_m3", "se_m3", "lower_m3", "upper_m3"):
        np.testing.assert_allclose(getattr(again.county, name), getattr(volume.county, name), rtol=1e-6)


def test_domains_in_portions_give_the_same(case, volume, monkeypatch):
    labels = np.array([f"p{k % 61}" for k in range(200)], dtype=object)
    labels[5] = None
    whole = volume.total(labels)
    monkeypatch.setattr(totals_module, "_DOMAINS_AT_ONCE", 16)
    parts = volume.total(labels)
    for name in ("keys", "n_wells", "n_by_method"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for name in ("kwh", "volume_m3", "se_m3", "lower_m3", "upper_m3", "own_m6"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9, atol=1e-9)
    assert parts.n_wells.sum() == 199


def test_very_many_domains_are_nearly_as_exact(volume, monkeypatch):
    """Beyond 512 domains the nodes of a domain follow the county's: to 2 % in the standard error."""
    labels = np.array([f"p{k % 61}" for k in range(200)], dtype=object)
    exact = volume.total(labels)
    monkeypatch.setattr(totals_module, "_DOMAINS_BY_NODE", 1)
    quick = volume.total(labels)
    for name in ("volume_m3", "se_m3", "lower_m3", "upper_m3"):
        np.testing.assert_allclose(getattr(quick, name), getattr(exact, name), rtol=0.02)


def test_very_many_domains_of_an_idle_quarter_are_zero(case, coefficient, monkeypatch):
    """No well runs in a frozen quarter: every total is 0 ± 0, whatever the number of permits."""
    kwh = case.energy.kwh.copy()
    kwh[:, -3:] = 0.0
    idle = replace(case, energy=replace(case.energy, kwh=kwh))
    measured = coefficient.measured
    unread = replace(coefficient, measured=replace(measured, test=np.ones_like(measured.test)))
    monkeypatch.setattr(totals_module, "_DOMAINS_BY_NODE", 8)
    totals = idle.volume(unread).total(np.arange(200) % 20)
    for name in ("volume_m3", "se_m3", "lower_m3", "upper_m3"):
        np.testing.assert_array_equal(getattr(totals, name), 0.0)


def test_coefficients_of_classes_are_ratios_of_volume_to_energy(case, volume):
    codes, names = pd.factorize(case.wells["aquifer"], sort=True)
    found = volume.stratum_coefficients(codes.astype(np.intp), names.size)
    for m in range(3):
        frame = pd.DataFrame({"m3": volume.monthly_m3[:, m], "kwh": volume.monthly_kwh[:, m]}).groupby(codes).sum()
        np.testing.assert_allclose(found.mean[:, m], frame["m3"] / frame["kwh"])
    assert (found.log_variance > volume.shared_meter_rel_u**2).all()
    assert (np.sqrt(found.log_variance) < 0.4).all()


def test_joint_covariance_of_coefficients_gives_the_error_of_the_months_total(case, volume):
    """Σ E κ over classes is the volume of a month: its variance from the joint covariance equals that of the total."""
    codes, names = pd.factorize(case.wells["aquifer"], sort=True)
    found = volume.stratum_coefficients(codes.astype(np.intp), names.size)
    np.testing.assert_allclose(
        np.diag(found.covariance), (found.mean**2 * np.expm1(found.log_variance)).ravel(), rtol=1e-10
    )
    assert np.linalg.eigvalsh(found.covariance).min() > -1e-9 * np.trace(found.covariance)
    whole = volume.stratum_coefficients(np.zeros(codes.size, dtype=np.intp), 1)
    kwh = np.array([np.bincount(codes, volume.monthly_kwh[:, m], names.size) for m in range(3)]).T
    month = np.arange(3 * names.size).reshape(names.size, 3)[:, 1]
    parts = kwh[:, 1] @ found.covariance[np.ix_(month, month)] @ kwh[:, 1]
    assert parts == pytest.approx(whole.covariance[1, 1] * kwh[:, 1].sum() ** 2, rel=0.01)


def test_the_table_is_the_contracts(volume):
    table = volume.table("county", np.full(200, "示范县", dtype=object))
    wanted = "domain key quarter n_wells energy_kwh volume_m3 se_m3 lower_m3 upper_m3 confidence"
    assert " ".join(table.columns[:10]) == wanted
    assert table.loc[0, "key"] == "示范县"
    assert table.loc[0, "lower_m3"] < table.loc[0, "volume_m3"] < table.loc[0, "upper_m3"]


def test_confidence_and_level_of_wells_use_the_mixture(case, coefficient):
    narrow, wide = (case.volume(coefficient, confidence=c) for c in (0.5, 0.95))
    assert (wide.county.lower_m3 < narrow.county.lower_m3).all()
    assert (wide.county.upper_m3 > narrow.county.upper_m3).all()
    assert wide.county.volume_m3 == pytest.approx(narrow.county.volume_m3)
    assert wide.z == pytest.approx(1.959964)
    sd = np.array([[0.1], [0.4]])
    centre = mixture_quantile(0.975, np.zeros((2, 1)), sd, np.array([0.5, 0.5]))[0]
    assert centre > 1.96 * np.sqrt(0.5 * 0.01 + 0.5 * 0.16)


def test_blank_attributes_add_their_spread(case, coefficient):
    months = quarter_months(QUARTER)
    posterior = coefficient.posterior.covering(months)
    context = coefficient.context(case.wells, case.water_levels, case.energy, months)
    added = blank_variance(context, posterior)
    blank = case.wells["irrigated_area_mu"].isna().to_numpy()
    k = 1 + [f.name for f in coefficient.spec.numeric].index("log_energy_per_mu")
    slope2 = posterior.mean[k] ** 2 + posterior.covariance[k, k]
    least = slope2 * coefficient.spec.numeric[k - 1].spread ** 2
    assert (added[blank] >= least * (1 - 1e-9)).all()
    assert (added[~blank] >= 0).all()
    assert np.median(added[blank]) > np.median(added[~blank])


def test_what_blanks_leave_is_counted_once():
    """Oracle: the variance of levels is that of the measured wells with their blanks; wells like them have no more."""
    case = small_case(n_wells=160, n_sample=24)
    blank = np.random.default_rng(4).random(160) < 0.4
    case = case.with_wells(pump_depth_m=case.wells["pump_depth_m"].mask(blank))
    coefficient, months = case.fit(), quarter_months(QUARTER)
    posterior = coefficient.posterior.covering(months)
    context = coefficient.context(case.wells, case.water_levels, case.energy, months)
    beyond, left = unseen_blanks(context, posterior), blank_variance(context, posterior)
    assert blank[posterior.sample].any()
    assert beyond[posterior.sample].mean() == pytest.approx(0.0, abs=1e-12)
    assert left[posterior.sample].mean() > 1e-3
    np.testing.assert_allclose(np.subtract.outer(beyond, beyond), np.subtract.outer(left, left), atol=1e-12)
    plain = replace(posterior, sample=np.flatnonzero(left == left.min())[:3])
    assert (unseen_blanks(context, plain) >= 0).all()


def test_water_of_months_goes_with_their_electricity(case, coefficient):
    """Half a year from April: July to September have what they have of its electricity, in parts by days of a month.

    A third of it is outside, and errs by how far κ of the two parts lies apart; of electricity that is not known, days.
    """
    made = coefficient.measured.take(np.zeros(4, dtype=np.intp))
    stamps = (
        ("2026-04-01", "2026-10-01"),
        ("2026-04-01", "2026-10-01"),
        ("2026-06-16", "2026-08-01"),
        *[("2026-07-01",) * 2],
    )
    start, end = (np.array(s, dtype="datetime64[s]") for s in zip(*stamps, strict=True))
    made = replace(made, well=np.arange(4), start=start, end=end, energy_kwh=np.full(4, 60.0),
                   volume_m3=np.full(4, 900.0), meter_rel_u=np.full(4, 0.02))  # fmt: skip
    months = case.energy.months
    kwh = np.zeros((4, months.size))
    kwh[:, np.searchsorted(months, np.datetime64("2026-04")) + np.arange(6)] = [5.0, 5.0, 10.0, 30.0, 0.0, 10.0]
    kwh[1, np.searchsorted(months, np.datetime64("2026-05"))] = np.nan
    energy = MonthlyEnergy(np.arange(4), months, kwh, 0.0 * kwh, np.full(kwh.shape, "A"))
    found = measured_months(
        made, np.ones(4, dtype=bool), quarter_months(QUARTER), energy, meter_rel_u=0.03, pair_error=0.0
    )
    nan = np.nan
    days = np.array([31, 31, 30]) / 183 * 900
    expected = [[450.0, 0.0, 150.0], days, [900.0 * 30 / 35, nan, nan], [nan, nan, nan]]
    np.testing.assert_allclose(found.volume_m3, expected, rtol=1e-12)
    np.testing.assert_allclose(found.own_error[0], 0.02**2 + (0.05 / 3) ** 2, rtol=1e-12)


def test_pairs_are_laid_over_months_by_days(case, coefficient):
    """Oracle: 62 days from 1 July are two whole months, halved by days; 20 days measure no month."""
    m = coefficient.measured
    three = m.take(np.array([0, 0, 0]))
    stamps = ("2026-07-01", "2026-09-01"), ("2026-07-01", "2026-07-21"), ("2026-07-01", "2026-08-01")
    start, end = (np.array(s, dtype="datetime64[s]") for s in zip(*stamps, strict=True))
    made = replace(three, well=np.arange(3), start=start, end=end, energy_kwh=np.full(3, 100.0),
                   volume_m3=np.array([620.0, 200.0, 310.0]), meter_rel_u=np.array([np.nan, 0.03, 0.04]))  # fmt: skip
    unknown = np.full((4, case.energy.months.size), np.nan)
    none = MonthlyEnergy(np.arange(4), case.energy.months, unknown, unknown, np.full(unknown.shape, "N"))
    months, errors = quarter_months(QUARTER), {"meter_rel_u": 0.02, "pair_error": 0.01}
    found = measured_months(made, np.ones(3, dtype=bool), months, none, **errors)
    nan = np.nan
    expected = [[310.0, 310.0, nan], [nan, nan, nan], [310.0, nan, nan], [nan, nan, nan]]
    np.testing.assert_allclose(found.volume_m3, expected)
    np.testing.assert_allclose(found.energy_kwh[0], [50.0, 50.0, nan])
    np.testing.assert_allclose(found.meter_rel_u, [0.02, 0.03, 0.04, 0.02])
    np.testing.assert_allclose(found.own_error, [0.0004 + 0.01 * 0.5, 0.0009, 0.0016 + 0.01, 0.0004])
    broken = measured_months(made, np.array([False, True, True]), months, none, **errors)
    assert np.isnan(broken.volume_m3[0]).all()


def test_wells_of_one_meter_lend_each_other_energy_and_their_sum_keeps_it(case, coefficient):
    """Shares nobody stated: the county's own variance falls by 2·damping·v·v', one well alone keeps its own."""
    window = case.energy.window(*quarter_months(QUARTER)[[0, -1]])
    free = np.flatnonzero(np.isfinite(window.kwh).all(axis=1))
    free = free[~np.isin(free, coefficient.posterior.sample)][:2]
    split = Split(free, np.array([5, 5]), case.energy.kwh[free], np.array([0.1, 0.1]))
    plain, shared = (
        replace(case, energy=replace(case.energy, split=replace(split, damping=damping))).volume(coefficient)
        for damping in (np.full(2, 1e-15), split.damping)
    )
    v = plain.wells.converted_m3[free].sum(axis=1)
    expected = plain.total().own_m6[0] - 0.2 * v[0] * v[1]
    np.testing.assert_allclose(shared.total().own_m6, [expected], rtol=1e-9)
    apart = np.where(np.arange(200) == free[0], "one", "others")
    np.testing.assert_allclose(shared.total(apart).own_m6, plain.total(apart).own_m6, rtol=1e-12)


def test_a_shared_meter_gives_most_to_its_poorer_pumps(case, coefficient):
    """Oracle: meters of two to four wells drawn from the model, asked for water whatever their pumps are worth.

    Half of what they lose is in the slope on energy already (the next test).
    """
    assert coefficient.spec.by_energy
    rng = np.random.default_rng(1)
    alone = case.volume(coefficient)
    free = np.flatnonzero(~alone.wells.sampled & (alone.wells.kwh > 0))
    well = free[: free.size - free.size % 12]
    sizes = np.tile([2, 3, 3, 4], well.size // 12)
    group = np.repeat(np.arange(sizes.size), sizes)
    kwh = np.nan_to_num(case.energy.kwh)[well]
    split = Split(well, group, kwh, np.full(well.size, 0.1))
    shared = replace(case, energy=replace(case.energy, split=split)).volume(coefficient)
    loss = np.log(shared.wells.volume_m3[well] / alone.wells.volume_m3[well])
    asked = alone.wells.kwh[well]  # of equal pumps
    spread = np.sqrt(alone.wells.path_variance[well])
    for g, n in enumerate(sizes):
        mine = group == g
        water = asked[mine] / asked[mine].sum()
        drawn = np.exp(spread[mine] * rng.standard_normal((200_000, n)))
        true = 1.0 / (water / drawn).sum(axis=1)
        expected = np.log(true.mean() / (water @ drawn.mean(axis=0)))
        assert np.log(water @ np.exp(2.0 * loss[mine])) == pytest.approx(expected, rel=0.1, abs=0.001)


@pytest.mark.parametrize(("spread", "n_wells"), [(0.4, 3), (0.7, 3), (0.5, 2)])
def test_half_of_what_shared_meters_lose_is_in_the_slope_on_energy(spread, n_wells):
    """Simulated meters: demand and pumps lognormal, ln κ regressed on energies of wells with meters of their own."""
    rng = np.random.default_rng(1)
    total_variance = 0.06
    demand = np.exp(spread * rng.standard_normal((200_000, n_wells)))
    kappa = np.exp(np.sqrt(total_variance) * rng.standard_normal(demand.shape))
    energy = demand / kappa
    slope = -total_variance / (total_variance + spread**2)
    left = total_variance * (1.0 + slope)
    shared = energy.sum(axis=1)
    plain = shared * np.exp(slope * np.log(shared / n_wells) + 0.5 * left)
    lost = left * (1.0 - 1.0 / n_wells)
    off = [np.log((plain * np.exp(-part * lost)).sum() / demand.sum()) for part in (0.0, 0.5, 1.0)]
    assert abs(off[1]) < 0.006
    assert off[0] > 0.007
    assert off[2] < -0.007


def test_covariance_of_months_enters_the_well_and_its_totals(case, coefficient):
    place = np.searchsorted(case.energy.months, quarter_months(QUARTER))
    turning = (case.energy.kwh[:, place] > 0).all(axis=1)
    turning[coefficient.posterior.sample] = False
    well = int(np.flatnonzero(turning)[3])
    lags = np.zeros((2, *case.energy.kwh.shape))
    lags[:, well] = -0.0005 * case.energy.kwh[well].min() ** 2
    plain = case.volume(coefficient)
    bound = replace(case, energy=replace(case.energy, lags=lags)).volume(coefficient)
    others = np.arange(200) != well
    np.testing.assert_array_equal(bound.wells.own_variance_m6[others], plain.wells.own_variance_m6[others])
    kappa = plain.wells.converted_m3[well] / plain.monthly_kwh[well]
    near, far = lags[:, well, place]
    change = 2 * (kappa[0] * kappa[1] * near[0] + kappa[1] * kappa[2] * near[1] + kappa[0] * kappa[2] * far[0])
    found = bound.wells.own_variance_m6[well] - plain.wells.own_variance_m6[well]
    assert found == pytest.approx(change, rel=1e-6)


def test_domains_of_the_registry_are_known_by_name_and_others_refused(case, volume):
    by_hand = volume.table("township", case.wells["township"])
    pd.testing.assert_frame_equal(volume.table("township"), by_hand)
    np.testing.assert_array_equal(volume.total("aquifer").se_m3, volume.total(case.wells["aquifer"]).se_m3)
    partly = case.wells["township"].where(np.arange(200) % 5 > 0)
    blank = replace(volume, domains={"permit_no": partly})
    pd.testing.assert_frame_equal(blank.table("permit_no"), blank.table("permit_no", partly.fillna("未知")))
    assert blank.table("permit_no")["volume_m3"].sum() == pytest.approx(volume.county.volume_m3[0])
    assert volume.total("county").volume_m3[0] == pytest.approx(np.nansum(volume.wells.volume_m3))
    with pytest.raises(UsageError, match=r"county, township, aquifer.*'twnship'"):
        volume.total("twnship")
    with pytest.raises(UsageError, match="each of the 200 wells, found 199"):
        volume.total(case.wells["township"].iloc[1:])


def test_a_notebook_is_shown_the_total_and_not_arrays(case, volume):
    total = volume.county
    counts = ", ".join(
        f"{(volume.wells.method == name).sum()} {name}" for name in METHODS if (volume.wells.method == name).any()
    )
    low, high = total.lower_m3[0], total.upper_m3[0]
    assert repr(volume) == (
        f"Volume({QUARTER}, 200 wells: {counts}; {total.volume_m3[0]:,.0f} m³, 90% interval {low:,.0f} – {high:,.0f})"
    )
    assert f"{int((~np.isfinite(case.energy.kwh[:, -1])).sum())}</td>" in case.energy._repr_html_().rsplit("<tr>", 1)[1]
    towns = volume.total("township")
    shown = repr(towns).splitlines()
    assert shown[0] == f"Totals({towns.keys.size} domains)"
    assert [line.split()[0] for line in shown[2:]] == towns.keys.tolist()
    assert [float(line.split()[3]) for line in shown[2:]] == pytest.approx(towns.volume_m3, abs=0.05)
