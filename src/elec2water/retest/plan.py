"""Which wells to test next: from a coefficient and a quarter's volumes to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.calendar_ import quarter_months
from elec2water.coefficient import Coefficient, features
from elec2water.coefficient.context import on_grid
from elec2water.errors import UsageError
from elec2water.keys import Keys, Labels
from elec2water.pairs import TEST_REL_U
from elec2water.retest.effects import Candidates
from elec2water.retest.greedy import Choice, Prices, choose
from elec2water.retest.later import Later
from elec2water.threads import one_thread
from elec2water.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MOST_TOTALS = 512
"""Totals of one kind beyond which a kind is left out of the choice."""
LEAST_ENERGY = 0.25
"""Least electricity of a well worth a test, as a share of the median of the wells that can be tested."""
YEARS_AHEAD = 1
"""Later years whose totals count as much as the quarter's own: a test is used until the well is tested again."""
IN_USE = "in_use"
_YEAR_SECONDS = 365.25 * 86400.0


@dataclass(frozen=True)
class Costs:
    """What a test costs, in any currency.

    Attributes
    ----------
    well : float or (N,)
        A test of a well, once there.
    visit : float
        A visit to a township, once however many of its wells are tested.
    budget : float
        Most that may be spent.
    """

    well: ArrayLike = 1.0
    visit: float = 0.0
    budget: float = float("inf")


