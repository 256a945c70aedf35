"""Design-based totals of volume for every domain of a release, to be read beside those of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of
from elec2water.joining import collapse
from elec2water.keys import Keys, Labels, recurring_text
from elec2water.strata import UNKNOWN, Strata
from elec2water.survey.calibration import greg_totals
from elec2water.survey.estimators import combined_ratio_totals, separate_ratio_totals
from elec2water.survey.linearised import Domains, Estimate, LonelyPolicy, SampleDesign, sum_by

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
RatioKind: TypeAlias = Literal["separate", "combined"]

COLUMNS = ("domain", "key", "estimator", "volume_m3", "se_m3", "n_sample", "degrees_of_freedom", "synthetic")
_WELLS_A_RATIO = 2
_WELLS_A_SLOPE = 15
"""A regression coefficient for fewer sample wells than this makes the linearised standard error too short."""


@dataclass(frozen=True)
class DesignEstimate:
    """Design-based totals.

    Attributes
    ----------
    table : DataFrame
        ``domain, key, estimator`` (ratio, greg), ``volume_m3, se_m3, n_sample`` (sample wells in the domain),
        ``degrees_of_freedom`` (sample wells less strata, of the strata whose wells the standard error is from) and
        ``synthetic`` (the domain cuts through strata, and has their ratios in the whole county: what it differs by
        is in no standard error).
    n_strata : int
        Strata behind the ratio estimator, after thin ones were joined.
    findings : Findings
    """

    table: pd.DataFrame
    n_strata: int
    findings: Findings

    def total(self, domain: str, estimator: str = "greg") -> pd.DataFrame:
        """Rows of one domain and estimator, by key."""
        chosen = (self.table["domain"] == domain) & (self.table["estimator"] == estimator)
        return self.table.loc[chosen].set_index("key")

    def __repr__(self) -> str:
        domains = ", ".join(self.table["domain"].unique())
        return f"DesignEstimate({len(self.table)} totals; domains: {domains}; {self.n_strata} strata)"

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False)


@dataclass(frozen=True)
class _Sample:
    """The sample wells that count, and the population they speak for."""

    design: SampleDesign
    rows: Integers
    volume: Floats
    energy: Floats
    population: Floats


@dataclass(frozen=True)
class _Part:
    """One estimator of one kind of domain."""

    domain: str
    keys: Sequence[str]
    estimator: str
    result: Estimate
    freedom: Integers
    synthetic: NDArray[np.bool_]


def adjust_for_refusal(weights: ArrayLike, responded: ArrayLike, cells: ArrayLike | None = None) -> Floats:
    """Let the wells that were measured stand for those of their cell that were not.

    Weights are multiplied by Σ w / Σ_responded w of their cell; what a cell without any response weighs is shared by
    all others in proportion. Right where refusing does not depend on κ within a cell.

    Parameters
    ----------
    weights : (n,) array
        Design weights of the whole primary sample.
    responded : (n,) array of bool
    cells : (n,) array, optional
        Adjustment cells (the design strata, as a rule); one cell by default.

    Returns
    -------
    (n,) array
        Adjusted weights, 0 for those that did not respond; their sum is that of `weights`.

    Raises
    ------
    UsageError
        If shapes differ or nobody responded.
    """
    w = np.asarray(weights, dtype=np.float64)
    answered = np.asarray(responded, dtype=bool)
    labels = np.zeros(w.size, dtype=np.int64) if cells is None else np.asarray(cells)
    if answered.shape != w.shape or labels.shape != w.shape:
        raise UsageError(
            f"survey: weights {w.shape}, responded {answered.shape}, cells {labels.shape} differ in length"
        )
    if not answered.any():
        raise UsageError("survey: no sample well was measured, so no weight can be adjusted")
    codes = np.unique(labels, return_inverse=True)[1]
    size = int(codes.max()) + 1
    whole, reached = sum_by(codes, w, size), sum_by(codes, w * answered, size)
    factor = np.divide(whole, reached, out=np.zeros_like(whole), where=reached > 0)
    adjusted = w * answered * factor[codes]
    return np.asarray(adjusted * (w.sum() / adjusted.sum()), dtype=np.float64)


def design_totals(
    *,
    sample: ArrayLike,
    volume_m3: ArrayLike,
    energy_kwh: ArrayLike,
    weights: ArrayLike,
    strata: Strata,
    domains: Mapping[str, Labels],
    sample_energy_kwh: ArrayLike | None = None,
    prediction: ArrayLike | None = None,
    ratio: RatioKind = "separate",
    sample_strata: ArrayLike | None = None,
    lonely: LonelyPolicy = "adjust",
    lang: str = "zh",
) -> DesignEstimate:
    """Stratified ratio and model-assisted (GREG) totals of volume by domain.

    *ratio*: the ratio of volume to energy of each stratum (strata with fewer than two measured wells joined to a
    neighbour), applied to the energy each domain has there. *greg*: a regression on the energy of each aquifer, and on
    the model's prediction where given, with residuals of variance ∝ energy; each domain is corrected by its own sample
    wells. A coefficient takes 15 sample wells: with fewer, aquifers share one, and the prediction stands alone. Both
    estimators are additive: domains add up to the county.

    The finite population enters by taking 1/weight as the inclusion probability, after adjustment for refusals.

    Parameters
    ----------
    sample : (n,) array of int
        Rows of the measured wells among the N wells.
    volume_m3 : (n,) array
        What they pumped.
    energy_kwh : (N,) array
        Energy of all wells over the period; NaN where the well is not to be covered.
    weights : (n,) array
        Design weights, adjusted for refusals; at least 1.
    strata : Strata
        Classes of all N wells.
    domains : mapping of str to (N,) array
        Key of every well in each kind of domain; wells with a missing key make the domain ``未知``.
    sample_energy_kwh : (n,) array, optional
        Energy over what was measured, where that is not the whole period: volumes are scaled to the period's energy.
    prediction : (N,) array, optional
        Volumes that a model predicts.
    ratio : {"separate", "combined"}
        One ratio a stratum, or one for all.
    sample_strata : (n,) array, optional
        Strata the wells were drawn in, for the standard error of *greg*; by default their classes.
    lonely : {"adjust", "center", "certainty", "fail"}
        What a stratum with one measured well contributes to it: see :class:`~.linearised.SampleDesign`.
    lang : str
        Language of the findings.

    Returns
    -------
    DesignEstimate
        Without a row if fewer than two sample wells can be used, with a finding. `se_m3` is NaN for *greg* where a
        domain has no sample well, for no design can vouch for it.

    Raises
    ------
    UsageError
        If shapes differ or a row of `sample` is out of range.
    """
    population = np.nan_to_num(np.asarray(energy_kwh, dtype=np.float64), nan=0.0)
    arrays = _checked_sample(sample, volume_m3, weights, sample_energy_kwh, population)
    if arrays[0].size < _WELLS_A_RATIO:
        note = findings_of("SURVEY_NO_SAMPLE", table="pairs", observed=arrays[0].size, lang=lang)
        return DesignEstimate(pd.DataFrame({name: [] for name in COLUMNS}), 0, note)
    joined = _joined_strata(strata, arrays[0])
    taken = _sample_of(arrays, population, joined[strata.codes])
    drawn = taken if sample_strata is None else _drawn_in(taken, sample_strata, sample, lonely)
    auxiliary = _auxiliary(strata, taken, None if prediction is None else np.asarray(prediction, dtype=np.float64))
    parts: list[_Part] = []
    for name, keys in domains.items():
        groups = _keys(keys, population.size, name)
        parts += _parts(taken, drawn, auxiliary, joined[strata.codes], groups, name, ratio)
    return DesignEstimate(_table(parts), int(joined.max()) + 1, _collapse_findings(strata, joined, arrays[0], lang))


_Arrays: TypeAlias = tuple[Integers, Floats, Floats]


def _checked_sample(
    sample: ArrayLike, volume: ArrayLike, weights: ArrayLike, measured: ArrayLike | None, population: Floats
) -> _Arrays:
    """Return rows, volumes of the whole period and weights of the wells that can be used."""
    rows = np.asarray(sample, dtype=np.int64)
    y, w = np.asarray(volume, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    x = population[rows] if measured is None else np.asarray(measured, dtype=np.float64)
    if not rows.shape == y.shape == w.shape == x.shape:
        raise UsageError(
            f"survey: sample {rows.shape}, volume_m3 {y.shape}, weights {w.shape}, energy {x.shape} differ in length"
        )
    if rows.size and not (rows.min() >= 0 and rows.max() < population.size):
        raise UsageError(f"survey: rows of the sample must lie in 0 … {population.size - 1}")
    usable = np.isfinite(y) & np.isfinite(w) & (w > 0) & (x > 0) & (population[rows] > 0)
    rows, y, w, x = rows[usable], y[usable], w[usable], x[usable]
    return rows, y * (population[rows] / x), w


def _joined_strata(strata: Strata, rows: Integers) -> Integers:
    """Return, for each stratum, the one it is joined to so that every one has two measured wells."""
    counts = np.bincount(strata.codes[rows], minlength=len(strata.cells))
    return collapse(counts, minimum=_WELLS_A_RATIO, parent=_aquifers(strata))


def _aquifers(strata: Strata) -> Integers:
    if "aquifer" not in strata.cells.columns:
        return np.zeros(len(strata.cells), dtype=np.int64)
    return np.unique(strata.cells["aquifer"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)


def _sample_of(arrays: _Arrays, population: Floats, joined: Integers) -> _Sample:
    rows, volume, weights = arrays
    design = SampleDesign.of(weights, joined[rows], fraction=1.0 / np.maximum(weights, 1.0), lonely="adjust")
    return _Sample(design, rows, volume, population[rows], population)


def _drawn_in(taken: _Sample, labels: ArrayLike, sample: ArrayLike, lonely: LonelyPolicy) -> _Sample:
    """Describe the same wells by the strata they were drawn in."""
    given = dict(
        zip(np.asarray(sample, dtype=np.int64).tolist(), np.asarray(labels, dtype=object).tolist(), strict=True)
    )
    names = np.array([str(given[row]) for row in taken.rows.tolist()])
    weights = taken.design.weights
    design = SampleDesign.of(weights, names, fraction=1.0 / np.maximum(weights, 1.0), lonely=lonely)
    return replace(taken, design=design)


def _auxiliary(strata: Strata, taken: _Sample, prediction: Floats | None) -> Floats:
    """Prediction and energy by aquifer (N, P), as many columns as the sample bears; at least the one or the other."""
    columns = [] if prediction is None else [_filled(prediction, taken.population)]
    room = taken.rows.size // _WELLS_A_SLOPE - len(columns)
    if columns and room < 1:
        return columns[0][:, None]
    aquifers = _aquifers(strata)
    of_well = aquifers[strata.codes]
    counts = np.bincount(of_well[taken.rows], minlength=aquifers.max() + 1)
    group = collapse(counts, minimum=_WELLS_A_SLOPE, at_most=room)[of_well]
    columns += [np.where(group == k, taken.population, 0.0) for k in range(group.max() + 1)]
    return np.column_stack(columns)


def _filled(prediction: Floats, energy: Floats) -> Floats:
    """Give wells without a prediction the mean ratio of the others."""
    if prediction.shape != energy.shape:
        raise UsageError(f"survey: prediction has shape {prediction.shape}, expected {energy.shape}, one a well")
    known = np.isfinite(prediction) & (energy > 0)
    if not known.any():
        raise UsageError("survey: prediction is missing for every well with energy; leave it out")
    return np.where(known, prediction, energy * (prediction[known].sum() / energy[known].sum()))


def _keys(labels: Labels, n: int, name: str) -> Keys:
    keys = Keys.of(labels)
    if keys.size != n:
        raise UsageError(f"survey: domain {name!r} has {keys.size} keys for {n} wells")
    return keys.as_text(UNKNOWN)


def _ratio_totals(taken: _Sample, joined: Integers, codes: Integers, size: int, ratio: RatioKind) -> Estimate:
    if ratio == "combined":
        known = sum_by(codes, taken.population, size)
        total = combined_ratio_totals(taken.design, taken.volume, taken.energy, known)
    else:
        n_strata = int(joined.max()) + 1
        cells = sum_by(joined * size + codes, taken.population, n_strata * size).reshape(n_strata, size)
        total = separate_ratio_totals(taken.design, taken.volume, taken.energy, cells)
    counted = np.bincount(codes[taken.rows], minlength=size).astype(np.int64)
    return Estimate(total.estimate, total.se, counted)


def _greg_totals(taken: _Sample, auxiliary: Floats, codes: Integers, size: int) -> Estimate:
    domains = Domains.of(taken.design, codes[taken.rows], size)
    known = sum_by(codes, auxiliary, size)
    result = greg_totals(
        taken.design, taken.volume, auxiliary[taken.rows], known, domains, q=1.0 / taken.energy, leverage=True
    )
    return Estimate(result.estimate, np.where(result.n_sample > 0, result.se, np.nan), result.n_sample)


def _parts(
    taken: _Sample, drawn: _Sample, auxiliary: Floats, joined: Integers, groups: Keys, name: str, ratio: RatioKind
) -> list[_Part]:
    """Both estimators of one kind of domain."""
    labels, codes, size = groups.names.tolist(), groups.codes, groups.names.size
    by_ratio = _ratio_totals(taken, joined, codes, size, ratio)
    by_greg = _greg_totals(drawn, auxiliary, codes, size)
    whole = np.full(size, taken.design.size - taken.design.n_strata)
    cut = _cut_through(np.zeros_like(joined) if ratio == "combined" else joined, taken.population, codes, size)
    return [
        _Part(name, labels, "ratio", by_ratio, whole, cut),
        _Part(name, labels, "greg", by_greg, _freedom(drawn, codes, size), np.zeros(size, dtype=bool)),
    ]


def _freedom(drawn: _Sample, codes: Integers, size: int) -> Integers:
    """Degrees of freedom (D,) of the variance of a domain: Σ (n_h − 1) over the strata that have sample wells of it.

    The other wells of those strata count, with a zero, since how many of the sample fall into a domain is chance too.
    """
    domains = Domains.of(drawn.design, codes[drawn.rows], size)
    wells = np.bincount(drawn.design.strata, minlength=drawn.design.n_strata)
    free = np.bincount(domains.cell_domain, weights=wells[domains.cell_stratum] - 1.0, minlength=size)
    return free.astype(np.int64)


def _cut_through(joined: Integers, energy: Floats, codes: Integers, size: int) -> NDArray[np.bool_]:
    """Whether a domain holds a part of the energy of a stratum, and not all of it (D,)."""
    n_strata = int(joined.max()) + 1
    cells = sum_by(joined * size + codes, energy, n_strata * size).reshape(n_strata, size)
    whole = cells.sum(axis=1)[:, None]
    return np.asarray(((cells > 0) & (cells < (1.0 - 1e-9) * whole)).any(axis=0), dtype=bool)


def _table(parts: Sequence[_Part]) -> pd.DataFrame:
    place = np.repeat(np.arange(len(parts)), [len(part.keys) for part in parts])
    return pd.DataFrame(
        {
            "domain": recurring_text([part.domain for part in parts], place),
            "key": recurring_text([key for part in parts for key in part.keys], np.arange(place.size)),
            "estimator": recurring_text([part.estimator for part in parts], place),
            "volume_m3": np.concatenate([part.result.estimate for part in parts]),
            "se_m3": np.concatenate([part.result.se for part in parts]),
            "n_sample": np.concatenate([part.result.n_sample for part in parts]),
            "degrees_of_freedom": np.concatenate([part.freedom for part in parts]),
            "synthetic": np.concatenate([part.synthetic for part in parts]),
        }
    )


def _collapse_findings(strata: Strata, joined: Integers, rows: Integers, lang: str) -> Findings:
    counts = np.bincount(strata.codes[rows], minlength=joined.size)
    if (counts >= _WELLS_A_RATIO).all():
        return Findings.empty()
    names = strata.cells["stratum"].to_numpy(dtype=object)
    largest = {int(group): h for h, group in sorted(enumerate(joined), key=lambda pair: counts[pair[0]])}
    gone = [h for h in range(joined.size) if counts[h] < _WELLS_A_RATIO and largest[int(joined[h])] != h]
    return findings_of(
        "SURVEY_STRATA_COLLAPSED",
        table="pairs",
        observed=[names[h] for h in gone],
        limit=_WELLS_A_RATIO,
        into=[names[largest[int(joined[h])]] for h in gone],
        lang=lang,
    )
