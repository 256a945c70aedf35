"""Planning a county's network: where its expectations come from, and how odd counties end."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from elec2water.coefficient import fit_coefficient
from elec2water.config import DesignConfig
from elec2water.county import read_project
from elec2water.demo import simulate_county, write_county
from elec2water.design import learned, write_design
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.planning import plan_sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A demo county without a design and with pairs of forty wells."""
    county = simulate_county(160, 4)
    usable = county.wells.loc[county.electric & (county.energy_kwh[:, -12:].sum(axis=1) > 0), "well_id"]
    return write_county(tmp_path_factory.mktemp("county") / "demo", county, sample=usable.iloc[:40].tolist())


def pairs_of(county, rows):
    """A year of monthly pairs of some wells, read without error."""
    months = county.months[-12:].astype("datetime64[s]")
    ends = (county.months[-12:] + 1).astype("datetime64[s]")
    table = pd.DataFrame(
        {
            "well_id": np.repeat(county.wells["well_id"].to_numpy(dtype=object)[rows], 12),
            "start": np.tile(months, rows.size),
            "end": np.tile(ends, rows.size),
            "energy_kwh": np.asarray(county.energy_kwh)[rows][:, -12:].ravel(),
            "volume_m3": np.asarray(county.volume_m3)[rows][:, -12:].ravel(),
        }
    ).astype({"well_id": "str"})
    return table.loc[table["energy_kwh"] > 0].reset_index(drop=True)


def altered(folder, *, wells=None, pairs=None, **design):
    county = read_project(folder)
    tables = county.tables
    if wells is not None:
        tables = dataclasses.replace(tables, wells=wells(tables.wells.copy()))
    if pairs is not None:
        tables = dataclasses.replace(tables, pairs=tables.pairs.iloc[:pairs])
    section = DesignConfig(**design)
    return dataclasses.replace(county, tables=tables, config=county.config.model_copy(update={"design": section}))


def test_expectations_come_from_pairs_and_without_them_from_published_priors(folder):
    fitted = plan_sample(altered(folder), n=20, seed=1)
    assert fitted.policy["anticipated"] == "pairs"
    prior = plan_sample(altered(folder, pairs=0), n=20, seed=1)
    assert prior.policy["anticipated"] == "published priors"
    # Wells of one class differ by 0.27; a slope of -0.25 on energy per mu leaves 0.27 √(1 - 0.25) of it.
    assert prior.frame["log_sd"].min() == prior.frame["log_sd"].median() == pytest.approx(0.27 * 0.75**0.5, abs=1e-6)
    without = plan_sample(altered(folder, pairs=0, wells=lambda w: w.drop(columns="irrigated_area_mu")), n=20, seed=1)
    assert without.frame["log_sd"].median() == pytest.approx(0.27 * 0.9**0.5, abs=1e-6)
    assert prior.frame["coefficient_m3_per_kwh"].between(0.3, 20).all()


def test_slopes_and_townships_are_uncertain_together():
    """Var(x'β + z_town) of every well, by draws from the posterior, beside the closed form."""
    county = simulate_county(160, 4)
    measured = np.flatnonzero(county.electric & (county.energy_kwh[:, -12:].sum(axis=1) > 0))[:40]
    pairs = pairs_of(county, measured)
    energy = MonthlyEnergy(
        county.wells["well_id"].to_numpy(dtype=object),
        county.months,
        np.asarray(county.energy_kwh, dtype=np.float64),
        np.zeros_like(county.energy_kwh),
        np.full(county.energy_kwh.shape, "A"),
    )
    coefficient = fit_coefficient(pairs, county.wells, county.water_levels, energy=energy)
    found = learned(coefficient, county.wells, county.water_levels, energy, source="pairs")
    posterior = coefficient.posterior
    context = coefficient.context(county.wells, county.water_levels, energy, energy.months[-1:])
    layout, static = posterior.layout, context.static
    draws = np.random.default_rng(1).multivariate_normal(posterior.mean, posterior.covariance, 4_000)
    q = static.dense.shape[1]
    balanced = ("intercept", "log_pump_depth", "log_energy", "log_energy_per_mu")
    told = [effect.name not in balanced for effect in layout.static[:q]]
    start = layout.factor_start("township")
    k = [factor.name for factor in layout.factors].index("township")
    effects = np.column_stack([draws[:, start : start + len(layout.factors[k].levels)], np.zeros(len(draws))])
    sampled = ((draws[:, :q] * told) @ static.dense.T + effects[:, static.codes[:, k]]).var(axis=0)
    new = static.codes[:, k] == len(layout.factors[k].levels)
    own = sampled + posterior.variance["level"] + posterior.variance["drift"]
    own += new * posterior.variance["township"] + static.blank @ posterior.mean[:q] ** 2
    assert found.log_sd == pytest.approx(np.sqrt(own), rel=0.02)


