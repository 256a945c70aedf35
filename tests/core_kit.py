"""Small counties and posteriors for the tests of the statistical core."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from elec2water.coefficient import gaussian
from elec2water.coefficient.fit import fit_coefficient
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.posterior import SD_NAMES, Posterior, SdDensity, well_variances
from elec2water.coefficient.shared import Factor, Layout, Regressor
from elec2water.demo import measure_pairs, simulate_county
from elec2water.energy import MonthlyEnergy
from elec2water.volume import estimate_volume

QUARTER = "2026Q3"
SD = {"level": 0.22, "drift": 0.06, "error": 0.05, "stratum": 0.1, "township": 0.07, "month": 0.05}
PSI = np.log([SD[name] for name in SD_NAMES])


def exact_energy(county, variance=0.0):
    """The electricity that the wells really took, each month with a relative variance."""
    kwh = np.asarray(county.energy_kwh, dtype=np.float64)
    return MonthlyEnergy(county.well_id, county.months, kwh, variance * kwh**2, np.full(kwh.shape, "A"))


@dataclass(frozen=True)
class Case:
    """A county as a fit sees it; `replace` makes others of it."""

    pairs: pd.DataFrame
    wells: pd.DataFrame
    water_levels: pd.DataFrame | None
    energy: MonthlyEnergy
    truth_m3: np.ndarray
    options: object = None
    until: object = None

    def fit(self):
        return fit_coefficient(
            self.pairs, self.wells, self.water_levels, energy=self.energy, options=self.options, until=self.until
        )

    def volume(self, coefficient=None, quarter=QUARTER, **arguments):
        coefficient = coefficient or self.fit()
        arguments = {"wells": self.wells, "water_levels": self.water_levels} | arguments
        return estimate_volume(coefficient, self.energy, quarter=quarter, **arguments)

    def with_wells(self, **columns):
        return replace(self, wells=self.wells.assign(**columns))


def small_case(n_wells=80, n_sample=10, seed=3, *, months=36, last_pair=-4, pair_months=12, **campaign):
    """A demo county all on the grid, some wells measured for a year before the last quarter."""
    county = simulate_county(n_wells, seed, months=months, n_townships=min(4, n_wells))
    if "power_source" in county.wells:
        county = replace(county, wells=county.wells.assign(power_source="grid"))
    took = np.asarray(county.energy_kwh).sum(axis=1)
    candidates = np.flatnonzero(took > 0)
    chosen = np.sort(np.random.default_rng(seed).permutation(candidates)[:n_sample])
    settings = {"refusal": 0.0, "outliers": 0.0, "seed": seed} | campaign
    last = county.months[last_pair]
    pairs = measure_pairs(county, county.well_id[chosen], first=last - pair_months + 1, last=last, **settings)
    truth = np.asarray(county.volume_m3, dtype=np.float64)
    return Case(pairs, county.wells, county.water_levels, exact_energy(county), truth)


def small_layout(months=None, regressor_sd=0.5):
    """A layout with everything in it, small: two slopes, two factors, wear, two aquifers × months."""
    months = np.arange("2025-04", "2025-09", dtype="datetime64[M]") if months is None else months
    return Layout(
        (Regressor("intercept", 1.0, regressor_sd), Regressor("depth", -0.6, regressor_sd)),
        (
            Factor("stratum", ("a", "b", "c"), variance="stratum"),
            Factor("township", ("u", "v"), variance="township"),
            Factor("method", ("border", "pipe"), sd=0.2),
        ),
        (Regressor("years", -0.02, regressor_sd),),
        ("deep", "shallow"),
        months,
    )


def draw_rows(layout, rng, n_wells=14, most_pairs=5, months=None):
    """Sample wells of a layout with no κ yet: well k is of stratum k mod 3, township k mod 2."""
    within = layout.months if months is None else months
    counts = rng.integers(2, most_pairs + 1, n_wells)
    well = np.repeat(np.arange(n_wells), counts)
    month = np.concatenate([np.sort(rng.choice(within, k, replace=k > within.size)) for k in counts])
    k = np.arange(n_wells)
    one_hot = [np.eye(len(f.levels))[(k + j) % len(f.levels)] for j, f in enumerate(layout.factors)]
    year = 1970.0 + month.astype(np.int64) / 12.0
    return Rows(
        well=well,
        y=np.zeros(well.size),
        time=year,
        pump=np.zeros(well.size, dtype=np.intp),
        unread=np.zeros(well.size),
        cell=(k % 2)[well] * layout.months.size + np.searchsorted(layout.months, month),
        static=np.hstack([np.ones((n_wells, 1)), rng.normal(0, 0.5, (n_wells, 1)), *one_hot]),
        moving=(year - 2025.5)[:, None],
        scale=np.ones(well.size),
        extra=np.zeros(well.size),
        level_scale=np.ones(n_wells),
        n_cells=layout.n_cells,
    )


def posterior_at(rows, layout, psi=PSI):
    """The posterior with the variances held fixed."""
    groups = gaussian.group_wells(rows)
    blocks = gaussian.eliminate_wells(rows, groups, well_variances(psi))
    solution = gaussian.solve_shared(blocks, layout.prior(dict(zip(SD_NAMES, np.exp(psi), strict=True))))
    return Posterior(
        layout,
        np.exp(psi)[None],
        np.ones(1),
        solution.mean[None],
        solution.covariance()[None],
        rows,
        np.arange(rows.n_wells),
        solution.log_likelihood,
    )


def density_of(rows, layout):
    return SdDensity(rows, gaussian.group_wells(rows), layout)
