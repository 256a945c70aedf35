"""From electricity to water: every well of a quarter, with what its error shares with others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse, special

from elec2water.blocks import by_block, rows_of
from elec2water.calendar_ import quarter_months
from elec2water.coefficient.context import WellContext, in_order_of, on_grid
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.result import Coefficient
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.stats import lognormal_interval, lognormal_sd, mixture_quantile, spread_evenly
from elec2water.sums import row_all, row_any, row_sum, squares_of_rows
from elec2water.threads import one_thread
from elec2water.volume.parts import Parts, month_weight, zero_if_unknown
from elec2water.volume.result import Volume
from elec2water.volume.wells import METHODS, SharedMeters, WellVolumes

_QUALITIES = "AEJSN"
"""Quality of electricity, the best first."""
_DOMAINS = ("township", "aquifer", "permit_no")
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_TYPICAL_WELLS = 200
_GRID = 65


@one_thread
def estimate_volume(
    coefficient: Coefficient,
    energy: MonthlyEnergy,
    *,
    quarter: str,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None = None,
    confidence: float = 0.90,
) -> Volume:
    """Turn the electricity of a quarter into volumes of water.

    Parameters
    ----------
    coefficient : Coefficient
    energy : MonthlyEnergy
        Electricity of the wells, missing months imputed; the months of the quarter must be inside.
    quarter : str
        Text like ``2026Q3``.
    wells, water_levels : DataFrame
        Registry, whose wells ``energy`` knows in whatever order, and levels as in the fit.
    confidence : float
        Level of the intervals, between 0 and 1.

    Returns
    -------
    Volume
        Every well, and totals of any domain on request.

    Raises
    ------
    UsageError
        A month of the quarter is outside ``energy``, or no sample well is in the registry; a well without a name, there
        twice or unknown to ``energy``.
    """
    months = quarter_months(quarter)
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"confidence: expected a number between 0 and 1, such as 0.90, found {confidence}")
    energy = in_order_of(wells, energy)
    if not np.isin(months, energy.months).all():
        raise UsageError(f"energy: expected the months of {quarter}, found {energy!r}; give every month of the quarter")
    coefficient = coefficient.placed(energy.well_id)
    context = coefficient.context(wells, water_levels, energy, months)
    volume = volume_in(coefficient, context, energy, quarter=quarter, on_grid=on_grid(wells), confidence=confidence)
    return replace(volume, domains={name: wells[name] for name in _DOMAINS if name in wells.columns})


def volume_in(
    coefficient: Coefficient,
    context: WellContext,
    energy: MonthlyEnergy,
    *,
    quarter: str,
    on_grid: NDArray[np.bool_],
    confidence: float,
) -> Volume:
    """Give the volumes of wells as they stand in a context, whose months are those of the quarter."""
    coefficient = coefficient.equipped(context)
    posterior = coefficient.posterior.covering(context.months)
    parts = Parts.of(coefficient, posterior, context, energy, on_grid)
    return quarter_volume(parts, posterior, coefficient, quarter=quarter, confidence=confidence)


def quarter_volume(
    parts: Parts, posterior: Posterior, coefficient: Coefficient, *, quarter: str, confidence: float
) -> Volume:
    """Volume, standard error and interval of every well."""
    meter_rel_u = coefficient.options.shared_meter_rel_u
    months = _months(parts, posterior)
    return Volume(
        quarter,
        confidence,
        _well_volumes(parts, posterior, months, meter_rel_u, confidence),
        parts.loadings,
        posterior,
        meter_rel_u,
        months.kwh,
        months.volume,
        months.idle_coefficient,
        _shared_meters(parts, months.kwh, months.converted),
    )


@dataclass(frozen=True)
class _Months:
    """What N wells took in M months, before what they err by together.

    ``measured`` by a water meter, ``imputed`` electricity that nobody read, (N, M) like energy and volumes; by well
    ``none`` and ``all_known``, whether no month or every month has electricity or a water meter, ``idle_coefficient``
    the mean κ of the months, ``own`` the relative variance that belongs to the well alone, ``log_variance`` that of the
    logarithm of its volume and ``unread_m3`` the volume for a standard deviation of energy that nobody read.
    """

    measured: NDArray[np.bool_]
    imputed: NDArray[np.bool_]
    kwh: Floats
    converted: Floats
    volume: Floats
    none: NDArray[np.bool_]
    all_known: NDArray[np.bool_]
    idle_coefficient: Floats
    own: Floats
    log_variance: Floats
    resting_kwh: Floats
    resting_m3: Floats
    unread_m3: Floats
    shared_variance: Floats


def _months(parts: Parts, posterior: Posterior) -> _Months:
    n = parts.well_id.size
    weight = by_block(lambda wells: _Weight(month_weight(parts.take(wells).used_kwh())), n).weight
    shared_variance, shift = parts.loadings.quadratics([posterior.covariance, posterior.unbiasing], weight)
    shift = 0.5 * np.where(parts.sampled, shared_variance, shift)

    def of(wells: slice) -> _Months:
        return _months_of(parts.take(wells), posterior.mean, shift[wells], shared_variance[wells])

    return by_block(of, n)


@dataclass(frozen=True)
class _Weight:
    weight: Floats


def _months_of(parts: Parts, mean: Floats, shift: Floats, shared_variance: Floats) -> _Months:
    """Give the months of some wells; ``shift`` (N,) of ln κ makes volumes unbiased whatever the shared effects are."""
    measured, kwh = parts.met, parts.used_kwh()
    known = np.isfinite(parts.kwh) | measured
    kappa = _coefficients(parts, mean, shift, kwh)
    converted = np.where(measured, 0.0, kwh * parts.pumping * kappa)
    volume = np.where(measured, parts.measured.volume_m3, converted)
    unread = parts.quality == "S"
    # What is taken for another load may have been a little irrigation after all.
    resting = np.where(measured, 0.0, kwh * (1.0 - parts.pumping))
    own, log_variance = _well_variance(parts, kwh, converted, row_sum(volume), shared_variance)
    return _Months(
        measured=measured,
        imputed=unread & ~measured,
        kwh=kwh,
        converted=converted,
        volume=volume,
        none=~row_any(known),
        all_known=row_all(known),
        idle_coefficient=kappa.mean(axis=1),
        own=own,
        log_variance=log_variance,
        resting_kwh=row_sum(resting),
        resting_m3=row_sum(resting * kappa),
        unread_m3=row_sum(converted * np.where(unread, parts.unread_rel_u, 0.0)),
        shared_variance=shared_variance,
    )


def _coefficients(parts: Parts, mean: Floats, shift: Floats, kwh: Floats) -> Floats:
    """Give κ [m³/kWh] by month, (N, M), unbiased on the scale of volumes."""
    log_kappa = parts.loadings.product(mean)
    log_kappa += (parts.log_offset + 0.5 * parts.own_variance + shift - _to_poorer_pumps(parts, kwh))[:, None]
    return np.asarray(np.exp(log_kappa))


def _well_volumes(
    parts: Parts, posterior: Posterior, months: _Months, meter_rel_u: float, confidence: float
) -> WellVolumes:
    volume = row_sum(months.volume)
    common = _common_energy(parts, months)
    log_variance = months.log_variance + meter_rel_u**2
    if parts.spreading is not None:
        log_variance += squares_of_rows(common[:, 1:]) / np.where(volume > 0, volume, 1.0) ** 2
    spread = _spread_at_nodes(posterior, parts, months)
    tails = _Tails.of(posterior, spread, float(log_variance.max(initial=0.0)), 0.5 * (1.0 - confidence))

    def told(wells: slice) -> _Told:
        quality, sampled = parts.quality[wells], parts.sampled[wells]
        return _told(rows_of(months, wells), volume[wells], log_variance[wells], quality, sampled, tails)

    by_well = by_block(told, volume.size)
    return WellVolumes(
        well_id=parts.well_id,
        kwh=by_well.kwh,
        imputed_kwh=by_well.imputed_kwh,
        volume_m3=by_well.volume_m3,
        se_m3=by_well.se_m3,
        lower_m3=by_well.lower_m3,
        upper_m3=by_well.upper_m3,
        method_codes=by_well.method_codes,
        quality=by_well.quality,
        partly_measured=by_well.partly_measured,
        unread_month=by_well.unread_month,
        sampled=parts.sampled,
        converted_m3=months.converted,
        own_variance_m6=by_well.own_variance_m6,
        path_variance=parts.path_variance,
        common_energy_m3=common,
        resting_kwh=months.resting_kwh,
        level_squared_m6=by_well.level_squared_m6,
        shared_variance=months.shared_variance,
    )


@dataclass(frozen=True)
class _Told:
    """What is told of N wells, (N,) each, as ``WellVolumes`` has it."""

    kwh: Floats
    imputed_kwh: Floats
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    method_codes: NDArray[np.int8]
    quality: NDArray[np.object_]
    partly_measured: NDArray[np.bool_]
    unread_month: NDArray[np.bool_]
    own_variance_m6: Floats
    level_squared_m6: Floats


def _told(
    months: _Months,
    volume: Floats,
    log_variance: Floats,
    quality: NDArray[np.str_],
    sampled: NDArray[np.bool_],
    tails: _Tails,
) -> _Told:
    se = lognormal_sd(volume, log_variance + np.where(sampled, 0.0, tails.heavier(log_variance)))
    imputed = row_any(months.imputed)
    z = np.where(sampled, tails.normal_z, tails.heavy_z)
    lower, upper = _bounds(volume, log_variance, z, z * se, imputed)
    known = np.where(months.none, np.nan, 1.0)
    metered = row_all(months.measured | (months.kwh <= 0))
    any_metered = row_any(months.measured)
    return _Told(
        kwh=known * row_sum(months.kwh),
        imputed_kwh=row_sum(np.where(months.imputed, months.kwh, 0.0)),
        volume_m3=known * volume,
        se_m3=known * se,
        lower_m3=known * lower,
        upper_m3=known * (upper + months.resting_m3),
        method_codes=_method_codes(months.none, any_metered & metered, imputed),
        quality=_worst_quality(quality, months.none),
        partly_measured=any_metered & ~metered,
        unread_month=~months.none & ~months.all_known,
        own_variance_m6=months.own * volume**2,
        level_squared_m6=np.where(sampled, 0.0, row_sum(months.converted) ** 2),
    )


def _common_energy(parts: Parts, months: _Months) -> sparse.csr_array:
    """Volumes for a standard deviation of each error of the electricity that wells have in common, (N, F).

    The first is that of months nobody has read, the others those of the rates by which readings were spread.
    """
    unread = sparse.csr_array(months.unread_m3[:, None])
    if parts.spreading is None:
        return unread
    safe = np.where(months.kwh > 0, months.kwh, 1.0)
    spread = parts.spreading.loadings(parts.months, months.converted / safe)
    return sparse.csr_array(sparse.hstack([unread, spread]))


def _bounds(
    volume: Floats, log_variance: Floats, z: Floats, half: Floats, imputed: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Lognormal bounds; imputed energy may be none at all, which no lognormal allows for."""
    lower, upper = lognormal_interval(volume, log_variance, z)
    return np.where(imputed, np.maximum(volume - half, 0.0), lower), np.where(imputed, volume + half, upper)