@dataclass(frozen=True)
class RetestPlan:
    """Wells to test, in the order in which they are worth it.

    Attributes
    ----------
    quarter : str
        Quarter whose totals are made sharper.
    wells : DataFrame
        A row a test: ``order, well_id, township, aquifer, stratum, sampled, last_tested_on, years_since_test,
        energy_kwh, sd_log_coefficient`` (now, of the well's own coefficient), ``variance_cut`` (share of the present
        weighted variance that the test takes, the tests before it made), ``se_before_m3, se_after_m3`` (standard error
        of the county total before and after the test), ``cost, cost_per_m3`` (for each m³ of standard error removed).
    totals : DataFrame
        ``domain, key, volume_m3, se_before_m3, se_after_m3`` of every total that was weighed.
    kind : str
        ``test`` or ``meter``.
    """

    quarter: str
    wells: pd.DataFrame
    totals: pd.DataFrame
    kind: str

    @property
    def cost(self) -> float:
        """What the tests cost together."""
        return float(self.wells["cost"].sum())

    def __repr__(self) -> str:
        if self.wells.empty:
            return f"RetestPlan({self.quarter}: no well whose test would help)"
        before, after = self.wells["se_before_m3"].iloc[0], self.wells["se_after_m3"].iloc[-1]
        return (
            f"RetestPlan({self.quarter}: {len(self.wells)} wells, standard error of the county total "
            f"{before:,.0f} → {after:,.0f} m³, cost {self.cost:,.0f})"
        )

    def _repr_html_(self) -> str:
        return self.wells.to_html(index=False)

    def plot(self, **options: object) -> Axes:
        """Draw what the tests are worth.

        Parameters
        ----------
        **options
            As for :func:`elec2water.plot_retest.value_of_tests`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes: Axes = import_module("elec2water.plot_retest").value_of_tests(self.wells, **options)
        return axes


@dataclass(frozen=True)
class _Totals:
    """Totals that are weighed: domain, key, weight (D,) and the place of each well among them by kind (K, N)."""

    domain: NDArray[np.object_]
    key: NDArray[np.object_]
    kind: Ints
    member: Ints


@one_thread
def next_tests(
    coefficient: Coefficient,
    volume: Volume,
    wells: pd.DataFrame,
    *,
    n: int = 10,
    costs: Costs | None = None,
    domains: Mapping[str, Labels] | None = None,
    weights: Mapping[str, float] | None = None,
    kind: str = "test",
    repeats: int = 1,
    years_ahead: int = YEARS_AHEAD,
) -> RetestPlan:
    """Choose the wells, sampled or not, whose tests would cut the variance of the reported totals most for their cost.

    The choice is of a set: after each test every other is worth what it still adds. Totals and tests are one joint
    Gaussian at the posterior's variances, conditioned by updates of rank one; the figures are those that a fit with
    the tests added would give at the same variances. What no test can remove stays: the error common to all water
    meters, and that of the electricity.

    Parameters
    ----------
    coefficient : Coefficient
    volume : Volume
        Of the quarter whose totals are to be sharper; tests are thought of as made in its middle month, so that what
        has drifted since a well was last tested counts.
    wells : DataFrame
        Registry in the order of ``volume``.
    n : int
        Tests to choose.
    costs : Costs, optional
        One a test and nothing for visits, if left out.
    domains : mapping, optional
        Labels (N,) of the wells by kind of total, as for :meth:`Volume.table`; the county alone if left out. A kind
        with more than 512 totals is not weighed.
    weights : mapping, optional
        What a kind counts: its share in the objective, in which every kind's summed variance is now one. The county
        counts as much as all other kinds together if left out.
    kind : {"test", "meter"}
        A short pumping test, or a water meter read over a month.
    repeats : int
        Most tests of one well.
    years_ahead : int
        The totals of the same quarter count also in so many years to come, each as much as now, by what the test will
        still tell of them then: a well's first test tells of its class for good, a test again of this year's movement.
        Zero sharpens the quarter alone.

    Returns
    -------
    RetestPlan

    Raises
    ------
    UsageError
        Arguments that do not fit one another, a weight of a kind that is not there, or a price that is not positive.
    """
    costs = costs or Costs()
    _refuse_unusable(volume, wells, n, costs, kind, repeats)
    if years_ahead < 0:
        raise UsageError(f"years_ahead: expected zero or more, found {years_ahead}")
    coefficient = coefficient.placed(volume.wells.well_id)
    named = domains or {"county": np.full(len(wells), "")}
    labels = {name: volume.keys_of(values) for name, values in named.items()}
    totals = _totals(volume, labels)
    candidates = _candidates(volume, totals, kind)
    before = candidates.total_variances()
    weight = _weights(totals, before[:-1], weights)
    chosen = partial(
        choose,
        n=n,
        prices=_prices(wells, costs),
        allowed=_testable(volume, wells),
        budget=costs.budget,
        repeats=repeats,
    )
    now = np.append(weight, 0.0)
    choice = chosen(candidates, now)
    if years_ahead:
        years = [Later(coefficient, volume, wells, h + 1) for h in range(years_ahead)]
        whole, every = _with_later(candidates, volume, totals, years), np.append(now, np.tile(weight, years_ahead))
        choice = chosen(whole, every, other=choice.well)
    choice = replace(choice, cut=choice.cut[:, : before.size])
    table = _totals_table(volume, totals, labels, choice.cut[:, :-1].sum(axis=0))
    return RetestPlan(volume.quarter, _wells_table(coefficient, volume, wells, choice, weight), table, kind)


def last_tested(coefficient: Coefficient, volume: Volume) -> NDArray[np.datetime64]:
    """Give when each well of a volume was last measured, (N,) datetime64[s]; NaT for never or at an unknown time."""
    measured = coefficient.placed(volume.wells.well_id).measured
    last = np.full(volume.wells.well_id.size, np.datetime64("NaT", "s"))
    dated = measured.take(np.flatnonzero(~np.isnat(measured.end)))
    order = np.lexsort((dated.end, dated.well))
    last[dated.well[order]] = dated.end[order]
    return last


def _prices(wells: pd.DataFrame, costs: Costs) -> Prices:
    """Prices by well; wells whose township is not known share one."""
    if "township" in wells.columns:
        town = pd.factorize(wells["township"], use_na_sentinel=False)[0].astype(np.intp)
    else:
        town = np.zeros(len(wells), dtype=np.intp)
    price = np.broadcast_to(np.asarray(costs.well, dtype=np.float64), (len(wells),))
    return Prices(price, costs.visit, town)


def _refuse_unusable(volume: Volume, wells: pd.DataFrame, n: int, costs: Costs, kind: str, repeats: int) -> None:
    if len(wells) != volume.wells.well_id.size:
        raise UsageError(f"wells: expected the {volume.wells.well_id.size} wells of the volume, found {len(wells)}")
    strange = np.flatnonzero(wells["well_id"].to_numpy(dtype=object) != volume.wells.well_id)
    if strange.size:
        first = wells["well_id"].iloc[strange[:5]].tolist()
        raise UsageError(
            f"wells: expected the order of the volume, found {strange.size} elsewhere ({first}); sort them"
        )
    if n < 1 or repeats < 1:
        raise UsageError(f"n and repeats: expected at least 1, found {n} and {repeats}")
    price = np.asarray(costs.well, dtype=np.float64)
    if price.ndim and price.shape != (len(wells),):
        raise UsageError(f"costs.well: expected a number or one for each of {len(wells)} wells, found {price.shape}")
    if not (price > 0.0).all() or not costs.visit >= 0.0 or not costs.budget > 0.0:
        raise UsageError(
            f"costs: expected a positive price of a test, visits at zero or more and a positive budget, found "
            f"{price.min() if price.size else price}, {costs.visit} and {costs.budget}"
        )
    if kind not in ("test", "meter"):
        raise UsageError(f"kind: expected 'test' or 'meter', found {kind!r}")


def _testable(volume: Volume, wells: pd.DataFrame) -> NDArray[np.bool_]:
    """Wells on the grid, in use, whose volume is converted from electricity, and that do more than tick over.

    A well that hardly runs is the end of a regression: its test would tell much if the line were exact, which it is
    not.
    """
    allowed = on_grid(wells) & (volume.wells.converted_m3.sum(axis=1) > 0.0)
    if "status" in wells.columns:
        allowed &= wells["status"].fillna(IN_USE).eq(IN_USE).to_numpy(dtype=bool)
    kwh = np.nan_to_num(volume.wells.kwh)
    if allowed.any():
        allowed &= kwh >= LEAST_ENERGY * np.median(kwh[allowed])
    return np.asarray(allowed, dtype=bool)


def _totals(volume: Volume, labels: Mapping[str, Keys]) -> _Totals:
    """Code the totals of every kind that has few enough of them."""
    domain: list[str] = []
    key: list[str] = []
    kind: list[Ints] = []
    member: list[Ints] = []
    start = 0
    for name, keys in labels.items():
        if keys.size != volume.wells.well_id.size:
            raise UsageError(
                f"domains[{name!r}]: expected a label for each of {volume.wells.well_id.size} wells, found {keys.size}"
            )
        if not 0 < keys.names.size <= MOST_TOTALS:
            continue
        kind.append(np.full(keys.names.size, len(member), dtype=np.intp))
        member.append(np.where(keys.codes < 0, -1, keys.codes + start))
        domain += [name] * keys.names.size
        key += [str(k) for k in keys.names]
        start += keys.names.size
    if not member:
        raise UsageError(f"domains: expected a kind with at most {MOST_TOTALS} totals, found none")
    return _Totals(
        np.array(domain, dtype=object),
        np.array(key, dtype=object),
        np.concatenate(kind).astype(np.intp),
        np.array(member, dtype=np.intp),
    )


def _with_later(candidates: Candidates, volume: Volume, totals: _Totals, years: Sequence[Later]) -> Candidates:
    """Add the totals of later years, kind by kind as those of now."""
    converted, counts = volume.wells.converted_m3, np.bincount(totals.kind)
    sums, member, reach = [candidates.sums], [candidates.member], [candidates.reach]
    start = candidates.sums.shape[0]
    for later in years:
        own = later.reach()
        for place, n in zip(totals.member, counts.tolist(), strict=True):
            first = place[place >= 0].min()
            sums.append(later.sums(converted, np.where(place < 0, -1, place - first), n))
            member.append(np.where(place < 0, -1, place + start)[None])
            reach.append(own[None])
        start += totals.key.size
    return replace(candidates, sums=np.vstack(sums), member=np.vstack(member), reach=np.vstack(reach))


def _candidates(volume: Volume, totals: _Totals, kind: str) -> Candidates:
    """Describe the tests and the totals; the last total is that of all wells."""
    posterior, converted = volume.posterior, volume.wells.converted_m3
    loadings, layout = volume.loadings, posterior.layout
    middle = quarter_months(volume.quarter).size // 2
    moving = loadings.moving[:, middle : middle + 1]
    moving_at = loadings.moving_at
    noise = posterior.variance["error"]
    if kind == "test":
        # A short test says nothing of the month's energy, and carries the error common to short tests.
        anomaly = features.OWN_MOVING.index("energy_anomaly")
        moving = np.concatenate([np.delete(moving, anomaly, axis=2), np.ones((moving.shape[0], 1, 1))], axis=2)
        short = layout.moving_start + layout.moving_names.index("short_test")
        moving_at = np.append(np.delete(moving_at, anomaly), short).astype(np.intp)
        noise += TEST_REL_U**2
    one = replace(loadings, cells=loadings.cells[:, middle : middle + 1], moving=moving, moving_at=moving_at)
    everything = np.zeros((1, converted.shape[0]), dtype=np.intp)
    sums = [
        loadings.domain_sums(converted, np.where(place < 0, -1, place - place[place >= 0].min()), int(count))
        for place, count in zip(totals.member, np.bincount(totals.kind), strict=True)
    ]
    sums.append(loadings.domain_sums(converted, everything[0], 1))
    return Candidates(
        one,
        posterior.covariance,
        volume.wells.path_variance,
        np.full(converted.shape[0], noise),
        np.vstack(sums),
        converted.sum(axis=1),
        np.vstack([totals.member, everything + totals.key.size]),
        np.broadcast_to(volume.wells.path_variance, (totals.member.shape[0] + 1, converted.shape[0])),
    )


def _weights(totals: _Totals, variance: Floats, asked: Mapping[str, float] | None) -> Floats:
    """Weight of a unit of variance of every total: each kind's share, over its summed variance now."""
    names = list(dict.fromkeys(totals.domain))
    if asked is None:
        others = len(names) - ("county" in names)
        share = {name: 1.0 if name == "county" else 1.0 / max(others, 1) for name in names}
    else:
        unknown = [name for name in asked if name not in names]
        if unknown:
            raise UsageError(
                f"weights: expected kinds of totals that are weighed ({', '.join(names)}), found {unknown}"
            )
        share = {name: float(asked.get(name, 0.0)) for name in names}
    if not sum(share.values()) > 0.0 or min(share.values()) < 0.0:
        raise UsageError(f"weights: expected shares that are not negative and not all zero, found {share}")
    each = np.array([share[name] for name in names]) / sum(share.values())
    summed = np.bincount(totals.kind, variance)
    return np.asarray((each / np.where(summed > 0.0, summed, 1.0))[totals.kind])


