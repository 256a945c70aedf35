"""Drawing a sample of wells: frame, strata, allocation, draw and reserves, as one frozen object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.design.allocation import AllocationRule, Population
from elec2water.design.anticipated import Anticipated, published
from elec2water.design.coordination import coordinate, floors, sizes_above
from elec2water.design.cuts import ThinStrata, design_strata, join_thin
from elec2water.design.domains import Domain, stratum_probabilities
from elec2water.design.draw import Method
from elec2water.design.drawing import Draw, draw_sample
from elec2water.design.frame import Coverage, coverage_findings, coverage_of, require_wells
from elec2water.design.network import Drawn, Network
from elec2water.design.plan import Budget, Plan, planned
from elec2water.design.precision import precision_curve, precision_table
from elec2water.design.result import MERGES_COLUMNS, Design, empty_table
from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of
from elec2water.strata import UNKNOWN, Strata

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

COUNTY = "county"
STRATUM = "stratum"
_ENERGY_COLUMNS = ("annual_kwh", "energy_kwh")
_USUAL_HOURS = 600.0
_DECIMALS = 9
_LEAST_SIZE = 0.1
"""Smallest size of a well against the mean of its stratum: last year's idle well may be busy in the next."""


@dataclass(frozen=True)
class _Frame:
    """The wells that can be sampled, sorted by identifier so that nothing depends on the order of rows."""

    wells: pd.DataFrame
    energy: Floats
    anticipated: Anticipated
    codes: Integers
    names: tuple[str, ...]
    aquifers: tuple[str, ...]

    @property
    def volume(self) -> Floats:
        return self.energy * self.anticipated.coefficient

    def regrouped(self, codes: Integers, head: Integers) -> _Frame:
        """Join strata: `codes` (H,) is the new one of each, `head` the old one that names it."""
        return replace(
            self,
            codes=codes[self.codes],
            names=tuple(self.names[h] for h in head),
            aquifers=tuple(self.aquifers[h] for h in head),
        )