def test_the_same_wells_are_drawn_whatever_the_order_of_the_registry(folder):
    straight = plan_sample(altered(folder, pairs=0), n=20, seed=1)
    turned = plan_sample(altered(folder, pairs=0, wells=lambda w: w.iloc[::-1]), n=20, seed=1)
    pd.testing.assert_frame_equal(straight.sample, turned.sample)


def test_a_well_sampled_before_and_now_sealed_is_named(folder):
    sealed = read_project(folder).pairs["well_id"].iloc[0]

    def seal(wells):
        wells["status"] = np.where(wells["well_id"] == sealed, "sealed", "in_use")
        return wells.astype({"status": "str"})

    design = plan_sample(altered(folder, wells=seal), n=20, seed=1)
    named = design.findings.of(rule="DESIGN_SAMPLED_NOW_OUT").frame
    assert named["well_id"].tolist() == [sealed]
    assert sealed not in set(design.sample["well_id"])


def test_targets_of_the_configuration_are_kept_and_a_budget_needs_its_costs(folder):
    design = plan_sample(altered(folder, targets={"county": 0.08, "township": 0.2}), seed=1)
    promised = design.precision.dropna(subset="target_cv")
    assert (promised["expected_cv"] <= promised["target_cv"]).all()
    assert set(promised["domain"]) == {"county", "township"}
    with pytest.raises(UsageError, match="cost_per_well"):
        plan_sample(altered(folder), budget=10_000, seed=1)
    paid = plan_sample(altered(folder, cost_per_well=1_000.0, cost_per_township=500.0), budget=25_000, seed=1)
    assert paid.policy["cost"] <= 25_000


@pytest.mark.parametrize(
    ("n", "text"),
    [(10_000, "larger than"), (0, "n")],
)
def test_numbers_that_do_not_fit_are_errors(folder, n, text):
    with pytest.raises(UsageError, match=text):
        plan_sample(altered(folder, pairs=0), n=n, seed=1)


def test_breaks_of_a_column_that_makes_no_strata_are_an_error(folder):
    with pytest.raises(UsageError, match="depth"):
        plan_sample(altered(folder, pairs=0, breaks={"depth": (30.0,)}), n=20, seed=1)
    with pytest.raises(UsageError, match="between 0 and 1"):
        plan_sample(altered(folder, pairs=0), target_cv=5.0, seed=1)


def test_one_stratum_and_no_places_are_no_obstacle(folder):
    def bare(wells):
        return wells.drop(columns=["longitude", "latitude"], errors="ignore").assign(aquifer="浅层")

    design = plan_sample(altered(folder, wells=bare, pairs=0, by=()), n=12, seed=1)
    assert len(design.allocation) == 1
    assert len(design.primary) == 12
    assert len(design.findings.of(rule="DESIGN_NO_COORDINATES")) == 1


def test_an_extended_network_of_a_folder_keeps_its_wells(folder):
    with pytest.raises(UsageError, match="no network to extend"):
        plan_sample(altered(folder, pairs=0), n=24, seed=2, extend=True)
    first = plan_sample(altered(folder, pairs=0), n=16, seed=1)
    write_design(first, folder / "design")
    second = plan_sample(altered(folder, pairs=0), n=24, seed=2, extend=True)
    assert set(first.primary["well_id"]) <= set(second.primary["well_id"])
