"""Drawing a sample of wells: frame, strata, allocation, draw and reserves, as one frozen object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.design.account import Account
from elec2water.design.allocation import AllocationRule
from elec2water.design.anticipated import Anticipated, published
from elec2water.design.cuts import ThinStrata, design_strata
from elec2water.design.domains import Domain
from elec2water.design.draw import Method
from elec2water.design.drawing import draw_sample
from elec2water.design.frame import Coverage, coverage_findings, coverage_of, require_wells
from elec2water.design.network import Drawn, Network
from elec2water.design.plan import Budget, planned
from elec2water.design.precision import precision_curve, precision_table
from elec2water.design.result import Design
from elec2water.design.scheme import Scheme
from elec2water.design.stratified import COUNTY, STRATUM, StratifiedFrame
from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of
from elec2water.placing import in_place
from elec2water.strata import Strata

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_ENERGY_COLUMNS = ("annual_kwh", "energy_kwh")
_USUAL_HOURS = 600.0


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
        Energy of each well over the last year [kWh]; NaN where not known. A Series goes by its index, that of the
        registry or ``well_id``. By default the column ``annual_kwh`` or
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
    energy, size_note = _energy_of(wells, _in_place(wells, energy_kwh, "energy_kwh"), lang)
    _check_arguments(wells, energy, strata, reserve_ratio)
    expected = _expected(wells, energy, anticipated, anticipated_log_sd)
    frame, coverage = _frame_of(wells, energy, _in_place(wells, linked, "linked"), strata, expected)
    n = _size(n, target_cv, budget, frame)
    scheme = Scheme(
        frame=frame,
        joining=thin_strata or ("fail" if strata is not None else "coefficient"),
        min_wells=min_wells,
        min_per_stratum=min_per_stratum,
        take_all_kwh=take_all_kwh,
        response=_response(refusal_rate, dead_meter_rate),
        rule=allocation,
        network=network,
    )
    promised, sought = _targets(targets, target_cv), target_cv
    if n is None and target_cv is not None and not targets:
        n, sought = scheme.fewest(target_cv), None
    frame, merges, minimum = scheme.stratified(n)
    domains, least = _domains(frame, promised), scheme.least(frame, minimum)
    population, several = frame.population(scheme.response), bool(targets)
    plan = planned(population, domains, least, n=n, target_cv=sought, rule=allocation, several=several)
    what = scheme.draw_of(frame, plan)
    sample, drawn, place_notes = draw_sample(what, seed=seed, reserve_ratio=reserve_ratio, method=method, lang=lang)
    account = Account(frame, plan, what.probability, drawn)
    plan_notes = _few_wells(scheme, n, frame, lang) + account.findings(merges, minimum, target_cv, lang)
    notes = [size_note, coverage_findings(coverage, wells, energy, lang), plan_notes, place_notes]
    policy = _policy(scheme, expected, several=several, lonely=lonely, selection=method)
    rates = {"refusal_rate": refusal_rate, "dead_meter_rate": dead_meter_rate}
    return Design(
        sample=sample,
        allocation=account.allocation(),
        coverage=coverage.table,
        excluded=coverage.excluded,
        expected_cv=account.drawn_plan.chosen.total_cv,
        seed=seed,
        findings=Findings.concat([*notes, _network_findings(account, network, lang)]),
        frame=account.wells(),
        precision=precision_table(domains, plan.allocator, what.probability, frame.energy, drawn),
        curve=_curve(scheme, account, several=several),
        merges=merges,
        policy=policy | rates | account.spent(budget),
    )


def _frame_of(
    wells: pd.DataFrame, energy: Floats, linked: ArrayLike | None, strata: Strata | None, expected: Anticipated
) -> tuple[StratifiedFrame, Coverage]:
    """Put the wells that can be sampled into strata, and say what is left out."""
    coverage = coverage_of(wells, energy, None if linked is None else np.asarray(linked, dtype=bool))
    require_wells(coverage)
    cells = strata or design_strata(wells, np.nan_to_num(energy), expected)
    return StratifiedFrame.of(wells, energy, cells, expected, coverage), coverage


def _expected(
    wells: pd.DataFrame, energy: Floats, anticipated: Anticipated | None, log_sd: float | None
) -> Anticipated:
    expected = anticipated or published(wells, energy)
    return expected if log_sd is None else expected.with_spread(log_sd)


def _curve(scheme: Scheme, account: Account, *, several: bool) -> pd.DataFrame:
    """Give the CV to expect of other numbers of wells."""
    plan, frame = account.plan, account.frame
    return precision_curve(
        account.drawn_plan.chosen, lambda sizes: scheme.expected_cvs(sizes, plan, frame, several=several)
    )


def _policy(scheme: Scheme, expected: Anticipated, *, several: bool, lonely: str, selection: str) -> dict[str, object]:
    """Gather what was chosen, to be kept with the design."""
    return {
        "lonely": lonely,
        "selection": selection,
        "rotate": None if scheme.network is None else scheme.network.rotate,
        "strata": scheme.joining,
        "allocation": "domains" if several else scheme.rule,
        "anticipated": expected.source,
    }


def _size(n: int | None, target_cv: float | None, budget: Budget | None, frame: StratifiedFrame) -> int | None:
    if budget is None:
        return n
    if n is not None or target_cv is not None:
        raise UsageError("design: give one of n, target_cv and budget, not two")
    return budget.wells(int(frame.wells["township"].nunique(dropna=False)), len(frame.wells))


def _in_place(wells: pd.DataFrame, values: ArrayLike | None, name: str) -> ArrayLike | None:
    if not isinstance(values, pd.Series):
        return values
    return in_place(values, [wells.index, pd.Index(wells["well_id"].astype(object))], name)


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


def _few_wells(scheme: Scheme, n: int | None, frame: StratifiedFrame, lang: str) -> Findings:
    """Say that there are fewer wells than strata, which were joined for it."""
    strata = 0 if n is None else scheme.n_strata()
    if n is None or n >= strata:
        return Findings.empty()
    return findings_of(
        "DESIGN_FEWER_THAN_STRATA", table="wells", observed=n, limit=strata, joined=len(frame.names), lang=lang
    )


def _network_findings(account: Account, network: Network | None, lang: str) -> Findings:
    if network is None:
        return Findings.empty()
    frame, drawn = account.frame, Drawn(account.probability, account.drawn.size)
    wanted = account.plan.chosen.n_sample
    return network.findings(frame.wells["well_id"], frame.codes, frame.names, drawn, wanted, lang)


def _targets(targets: Mapping[str, float] | None, target_cv: float | None) -> dict[str, float]:
    """Gather what is promised, by kind of domain."""
    promised = dict(targets or {}) | ({} if target_cv is None else {COUNTY: target_cv})
    wrong = {name: cv for name, cv in promised.items() if not 0 < cv < 1}
    if wrong:
        raise UsageError(f"design: target_cv and targets are fractions between 0 and 1 (0.05 is 5 %), found {wrong}")
    return promised


def _domains(frame: StratifiedFrame, targets: Mapping[str, float]) -> list[Domain]:
    unknown = [name for name in targets if name not in (COUNTY, STRATUM, *frame.wells.columns)]
    if unknown:
        raise UsageError(
            f"design: targets for {unknown}; a target is for every domain of a kind: county, township, aquifer, "
            "stratum or another column of wells (township = 0.10 promises 10 % to each of them)"
        )
    names = dict.fromkeys(
        [COUNTY, *(c for c in ("township", "aquifer") if c in frame.wells.columns), STRATUM, *targets]
    )
    return [frame.domain(name, targets.get(name, math.inf)) for name in names]