def design_sample(
    wells: pd.DataFrame,
    energy_kwh: ArrayLike | None = None,
    strata: Strata | None = None,
    *,
    n: int | None = None,
    target_cv: float | None = None,
    budget: Budget | None = None,
    targets: Mapping[str, float] | None = None,
    seed: int,
    anticipated: Anticipated | None = None,
    anticipated_log_sd: float | None = None,
    min_per_stratum: int = 2,
    reserve_ratio: float = 0.5,
    thin_strata: ThinStrata | None = None,
    min_wells: int = 1,
    allocation: AllocationRule = "optimal",
    take_all_kwh: float = math.inf,
    refusal_rate: float = 0.0,
    dead_meter_rate: float = 0.0,
    linked: ArrayLike | None = None,
    network: Network | None = None,
    method: Method = "balanced",
    lonely: str = "adjust",
    lang: str = "zh",
) -> Design:
    """Draw a stratified sample with probability proportional to the anticipated spread of each well's volume.

    Wells that are not on the grid, not in use, without a meter or without energy are left out of the frame, and
    reported with the energy they carry. The allocation makes the anticipated variance of Σ κE smallest
    (:func:`~.allocation.allocate`), or keeps a promise to every domain with the fewest wells
    (:func:`~.domains.tuned_sizes`).

    Parameters
    ----------
    wells : DataFrame
        The registry: ``well_id`` and ``township``, and whatever else is known.
    energy_kwh : (N,) array, optional
        Energy of each well over the last year [kWh]; NaN where not known. By default the column ``annual_kwh`` or
        ``energy_kwh`` of the wells; failing that rated power × 600 h stands for it, with a finding.
    strata : Strata, optional
        Classes of all N wells; by default those of :func:`~.cuts.design_strata`, thin ones joined.
    n, target_cv, budget : int, float, Budget
        One of: the number of sample wells; the coefficient of variation of the county's total to reach with as few
        wells as possible; the money there is.
    targets : mapping of str to float, optional
        The CV promised to every domain of a kind: ``county``, ``township``, ``aquifer``, ``stratum`` or any column.
        With `n` or `budget` all are relaxed or tightened by one factor until the number is met.
    seed : int
        The same seed draws the same wells, whatever the order of the rows.
    anticipated : Anticipated, optional
        Mean and spread of every well's coefficient; by default from the published priors.
    anticipated_log_sd : float, optional
        One spread of ln κ for all wells instead (0.2–0.4 within strata is usual).
    min_per_stratum : int
        Fewest wells a stratum; it gives way, down to one, where `n` is too small, with a finding.
    reserve_ratio : float
        Reserve wells for each primary well, rounded up in every stratum.
    thin_strata : {"coefficient", "neighbour", "collapse", "fail"}, optional
        What is done when the strata are too many for `n` or have fewer than `min_wells` wells: they are joined to the
        one nearest in anticipated coefficient until each can have twice its minimum, to the neighbour in class until
        each can have one well (``collapse`` is another word for it), or it is an error. ``fail`` for strata that were
        given, ``coefficient`` for those made here.
    min_wells : int
        Fewest wells of the frame in a stratum, where they may be joined.
    allocation : {"optimal", "neyman", "proportional"}
        How `n` is shared among strata.
    take_all_kwh : float
        Wells that use at least so much are all taken.
    refusal_rate, dead_meter_rate : float
        Shares of the drawn wells that are expected not to be measured in the end: every expected CV allows for them,
        and a target takes more wells.
    linked : (N,) array of bool, optional
        Whether an electricity meter serves the well.
    network : Network, optional
        Wells that are measured already and are kept, but for the share that rotates out; `n` counts them.
    method : {"balanced", "spatial", "systematic", "random"}
        How wells are drawn with their probabilities: see :func:`~.draw.draw`.
    lonely : str
        What a stratum with one measured well contributes to standard errors: a policy of
        :class:`~elec2water.survey.SampleDesign`, kept with the design.
    lang : str
        Language of the findings.

    Returns
    -------
    Design

    Raises
    ------
    UsageError
        If no well can be sampled, `n` does not fit the frame or the strata, no number of wells reaches a target, not
        exactly one way to find the size is given, an argument has the wrong shape, or a `well_id` is repeated.
    """
    energy, size_note = _energy_of(wells, energy_kwh, lang)
    _check_arguments(wells, energy, strata, reserve_ratio)
    coverage = coverage_of(wells, energy, None if linked is None else np.asarray(linked, dtype=bool))
    require_wells(coverage)
    expected = anticipated or published(wells, energy)
    if anticipated_log_sd is not None:
        expected = expected.with_spread(anticipated_log_sd)
    cells = strata or design_strata(wells, np.nan_to_num(energy), expected)
    frame = _frame(wells, energy, cells, expected, coverage)
    n = _size(n, target_cv, budget, frame)
    joining: ThinStrata = thin_strata or ("fail" if strata is not None else "coefficient")
    frame, merges = _with_fewer_strata(
        frame, joining, min_wells, _most_strata(n, 2 * min_per_stratum if joining == "coefficient" else 1)
    )
    frame, minimum = _with_take_all(frame, take_all_kwh, min_per_stratum)
    if network is not None:
        minimum = network.minimum(frame.wells["well_id"], frame.codes, minimum)
    population = _population(frame, _response(refusal_rate, dead_meter_rate))
    domains = _domains(frame, dict(targets or {}), target_cv)
    plan = planned(population, domains, minimum, n=n, target_cv=target_cv, rule=allocation, several=bool(targets))
    what = _draw_of(frame, plan, network)
    n_wanted = plan.chosen.n_sample
    sample, drawn, place_notes = draw_sample(what, seed=seed, reserve_ratio=reserve_ratio, method=method, lang=lang)
    plan = plan.with_probability(what.probability, np.bincount(frame.codes[drawn], minlength=len(frame.names)))
    findings = [
        size_note,
        coverage_findings(coverage, wells, energy, lang),
        _merge_findings(merges, lang),
        _plan_findings(plan, frame, minimum, target_cv, lang),
        place_notes,
        _network_findings(frame, network, Drawn(what.probability, drawn.size), n_wanted, lang),
    ]
    policy = {
        "lonely": lonely,
        "selection": method,
        "rotate": None if network is None else network.rotate,
        "strata": joining,
        "allocation": "domains" if targets else allocation,
        "anticipated": expected.source,
        "refusal_rate": refusal_rate,
        "dead_meter_rate": dead_meter_rate,
    }
    return Design(
        sample=sample,
        allocation=_allocation_table(frame, plan, what.probability),
        coverage=coverage.table,
        excluded=coverage.excluded,
        expected_cv=plan.chosen.total_cv,
        seed=seed,
        findings=Findings.concat(findings),
        frame=_frame_table(frame, population, what.probability),
        precision=precision_table(domains, plan.allocator, what.probability, frame.energy, drawn),
        curve=precision_curve(plan.allocator, plan.chosen, None if targets else allocation),
        merges=merges,
        policy=policy | _spent(budget, frame, drawn),
    )


