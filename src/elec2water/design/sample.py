"""The sample design: frame, strata, allocation, draw and reserves, as one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.design.allocation import Allocation, allocate
from elec2water.design.selection import (
    inclusion_probabilities,
    nearest_reserves,
    spread_order,
    systematic_pps,
    uniform_of,
)
from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of
from elec2water.strata import Strata, collapse

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
ThinStrata: TypeAlias = Literal["fail", "collapse"]

IN_FRAME = "in_frame"
SAMPLE_COLUMNS = ("well_id", "stratum", "role", "inclusion_probability", "weight", "order")
ALLOCATION_COLUMNS = ("stratum", "n_wells", "n_sample", "expected_cv")
COVERAGE_COLUMNS = ("reason", "n_wells", "energy_kwh", "energy_share")

_OUT_OF_FRAME: Mapping[str, Mapping[str, str]] = {
    "power_source": {"diesel": "diesel", "柴油": "diesel", "solar": "solar", "太阳能": "solar", "光伏": "solar"},
    "status": {"sealed": "sealed", "封存": "sealed", "封填": "sealed", "abandoned": "abandoned", "报废": "abandoned"},
}
_RESERVE_SCALES: Mapping[str, float] = {"pump_power_kw": 0.5, "pump_depth_m": 0.5}


@dataclass(frozen=True)
class Design:
    """A stratified sample of wells.

    Attributes
    ----------
    sample : DataFrame
        ``well_id, stratum, role`` (primary, reserve), ``inclusion_probability, weight, order`` (from 1, in each stratum
        and role). A reserve carries its own probability: it stands in for a primary well of its size.
    allocation : DataFrame
        ``stratum, n_wells`` (of the frame), ``n_sample, expected_cv`` of the stratum's total.
    coverage : DataFrame
        ``reason, n_wells, energy_kwh, energy_share``: the wells in the frame (``in_frame``) and, by reason, those that
        cannot be sampled.
    excluded : DataFrame
        ``well_id, reason, energy_kwh`` of every well that cannot be sampled.
    expected_cv : float
        Anticipated coefficient of variation of the county's total over the frame.
    seed : int
    findings : Findings
    """

    sample: pd.DataFrame
    allocation: pd.DataFrame
    coverage: pd.DataFrame
    excluded: pd.DataFrame
    expected_cv: float
    seed: int
    findings: Findings

    @property
    def primary(self) -> pd.DataFrame:
        """The rows of the sample to be measured first."""
        return self.sample.loc[self.sample["role"] == "primary"].reset_index(drop=True)

    @property
    def reserves(self) -> pd.DataFrame:
        """The rows that stand in when a primary well cannot be measured."""
        return self.sample.loc[self.sample["role"] == "reserve"].reset_index(drop=True)

    def __repr__(self) -> str:
        covered = self.coverage.loc[self.coverage["reason"] == IN_FRAME, "energy_share"].sum()
        return (
            f"Design({len(self.primary)} primary, {len(self.reserves)} reserve wells, {len(self.allocation)} strata; "
            f"the frame holds {covered:.1%} of the energy; expected CV of the total {self.expected_cv:.2%}; "
            f"seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        title = repr(self).replace("<", "&lt;")
        return f"<p>{title}</p>{self.allocation.to_html(index=False)}{self.coverage.to_html(index=False)}"


@dataclass(frozen=True)
class _Frame:
    """The wells that can be sampled, sorted by identifier so that nothing depends on the order of rows."""

    wells: pd.DataFrame
    energy: Floats
    codes: Integers
    names: tuple[str, ...]
    aquifers: tuple[str, ...]


def design_sample(
    wells: pd.DataFrame,
    energy_kwh: ArrayLike,
    strata: Strata,
    *,
    n: int | None = None,
    target_cv: float | None = None,
    seed: int,
    min_per_stratum: int = 2,
    reserve_ratio: float = 0.5,
    anticipated_log_sd: float = 0.35,
    thin_strata: ThinStrata = "fail",
    lang: str = "zh",
) -> Design:
    """Draw a stratified sample with probability proportional to last year's energy.

    Diesel, solar, sealed and abandoned wells and wells without energy are left out of the frame, and reported with the
    energy they carry. The allocation makes the anticipated variance of Σ κE smallest (:func:`~.allocation.allocate`);
    in each stratum the draw is systematic along townships and sizes.

    Parameters
    ----------
    wells : DataFrame
        The registry: ``well_id`` and ``township``; ``power_source``, ``status``, ``pump_power_kw`` and ``pump_depth_m``
        where known.
    energy_kwh : (N,) array
        Energy of each well over the last year [kWh]; NaN where not known.
    strata : Strata
        Classes of all N wells.
    n, target_cv : int or float
        Either the number of sample wells, or the coefficient of variation of the county's total to reach with as few
        wells as possible.
    seed : int
        The same seed draws the same wells, whatever the order of the rows.
    min_per_stratum : int
        Fewest wells a stratum; it gives way, down to one, where `n` is too small, with a finding.
    reserve_ratio : float
        Reserve wells for each primary well, rounded up in every stratum.
    anticipated_log_sd : float
        Standard deviation of ln κ among the wells of a stratum (0.2–0.4 is usual), behind every expected CV. It does
        not change the allocation of a given `n`.
    thin_strata : {"fail", "collapse"}
        What is done when `n` is below the number of strata: an error, or the strata with least energy are joined to
        their neighbours.
    lang : str
        Language of the findings.

    Returns
    -------
    Design

    Raises
    ------
    UsageError
        If no well can be sampled, `n` does not fit the frame or the strata, both or neither of `n` and `target_cv` are
        given, an argument has the wrong shape, or a `well_id` is repeated.
    """
    energy = np.asarray(energy_kwh, dtype=np.float64)
    _check_arguments(wells, energy, strata, reserve_ratio)
    reason = _reasons(wells, energy)
    frame = _frame(wells, energy, strata, reason)
    notes = [_excluded_findings(reason, energy, lang)]
    if thin_strata == "collapse" and n is not None:
        frame, note = _collapsed(frame, n, lang)
        notes.append(note)
    allocation = allocate(
        frame.energy, frame.codes, n=n, target_cv=target_cv, minimum=min_per_stratum, log_sd=anticipated_log_sd
    )
    notes.append(_minimum_findings(allocation, frame.names, min_per_stratum, lang))
    return Design(
        sample=_draw(frame, allocation, seed, reserve_ratio),
        allocation=_allocation_table(frame.names, allocation),
        coverage=_coverage(reason, energy),
        excluded=_excluded(wells, reason, energy),
        expected_cv=allocation.total_cv,
        seed=seed,
        findings=Findings.concat(notes),
    )


def _check_arguments(wells: pd.DataFrame, energy: Floats, strata: Strata, reserve_ratio: float) -> None:
    missing = [name for name in ("well_id", "township") if name not in wells.columns]
    if missing:
        raise UsageError(f"design: the wells table has no column {missing}")
    if energy.shape != (len(wells),) or strata.labels.shape != (len(wells),):
        raise UsageError(
            f"design: {len(wells)} wells, but energy_kwh has shape {energy.shape} and the strata {strata.labels.shape}"
        )
    repeated = wells.loc[wells["well_id"].duplicated(), "well_id"]
    if len(repeated):
        raise UsageError(f"design: well_id is repeated for {repeated.head().tolist()}; every well has one row")
    if not 0 <= reserve_ratio < np.inf:
        raise UsageError(f"design: reserve_ratio must not be negative, found {reserve_ratio}")


def _reasons(wells: pd.DataFrame, energy: Floats) -> NDArray[np.object_]:
    reason = np.where(np.isnan(energy), "energy_unknown", np.where(energy > 0, IN_FRAME, "no_energy")).astype(object)
    for column, values in _OUT_OF_FRAME.items():
        if column in wells.columns:
            found = wells[column].map(values).astype("object")
            reason = np.where(found.notna(), found, reason)
    return reason


def _frame(wells: pd.DataFrame, energy: Floats, strata: Strata, reason: NDArray[np.object_]) -> _Frame:
    kept = np.flatnonzero(reason == IN_FRAME)
    if kept.size == 0:
        raise UsageError(
            "design: no well can be sampled: energy is zero or unknown everywhere, or every well is diesel, solar, "
            "sealed or abandoned; check readings and meters"
        )
    kept = kept[np.argsort(wells["well_id"].to_numpy(dtype=object)[kept].astype(str), kind="stable")]
    present, codes = np.unique(strata.codes[kept], return_inverse=True)
    cells = strata.cells.iloc[present]
    aquifers = tuple(map(str, cells["aquifer"])) if "aquifer" in cells.columns else ("",) * len(cells)
    return _Frame(
        wells=wells.iloc[kept].reset_index(drop=True),
        energy=energy[kept],
        codes=codes.astype(np.int64),
        names=tuple(map(str, cells["stratum"])),
        aquifers=aquifers,
    )


def _collapsed(frame: _Frame, n: int, lang: str) -> tuple[_Frame, Findings]:
    sums = np.bincount(frame.codes, weights=frame.energy)
    joined = collapse(sums, at_most=n, parent=frame.aquifers)
    if joined[-1] + 1 == len(frame.names):
        return frame, Findings.empty()
    largest = np.lexsort((-sums, joined))[np.unique(np.sort(joined), return_index=True)[1]]
    names = tuple(frame.names[h] for h in largest)
    gone = np.setdiff1d(np.arange(len(frame.names)), largest)
    note = findings_of(
        "DESIGN_STRATA_COLLAPSED",
        table="wells",
        observed=[frame.names[h] for h in gone],
        limit=[names[joined[h]] for h in gone],
        lang=lang,
    )
    aquifers = tuple(frame.aquifers[h] for h in largest)
    return replace(frame, codes=joined[frame.codes], names=names, aquifers=aquifers), note


def _draw(frame: _Frame, allocation: Allocation, seed: int, reserve_ratio: float) -> pd.DataFrame:
    features = _features(frame)
    order = np.argsort(frame.codes, kind="stable")
    members = np.split(order, np.cumsum(allocation.n_wells)[:-1])
    parts = [
        _draw_stratum(frame, features[rows], rows, int(n), seed, reserve_ratio)
        for rows, n in zip(members, allocation.n_sample, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _draw_stratum(
    frame: _Frame, features: Floats, rows: Integers, n: int, seed: int, reserve_ratio: float
) -> pd.DataFrame:
    name = frame.names[frame.codes[rows[0]]]
    wells, energy = frame.wells.iloc[rows], frame.energy[rows]
    ids = wells["well_id"].to_numpy(dtype=object)
    probability = inclusion_probabilities(energy, n)
    along = spread_order(wells["township"].to_numpy(dtype=object).astype(str).tolist(), energy, seed)
    drawn = along[systematic_pps(probability[along], uniform_of(seed, "start", name))]
    drawn = drawn[np.argsort([uniform_of(seed, "order", ids[i]) for i in drawn], kind="stable")]
    reserves = nearest_reserves(features, drawn, int(np.ceil(reserve_ratio * n)))
    chosen = np.concatenate([drawn, reserves])
    return pd.DataFrame(
        {
            "well_id": pd.Series(ids[chosen], dtype="str"),
            "stratum": pd.Series([name] * chosen.size, dtype="str"),
            "role": pd.Series(["primary"] * drawn.size + ["reserve"] * reserves.size, dtype="str"),
            "inclusion_probability": probability[chosen],
            "weight": 1.0 / probability[chosen],
            "order": np.concatenate([np.arange(1, drawn.size + 1), np.arange(1, reserves.size + 1)]),
        }
    )


def _features(frame: _Frame) -> Floats:
    """Log energy first, then power and depth at half its weight; an unknown value sits at the middle."""
    columns = [np.log(frame.energy)]
    for name, scale in _RESERVE_SCALES.items():
        if name in frame.wells.columns:
            value = frame.wells[name].to_numpy(dtype=np.float64, na_value=np.nan)
            known = np.isfinite(value) & (value > 0)
            logs = np.log(np.where(known, value, 1.0))
            columns.append(scale * np.where(known, logs, np.median(logs[known]) if known.any() else 0.0))
    return np.column_stack(columns)


def _allocation_table(names: tuple[str, ...], allocation: Allocation) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stratum": pd.Series(names, dtype="str"),
            "n_wells": allocation.n_wells,
            "n_sample": allocation.n_sample,
            "expected_cv": allocation.expected_cv,
        }
    )


def _coverage(reason: NDArray[np.object_], energy: Floats) -> pd.DataFrame:
    found = sorted(set(reason), key=lambda name: (name != IN_FRAME, name))
    known = np.where(np.isfinite(energy), energy, 0.0)
    sums = np.array([np.sort(known[reason == name]).sum() for name in found])
    total = sums.sum()
    return pd.DataFrame(
        {
            "reason": pd.Series(found, dtype="str"),
            "n_wells": [int((reason == name).sum()) for name in found],
            "energy_kwh": sums,
            "energy_share": sums / total if total > 0 else np.zeros(len(found)),
        }
    )


def _excluded(wells: pd.DataFrame, reason: NDArray[np.object_], energy: Floats) -> pd.DataFrame:
    out = reason != IN_FRAME
    table = pd.DataFrame(
        {
            "well_id": wells["well_id"].to_numpy(dtype=object)[out],
            "reason": reason[out],
            "energy_kwh": energy[out],
        }
    )
    return table.sort_values("well_id", ignore_index=True).astype({"well_id": "str", "reason": "str"})


def _excluded_findings(reason: NDArray[np.object_], energy: Floats, lang: str) -> Findings:
    table = _coverage(reason, energy)
    table = table.loc[table["reason"] != IN_FRAME]
    return findings_of(
        "DESIGN_EXCLUDED",
        table="wells",
        observed=table["reason"].tolist(),
        count=table["n_wells"].tolist(),
        energy_kwh=table["energy_kwh"].tolist(),
        share=[f"{share:.1%}" for share in table["energy_share"]],
        lang=lang,
    )


def _minimum_findings(allocation: Allocation, names: tuple[str, ...], minimum: int, lang: str) -> Findings:
    short = np.flatnonzero(allocation.n_sample < np.minimum(allocation.n_wells, minimum))
    return findings_of(
        "DESIGN_MINIMUM_RELAXED",
        table="wells",
        observed=allocation.n_sample[short],
        limit=minimum,
        stratum=[names[h] for h in short],
        lang=lang,
    )