def _to_poorer_pumps(parts: Parts, kwh: Floats) -> Floats:
    """Give what ln κ of a well's electricity is below its own where nobody knows its share of a meter, (N,).

    Wells are asked for water D and take D/κ, so that a meter gives most to its poorer pumps: with ln κ ~ N(μ, v) and w
    the parts of D, ``E[ΣD / Σ(D/κ)] = exp(μ + v/2 - v (1 - Σw²))`` to first order. A regression of ln κ on ln energy,
    whose slope is -v/(v + var ln D), takes half of that off already: by Jensen's inequality a meter's energy is
    higher than the geometric mean of its wells' by half the variance of these.
    """
    if parts.open_kwh is None:
        return np.zeros(kwh.shape[0])
    used = row_sum(kwh)
    part = np.divide(parts.open_kwh, used, out=np.zeros_like(used), where=used > 0)
    return np.asarray((0.5 if parts.by_energy else 1.0) * parts.path_variance * np.minimum(part, 1.0))


def _well_variance(
    parts: Parts, kwh: Floats, converted: Floats, volume: Floats, shared_variance: Floats
) -> tuple[Floats, Floats]:
    """Relative variance that a well owns and variance of the logarithm of its volume, (N,) each.

    Without the common meter error.
    """
    total = np.where(volume > 0, volume, 1.0)
    share = row_sum(converted) / total
    safe_kwh = np.where(kwh > 0, kwh, 1.0)
    energy_error = np.maximum(_energy_variance(parts, converted / safe_kwh), 0.0) / total**2
    own = share**2 * np.expm1(parts.own_variance) + (1.0 - share) ** 2 * parts.measured.own_error + energy_error
    tail = 0.0 if parts.share_tail is None else parts.share_tail
    return own, np.log1p(own) + tail * np.log1p(energy_error) + share**2 * shared_variance