def _totals_table(volume: Volume, totals: _Totals, labels: Mapping[str, Keys], cut: Floats) -> pd.DataFrame:
    """Give standard errors before and after: those reported, less what the tests take from their variance."""
    parts = []
    for k, name in enumerate(dict.fromkeys(totals.domain)):
        here = totals.kind == k
        reported = volume.total(labels[name])
        parts.append(
            pd.DataFrame(
                {
                    "domain": name,
                    "key": totals.key[here],
                    "volume_m3": reported.volume_m3,
                    "se_before_m3": reported.se_m3,
                    "se_after_m3": np.sqrt(np.maximum(reported.se_m3**2 - cut[here], 0.0)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _wells_table(
    coefficient: Coefficient, volume: Volume, wells: pd.DataFrame, choice: Choice, weight: Floats
) -> pd.DataFrame:
    at, place = choice.well, wells.iloc[choice.well]
    left = volume.county.se_m3[0] ** 2 - np.concatenate([[0.0], np.cumsum(choice.cut[:, -1])])
    se = np.sqrt(np.maximum(left, 0.0))
    removed = se[:-1] - se[1:]
    last = last_tested(coefficient, volume)[at]
    end = (quarter_months(volume.quarter)[-1] + 1).astype("datetime64[s]")
    known = {name: place[name].to_numpy() for name in ("township", "village", "aquifer") if name in wells.columns}
    return pd.DataFrame(
        {
            "order": np.arange(1, at.size + 1),
            "well_id": place["well_id"].to_numpy(),
            **known,
            "sampled": volume.wells.sampled[at],
            "last_tested_on": pd.Series(last),
            "years_since_test": np.where(np.isnat(last), np.nan, (end - last) / np.timedelta64(1, "s") / _YEAR_SECONDS),
            "energy_kwh": volume.wells.kwh[at],
            "volume_m3": volume.wells.volume_m3[at],
            "sd_log_coefficient": np.sqrt(volume.wells.path_variance[at]),
            "variance_cut": choice.cut[:, :-1] @ weight,
            "se_before_m3": se[:-1],
            "se_after_m3": se[1:],
            "cost": choice.cost,
            "cost_per_m3": np.divide(choice.cost, removed, out=np.full(at.size, np.nan), where=removed > 0),
        }
    )