def _size(n: int | None, target_cv: float | None, budget: Budget | None, frame: _Frame) -> int | None:
    if budget is None:
        return n
    if n is not None or target_cv is not None:
        raise UsageError("design: give one of n, target_cv and budget, not two")
    return budget.wells(int(frame.wells["township"].nunique(dropna=False)), len(frame.wells))


def _most_strata(n: int | None, each: int) -> int:
    """Strata that `n` wells bear with so many wells each."""
    return np.iinfo(np.int64).max if n is None else max(n // each, 1)


def _energy_of(wells: pd.DataFrame, energy_kwh: ArrayLike | None, lang: str) -> tuple[Floats, Findings]:
    if energy_kwh is not None:
        return np.asarray(energy_kwh, dtype=np.float64), Findings.empty()
    for name in _ENERGY_COLUMNS:
        if name in wells.columns:
            return wells[name].to_numpy(dtype=np.float64, na_value=np.nan), Findings.empty()
    if "pump_power_kw" not in wells.columns or not (wells["pump_power_kw"] > 0).any():
        raise UsageError(
            "design: pass energy_kwh, the energy of each well over the last year [kWh] "
            "(county.energy()[0].annual_kwh(county.last_month)), "
            f"or give the wells a column {' or '.join(_ENERGY_COLUMNS)}; no rated power stands in for it either"
        )
    power = wells["pump_power_kw"].to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.where(power > 0, power, np.nan)
    filled = np.where(np.isfinite(known), known, np.nanmedian(known))
    note = findings_of("DESIGN_SIZE_FROM_POWER", table="wells", observed=len(wells), limit=_USUAL_HOURS, lang=lang)
    return filled * _USUAL_HOURS, note


def _check_arguments(wells: pd.DataFrame, energy: Floats, strata: Strata | None, reserve_ratio: float) -> None:
    missing = [name for name in ("well_id", "township") if name not in wells.columns]
    if missing:
        raise UsageError(f"design: the wells table has no column {missing}")
    classed = (len(wells),) if strata is None else strata.labels.shape
    if energy.shape != (len(wells),) or classed != (len(wells),):
        raise UsageError(
            f"design: {len(wells)} wells, but energy_kwh has shape {energy.shape} and the strata {classed}"
        )
    repeated = wells.loc[wells["well_id"].duplicated(), "well_id"]
    if len(repeated):
        raise UsageError(f"design: well_id is repeated for {repeated.head().tolist()}; every well has one row")
    if not 0 <= reserve_ratio < np.inf:
        raise UsageError(f"design: reserve_ratio must not be negative, found {reserve_ratio}")


def _response(refusal_rate: float, dead_meter_rate: float) -> float:
    for name, rate in (("refusal_rate", refusal_rate), ("dead_meter_rate", dead_meter_rate)):
        if not 0 <= rate < 1:
            raise UsageError(f"design: {name} must be a fraction from 0 to below 1 (0.05 is 5 %), found {rate}")
    return (1.0 - refusal_rate) * (1.0 - dead_meter_rate)


def _frame(wells: pd.DataFrame, energy: Floats, strata: Strata, expected: Anticipated, coverage: Coverage) -> _Frame:
    kept = np.flatnonzero(coverage.inside)
    kept = kept[np.argsort(wells["well_id"].to_numpy(dtype=object)[kept].astype(str), kind="stable")]
    present, codes = np.unique(strata.codes[kept], return_inverse=True)
    cells = strata.cells.iloc[present]
    aquifers = tuple(map(str, cells["aquifer"])) if "aquifer" in cells.columns else ("",) * len(cells)
    return _Frame(
        wells=wells.iloc[kept].reset_index(drop=True),
        energy=_steady(energy[kept]),
        anticipated=Anticipated(_steady(expected.coefficient[kept]), _steady(expected.log_sd[kept]), expected.source),
        codes=codes.astype(np.int64),
        names=tuple(map(str, cells["stratum"])),
        aquifers=aquifers,
    )


def _steady(values: Floats) -> Floats:
    """Drop the last digits, which hang on the order in which sums were formed and would draw other wells."""
    return np.asarray(np.round(values, _DECIMALS))


def _with_fewer_strata(frame: _Frame, policy: ThinStrata, min_wells: int, at_most: int) -> tuple[_Frame, pd.DataFrame]:
    size = len(frame.names)
    volume = np.asarray(np.bincount(frame.codes, frame.volume, size), dtype=np.float64)
    energy = np.bincount(frame.codes, frame.energy, size)
    counts = np.bincount(frame.codes, minlength=size).astype(np.int64)
    joined = join_thin(
        volume / energy, volume, counts, policy=policy, at_most=at_most, min_wells=min_wells, parent=frame.aquifers
    )
    gone = np.setdiff1d(np.arange(size), joined.head)
    if gone.size == 0:
        return frame, empty_table(MERGES_COLUMNS)
    merges = pd.DataFrame(
        {
            "stratum": pd.Series([frame.names[h] for h in gone], dtype="str"),
            "merged_into": pd.Series([frame.names[joined.head[joined.codes[h]]] for h in gone], dtype="str"),
            "n_wells": counts[gone],
            "coefficient_gap": joined.gap[gone],
        }
    )
    return frame.regrouped(joined.codes, joined.head), merges


def _with_take_all(frame: _Frame, least_kwh: float, minimum: int) -> tuple[_Frame, Integers]:
    """Make a stratum of the biggest users, of whom all are taken."""
    biggest = frame.energy >= least_kwh
    minima = np.full(len(frame.names), minimum, dtype=np.int64)
    if not biggest.any():
        return frame, minima
    name = f"必测大户（≥{least_kwh:.10g} kWh）"
    codes = np.where(biggest, len(frame.names), frame.codes)
    taken = replace(frame, codes=codes, names=(*frame.names, name), aquifers=(*frame.aquifers, ""))
    left = np.unique(codes)
    place = np.cumsum(np.isin(np.arange(len(taken.names)), left)) - 1
    return taken.regrouped(place, left), np.append(minima, int(biggest.sum()))[left]


def _population(frame: _Frame, response: float) -> Population:
    spread = frame.volume * frame.anticipated.cv
    mean = np.bincount(frame.codes, weights=spread) / np.bincount(frame.codes)
    size = np.maximum(spread, _LEAST_SIZE * mean[frame.codes])
    return Population(size, spread, frame.volume, frame.codes, response)


def _draw_of(frame: _Frame, plan: Plan, network: Network | None) -> Draw:
    population, n_sample = plan.allocator.population, plan.chosen.n_sample
    if network is None:
        probability = stratum_probabilities(population, n_sample)
        kept = np.zeros(probability.size, dtype=bool)
        conditional, codes = probability, frame.codes
        pools: tuple[Integers, ...] = ()
    else:
        kept, previous = network.among(frame.wells["well_id"])
        least = floors(kept, previous, rotate=network.rotate)
        target = sizes_above(population.size, frame.codes, n_sample, least)
        how = coordinate(target, frame.codes, kept, previous, rotate=network.rotate)
        probability, conditional, codes, pools = how.probability, how.conditional, how.codes, how.pools
    return Draw(
        wells=frame.wells,
        energy=frame.energy,
        volume=frame.volume,
        codes=frame.codes,
        names=frame.names,
        probability=probability,
        conditional=conditional,
        draw_codes=codes,
        pools=pools,
        network=kept,
    )


def _network_findings(frame: _Frame, network: Network | None, drawn: Drawn, n: Integers, lang: str) -> Findings:
    if network is None:
        return Findings.empty()
    return network.findings(frame.wells["well_id"], frame.codes, frame.names, drawn, n, lang)


def _domains(frame: _Frame, targets: dict[str, float], target_cv: float | None) -> list[Domain]:
    if target_cv is not None:
        targets[COUNTY] = target_cv
    wrong = {name: cv for name, cv in targets.items() if not 0 < cv < math.inf}
    if wrong:
        raise UsageError(f"design: target_cv and targets must be positive fractions (0.05 is 5 %), found {wrong}")
    unknown = [name for name in targets if name not in (COUNTY, STRATUM, *frame.wells.columns)]
    if unknown:
        raise UsageError(f"design: targets for {unknown}, which are neither county, stratum nor a column of wells")
    names = dict.fromkeys(
        [COUNTY, *(c for c in ("township", "aquifer") if c in frame.wells.columns), STRATUM, *targets]
    )
    return [_domain(frame, name, targets.get(name, math.inf)) for name in names]


def _domain(frame: _Frame, name: str, target_cv: float) -> Domain:
    if name == COUNTY:
        return Domain(name, (COUNTY,), np.zeros(len(frame.wells), dtype=np.int64), target_cv)
    if name == STRATUM:
        return Domain(name, frame.names, frame.codes, target_cv)
    column = frame.wells[name]
    codes, keys = pd.factorize(column.astype("str").where(column.notna(), UNKNOWN), sort=True)
    return Domain(name, tuple(map(str, keys)), codes.astype(np.int64), target_cv)


def _allocation_table(frame: _Frame, plan: Plan, probability: Floats) -> pd.DataFrame:
    chosen = plan.chosen
    energy = np.bincount(frame.codes, weights=frame.energy)
    n = int(chosen.n_sample.sum())
    return pd.DataFrame(
        {
            "stratum": pd.Series(frame.names, dtype="str"),
            "n_wells": chosen.n_wells,
            "n_sample": chosen.n_sample,
            "expected_cv": chosen.expected_cv,
            "energy_kwh": energy,
            "coefficient_m3_per_kwh": chosen.volume / energy,
            "n_certain": np.bincount(frame.codes, weights=probability >= 1.0).astype(np.int64),
            "n_neyman": plan.allocator.shared(n, "neyman"),
            "n_proportional": plan.allocator.shared(n, "proportional"),
        }
    )


def _frame_table(frame: _Frame, population: Population, probability: Floats) -> pd.DataFrame:
    names = np.asarray(frame.names, dtype=object)
    return pd.DataFrame(
        {
            "well_id": frame.wells["well_id"].astype("str"),
            "stratum": pd.Series(names[frame.codes], dtype="str"),
            "energy_kwh": frame.energy,
            "coefficient_m3_per_kwh": frame.anticipated.coefficient,
            "log_sd": frame.anticipated.log_sd,
            "size": population.spread,
            "inclusion_probability": probability,
        }
    )


def _spent(budget: Budget | None, frame: _Frame, drawn: Integers) -> dict[str, object]:
    if budget is None:
        return {}
    townships = int(frame.wells["township"].iloc[drawn].nunique(dropna=False))
    return {"budget": budget.total, "cost": budget.spent(drawn.size, townships), "townships_visited": townships}


def _merge_findings(merges: pd.DataFrame, lang: str) -> Findings:
    return findings_of(
        "DESIGN_STRATA_COLLAPSED",
        table="wells",
        observed=merges["stratum"].tolist(),
        limit=merges["merged_into"].tolist(),
        count=merges["n_wells"].tolist(),
        gap=[f"{gap:.2f}" for gap in merges["coefficient_gap"]],
        lang=lang,
    )


def _plan_findings(plan: Plan, frame: _Frame, minimum: Integers, target_cv: float | None, lang: str) -> Findings:
    chosen = plan.chosen
    least = np.minimum(chosen.n_wells, minimum)
    short = np.flatnonzero(chosen.n_sample < least)
    found = findings_of(
        "DESIGN_MINIMUM_RELAXED",
        table="wells",
        observed=chosen.n_sample[short],
        limit=least[short],
        stratum=[frame.names[h] for h in short],
        lang=lang,
    )
    if plan.factor > 1.0:
        found += findings_of("DESIGN_TARGETS_RELAXED", table="wells", observed=f"{plan.factor:.2f}", lang=lang)
    if target_cv is not None and (chosen.n_sample == chosen.n_wells).all():
        found += findings_of(
            "DESIGN_CENSUS", table="wells", observed=int(chosen.n_wells.sum()), limit=f"{target_cv:g}", lang=lang
        )
    return found