def _energy_variance(parts: Parts, kappa: Floats) -> Floats:
    """Variance [m⁶] of the volume from that of the energy, covariances between the quarter's months included, (N,)."""
    variance = row_sum(kappa**2 * zero_if_unknown(parts.kwh_variance))
    for k, covariance in enumerate(zero_if_unknown(parts.kwh_lags)):
        n = kappa.shape[1] - k - 1
        variance += 2.0 * row_sum(kappa[:, :n] * kappa[:, k + 1 :] * covariance[:, :n])
    return variance


def _shared_meters(parts: Parts, kwh: Floats, converted: Floats) -> SharedMeters | None:
    """Volumes that hang on shares nobody stated, None where there are none."""
    if parts.split is None:
        return None
    well = parts.split.well
    safe = np.where(kwh[well] > 0, kwh[well], 1.0)
    volume = (parts.split.kwh * converted[well] / safe).sum(axis=1)
    return SharedMeters(parts.split, volume)


def _spread_at_nodes(posterior: Posterior, parts: Parts, months: _Months) -> Floats:
    """Variance of ln V of a well without pairs at each node of the variances, (K,), against its mean over the nodes."""
    without = np.flatnonzero(~parts.sampled)
    level = posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2
    if without.size:
        some = without[spread_evenly(months.shared_variance[without], _TYPICAL_WELLS)]
        rows = parts.loadings.mean_rows(some, month_weight(months.kwh[some]))
        level = level + np.array([np.einsum("nq,nq->n", rows @ C, rows).mean() for C in posterior.covariances])
    return np.asarray(level / (posterior.weight @ level))


