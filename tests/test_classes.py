"""Coefficients of classes: the interval is that of draws from the posterior, the counts are those of the pairs."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import elec2water as e2w
from elec2water.coefficient.classes import class_table


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    return e2w.read_project(e2w.demo(tmp_path_factory.mktemp("classes") / "county", wells=120, seed=5))


@pytest.fixture(scope="module")
def coefficient(county):
    return e2w.fit_coefficient(county.pairs, county.wells, county.water_levels, energy=county.energy()[0])


def attributes(coefficient, stratum):
    """Mean regressors of the sample wells of a class, from the names of the effects."""
    posterior = coefficient.posterior
    column = posterior.layout.names.index(f"stratum[{stratum}]")
    static = posterior.rows.static
    a = np.zeros(posterior.layout.size)
    a[: static.shape[1]] = static[static[:, column] == 1.0].mean(axis=0)
    return a


def draws_of_class_mean(coefficient, stratum, *, shared_meter_rel_u, n=200_000):
    """Mean κ over the wells of a class: nodes by weight, shared effects and the meters' common error drawn."""
    posterior, rng = coefficient.posterior, np.random.default_rng(0)
    a = attributes(coefficient, stratum)
    node = rng.choice(posterior.weight.size, n, p=posterior.weight)
    mean = posterior.means @ a + 0.5 * (posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2)
    sd = np.sqrt(np.array([a @ C @ a for C in posterior.covariances]))
    return np.exp(mean[node] + sd[node] * rng.standard_normal(n) + shared_meter_rel_u * rng.standard_normal(n))


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_are_those_of_draws_from_the_posterior(coefficient, confidence):
    table = class_table(coefficient.posterior, shared_meter_rel_u=0.05, confidence=confidence)
    for row in table.itertuples():
        draws = draws_of_class_mean(coefficient, row.stratum, shared_meter_rel_u=0.05)
        expected = np.quantile(draws, [0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence])
        np.testing.assert_allclose((row.lower, row.upper), expected, rtol=0.006)
        np.testing.assert_allclose(row.se / row.coefficient_m3_per_kwh, draws.std() / draws.mean(), rtol=0.03)


def test_the_mean_is_the_unbiased_one(coefficient):
    """``exp(a'θ̂ + ½ a'Qa)`` times the wells' own lognormal factor, class by class."""
    posterior = coefficient.posterior
    own = 0.5 * (posterior.variance["level"] + posterior.variance["drift"])
    for row in coefficient.summary.itertuples():
        a = attributes(coefficient, row.stratum)
        expected = np.exp(a @ posterior.mean + own + 0.5 * a @ posterior.unbiasing @ a)
        assert row.coefficient_m3_per_kwh == pytest.approx(expected, rel=1e-12)


def test_every_class_with_pairs_is_there_with_its_wells_and_pairs(county, coefficient):
    """Counted from the tables: the class of a well is that of the registry."""
    class_of = dict(zip(county.wells["well_id"], county.strata.labels, strict=True))
    usable = county.pairs.query("energy_kwh > 0 and volume_m3 > 0 and well_id in @class_of")
    pairs = usable["well_id"].map(class_of).value_counts()
    wells = usable.drop_duplicates("well_id")["well_id"].map(class_of).value_counts()
    table = coefficient.summary.set_index("stratum")
    assert table["n_pairs"].to_dict() == pairs.to_dict()
    assert table["n_sample_wells"].to_dict() == wells.to_dict()


def test_a_fit_and_a_volume_show_themselves(county, coefficient):
    arguments = {"wells": county.wells, "water_levels": county.water_levels}
    volume = e2w.estimate_volume(coefficient, county.energy()[0], quarter="2026Q3", **arguments)
    with mpl.rc_context({"backend": "agg"}):
        ax = coefficient.plot(lang="en")
        assert sorted(t.get_text() for t in ax.get_yticklabels()) == sorted(coefficient.summary["stratum"])
        ax = volume.plot("township", county.wells["township"], lang="en")
        assert {t.get_text() for t in ax.get_yticklabels()} == set(county.wells["township"])
        plt.close("all")
    assert all(stratum[:2] in coefficient._repr_html_() for stratum in coefficient.summary["stratum"])
    assert "volume_m3" in volume._repr_html_()