@dataclass(frozen=True)
class _Tails:
    """Heavier tails of wells without pairs, whose variance has a factor that is itself a mixture over nodes.

    ``grid`` and ``added`` (G,) are log variances and what to add to them; ``normal_z`` and ``heavy_z`` the standard
    deviations to the bounds of wells with pairs and without.
    """

    grid: Floats
    added: Floats
    normal_z: float
    heavy_z: float

    @classmethod
    def of(cls, posterior: Posterior, spread: Floats, largest: float, alpha: float) -> _Tails:
        """From the factor ``spread`` (K,) at each node, the largest log variance and a tail's probability.

        From the first two moments of the lognormals at the nodes, which depend on the log variance smoothly.
        """
        weight = posterior.weight
        grid = np.linspace(0.0, max(largest, 1e-6), _GRID)
        mean, square = (weight @ np.exp(power * (spread[:, None] - 1.0) * grid) for power in (0.5, 2.0))
        heavy = mixture_quantile(1.0 - alpha, np.zeros((spread.size, 1)), np.sqrt(spread)[:, None], weight)[0]
        return cls(grid, np.log(square / mean**2), float(special.ndtri(1.0 - alpha)), float(heavy))

    def heavier(self, log_variance: Floats) -> Floats:
        """Give what to add to log variances (N,)."""
        return np.interp(log_variance, self.grid, self.added)


def _method_codes(none: NDArray[np.bool_], measured: NDArray[np.bool_], imputed: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Give the method of each well as its place in ``METHODS``."""
    place = {name: np.int8(k) for k, name in enumerate(METHODS)}
    code = np.where(imputed, place["imputed"], place["converted"])
    return np.where(none, place["none"], np.where(measured, place["measured"], code))


def _worst_quality(quality: NDArray[np.str_], none: NDArray[np.bool_]) -> NDArray[np.object_]:
    rank = np.zeros(128, dtype=np.int8)
    rank[[ord(letter) for letter in _QUALITIES]] = np.arange(len(_QUALITIES))
    # Letters as code points: comparing texts one by one takes ten times as long.
    letters = np.ascontiguousarray(quality).view(np.uint32).reshape(quality.shape)
    worst = np.maximum.reduce([rank[letter] for letter in letters.T])
    worst[none] = rank[ord("N")]
    return np.asarray(np.array(list(_QUALITIES), dtype=object)[worst])
