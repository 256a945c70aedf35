"""From electricity to water: every well of a quarter, with what its error shares with others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from elec2water.calendar_ import decimal_year, quarter_months
from elec2water.coefficient import features
from elec2water.coefficient.anomaly import limited_anomaly
from elec2water.coefficient.context import WellContext, on_grid
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.predict import unseen_blanks
from elec2water.coefficient.result import Coefficient
from elec2water.coefficient.shared import Layout
from elec2water.energy import MonthlyEnergy
from elec2water.energy.split import Split
from elec2water.energy.spreading import Spreading
from elec2water.errors import UsageError
from elec2water.stats import lognormal_interval, lognormal_sd, mixture_quantile, spread_evenly
from elec2water.sums import row_all, row_any, row_sum
from elec2water.threads import one_thread
from elec2water.volume.measured import MeasuredMonths, measured_months
from elec2water.volume.result import Volume
from elec2water.volume.shared_error import Loadings
from elec2water.volume.wells import METHODS, SharedMeters, WellVolumes

_QUALITIES = "AEJSN"
_DOMAINS = ("township", "aquifer", "permit_no")
"""Quality of electricity, the best first."""
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
        Registry in the order of ``energy``, and levels as in the fit.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Volume
        Every well, and totals of any domain on request.

    Raises
    ------
    UsageError
        A month of the quarter is outside ``energy``, or no sample well is in the registry.
    """
    months = quarter_months(quarter)
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
    parts = _Parts.of(coefficient, posterior, context, energy, on_grid)
    return quarter_volume(parts, posterior, coefficient, quarter=quarter, confidence=confidence)


@dataclass(frozen=True)
class _Parts:
    """Everything known of the wells of a quarter before a volume is made of it."""

    well_id: NDArray[np.object_]
    months: NDArray[np.datetime64]
    kwh: Floats
    pumping: Floats
    kwh_variance: Floats
    kwh_common_u: Floats
    kwh_lags: Floats
    split: Split | None
    spreading: Spreading | None
    quality: NDArray[np.str_]
    loadings: Loadings
    log_offset: Floats
    path_variance: Floats
    own_variance: Floats
    sampled: NDArray[np.bool_]
    measured: MeasuredMonths
    by_energy: bool

    @classmethod
    def of(
        cls,
        coefficient: Coefficient,
        posterior: Posterior,
        context: WellContext,
        energy: MonthlyEnergy,
        on_grid: NDArray[np.bool_],
    ) -> _Parts:
        first = int(np.searchsorted(energy.months, context.months[0]))
        held = np.arange(first, first + context.months.size)
        column = slice(first, first + held.size)
        kwh = np.where(on_grid[:, None], energy.kwh[:, column], np.nan)
        loadings, offset, path = _paths(coefficient, posterior, context)
        sampled = np.zeros(kwh.shape[0], dtype=bool)
        sampled[posterior.sample] = True
        v = posterior.variance
        measured = measured_months(
            coefficient.measured,
            coefficient.believed_meters,
            context.months,
            energy,
            meter_rel_u=coefficient.options.meter_rel_u,
            pair_error=v["error"],
        )
        # A meter's own bias is part of what its pairs say of the well, and months differ by more than the drift knows.
        weight = _month_weight(_zero_if_unknown(kwh))
        own = measured.meter_rel_u**2 + v["error"] * row_sum(weight**2)
        path += np.where(sampled, 0.0, unseen_blanks(context, posterior))
        return cls(
            context.well_id,
            context.months,
            kwh,
            context.pumping,
            _zero_if_unknown(energy.variance[:, column]),
            np.where(energy.quality[:, column] == "S", np.sqrt(energy.common[column]), 0.0),
            _zero_if_unknown(energy.lags[:, :, column]),
            None if energy.split is None else energy.split.window(held, np.ones(held.size, dtype=bool)),
            energy.spreading,
            energy.quality[:, column],
            loadings,
            offset,
            path,
            path + np.where(sampled, own, 0.0),
            sampled,
            measured,
            coefficient.spec.by_energy,
        )


def _paths(coefficient: Coefficient, posterior: Posterior, context: WellContext) -> tuple[Loadings, Floats, Floats]:
    """Give loadings of all wells; offset of ln κ and own variance where a well has pairs of its own."""
    n = context.well_id.size
    middle = (
        context.months[0].astype("datetime64[s]")
        + ((context.months[-1] + 1).astype("datetime64[s]") - context.months[0].astype("datetime64[s]")) / 2
    )
    when = float(decimal_year(np.array([middle]))[0])
    since, pumps = coefficient.pumps_in(context, middle)
    paths = posterior.paths(np.full(posterior.sample.size, when), pumps)
    v = posterior.variance
    offset, variance = np.zeros(n), np.full(n, v["level"] + v["drift"])
    offset[posterior.sample], variance[posterior.sample] = paths.offset, paths.variance
    loadings = _loadings(context, coefficient, posterior).renewed(
        coefficient.spec.reference_year - coefficient.spec.worn_since(since),
        posterior.layout.moving_start + posterior.layout.moving_names.index("years"),
    )
    return replace(loadings, sample=posterior.sample, gain=paths.gain), offset, variance


def _loadings(context: WellContext, coefficient: Coefficient, posterior: Posterior) -> Loadings:
    layout, static = posterior.layout, context.static
    first = np.array([layout.factor_start(factor.name) for factor in layout.factors], dtype=np.intp)
    codes = np.where(static.codes < 0, -1, static.codes + first)
    month = np.searchsorted(layout.months, context.months)
    cells = layout.cells_start + static.aquifer[:, None] * layout.months.size + month
    level = coefficient.spec.bent(np.nan_to_num(context.level))
    own = [layout.moving_start + layout.moving_names.index(name) for name in features.OWN_MOVING]
    return Loadings(
        dense=static.dense,
        dense_at=np.arange(static.dense.shape[1]),
        codes=codes,
        cells=np.asarray(cells, dtype=np.intp),
        carry=_carry(coefficient, layout, context),
        moving=np.stack([level, limited_anomaly(context.anomaly)], axis=2),
        moving_at=np.array(own, dtype=np.intp),
        sample=posterior.sample,
        gain=np.zeros((posterior.sample.size, layout.size)),
        size=layout.size,
    )


def _carry(coefficient: Coefficient, layout: Layout, context: WellContext) -> Floats:
    """Season, trend, lasting and unseen water that come with every aquifer-month, written into the columns of these."""
    aquifer = np.repeat(np.arange(len(layout.aquifers)), layout.months.size)
    middles = (layout.months.astype("datetime64[s]") + np.timedelta64(15, "D")).astype("datetime64[s]")
    years = np.tile(decimal_year(middles), len(layout.aquifers))
    unseen, lasting = np.zeros((2, len(layout.aquifers), layout.months.size))
    here = np.searchsorted(layout.months, context.months)
    unseen[:, here], lasting[:, here] = context.unseen, context.lasting
    moving = coefficient.spec.moving(aquifer, years, unseen=unseen.ravel(), lasting=lasting.ravel())
    carry = np.eye(layout.size)
    carry[layout.moving_start : layout.cells_start, layout.cells_start :] = moving.T
    return carry


def quarter_volume(
    parts: _Parts, posterior: Posterior, coefficient: Coefficient, *, quarter: str, confidence: float
) -> Volume:
    """Volume, standard error and interval of every well."""
    months = _Months.of(parts, posterior)
    options = coefficient.options
    return Volume(
        quarter,
        confidence,
        _well_volumes(parts, posterior, months, options.shared_meter_rel_u, confidence),
        parts.loadings,
        posterior,
        options.shared_meter_rel_u,
        months.kwh,
        months.volume,
        months.kappa.mean(axis=1),
        _shared_meters(parts, months.kwh, months.converted),
    )


@dataclass(frozen=True)
class _Months:
    """What N wells took in M months, before the error of it.

    ``known`` there is electricity or a water meter, ``measured`` by a water meter, ``imputed`` electricity that nobody
    read, all (N, M); ``shared_variance`` (N,) of ln κ.
    """

    known: NDArray[np.bool_]
    measured: NDArray[np.bool_]
    imputed: NDArray[np.bool_]
    kwh: Floats
    kappa: Floats
    converted: Floats
    volume: Floats
    shared_variance: Floats

    @classmethod
    def of(cls, parts: _Parts, posterior: Posterior) -> _Months:
        has_energy = np.isfinite(parts.kwh)
        measured = np.isfinite(parts.measured.volume_m3) & parts.sampled[:, None]
        kwh = np.where(has_energy, parts.kwh, np.where(measured, parts.measured.energy_kwh, 0.0))
        shared_variance, kappa = _coefficients(parts, posterior, kwh)
        converted = np.where(measured, 0.0, kwh * parts.pumping * kappa)
        volume = np.where(measured, parts.measured.volume_m3, converted)
        imputed = (parts.quality == "S") & ~measured
        return cls(has_energy | measured, measured, imputed, kwh, kappa, converted, volume, shared_variance)


def _well_volumes(
    parts: _Parts, posterior: Posterior, months: _Months, meter_rel_u: float, confidence: float
) -> WellVolumes:
    volume = row_sum(months.volume)
    own, log_variance = _well_variance(parts, months.kwh, months.converted, volume, months.shared_variance)
    common = _common_energy(parts, months)
    log_variance += meter_rel_u**2 + row_sum(common[:, 1:] ** 2) / np.where(volume > 0, volume, 1.0) ** 2
    spread = _spread_at_nodes(posterior, parts, months)
    heavier = np.where(parts.sampled, 0.0, _uncertain_spread(log_variance, spread, posterior.weight))
    se = lognormal_sd(volume, log_variance + heavier)
    imputed = row_any(months.imputed)
    z = _well_z(posterior, parts.sampled, spread, 0.5 * (1.0 - confidence))
    lower, upper = _bounds(volume, log_variance, z, z * se, imputed)
    # What is taken for another load may have been a little irrigation after all.
    resting_kwh = np.where(months.measured, 0.0, months.kwh * (1.0 - parts.pumping))
    upper = upper + row_sum(resting_kwh * months.kappa)
    none = ~row_any(months.known)
    known = np.where(none, np.nan, 1.0)
    metered = row_all(months.measured | (months.kwh <= 0))
    any_metered = row_any(months.measured)
    converted = row_sum(months.converted)
    return WellVolumes(
        well_id=parts.well_id,
        kwh=known * row_sum(months.kwh),
        imputed_kwh=row_sum(np.where(months.imputed, months.kwh, 0.0)),
        volume_m3=known * volume,
        se_m3=known * se,
        lower_m3=known * lower,
        upper_m3=known * upper,
        method_codes=_method_codes(none, any_metered & metered, imputed),
        quality=_worst_quality(parts.quality, none),
        partly_measured=any_metered & ~metered,
        unread_month=~none & ~row_all(months.known),
        sampled=parts.sampled,
        converted_m3=months.converted,
        own_variance_m6=own * volume**2,
        path_variance=parts.path_variance,
        common_energy_m3=common,
        resting_kwh=row_sum(resting_kwh),
        level_squared_m6=np.where(parts.sampled, 0.0, converted**2),
        shared_variance=months.shared_variance,
    )


def _common_energy(parts: _Parts, months: _Months) -> Floats:
    """Volumes for a standard deviation of each error of the electricity that wells have in common, (N, F).

    The first is that of months nobody has read, the others those of the rates by which readings were spread.
    """
    unread = row_sum(months.converted * parts.kwh_common_u)[:, None]
    if parts.spreading is None:
        return unread
    safe = np.where(months.kwh > 0, months.kwh, 1.0)
    return np.hstack([unread, parts.spreading.loadings(parts.months, months.converted / safe)])


def _bounds(
    volume: Floats, log_variance: Floats, z: Floats, half: Floats, imputed: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Lognormal bounds; imputed energy may be none at all, which no lognormal allows for."""
    lower, upper = lognormal_interval(volume, log_variance, z)
    return np.where(imputed, np.maximum(volume - half, 0.0), lower), np.where(imputed, volume + half, upper)


def _coefficients(parts: _Parts, posterior: Posterior, kwh: Floats) -> tuple[Floats, Floats]:
    """Shared variance of ln κ of every well, (N,), and κ [m³/kWh] by month, (N, M).

    Unbiased on the scale of volumes.
    """
    weights = [posterior.covariance, posterior.unbiasing]
    shared_variance, shift = parts.loadings.quadratics(weights, _month_weight(kwh))
    shift = 0.5 * np.where(parts.sampled, shared_variance, shift)
    log_kappa = parts.loadings.product(posterior.mean)
    log_kappa += (parts.log_offset + 0.5 * parts.own_variance + shift - _to_poorer_pumps(parts, kwh))[:, None]
    return shared_variance, np.exp(log_kappa)


def _to_poorer_pumps(parts: _Parts, kwh: Floats) -> Floats:
    """Give what ln κ of a well's electricity is below its own where nobody knows its share of a meter, (N,).

    Wells are asked for water D and take D/κ, so that a meter gives most to its poorer pumps: with ln κ ~ N(μ, v) and w
    the parts of D, ``E[ΣD / Σ(D/κ)] = exp(μ + v/2 - v (1 - Σw²))`` to first order. A regression of ln κ on ln energy,
    whose slope is -v/(v + var ln D), takes half of that off already: by Jensen's inequality a meter's energy is
    higher than the geometric mean of its wells' by half the variance of these.
    """
    if parts.split is None:
        return np.zeros(kwh.shape[0])
    used = row_sum(kwh)
    part = np.divide(parts.split.open_kwh(used.size), used, out=np.zeros_like(used), where=used > 0)
    return np.asarray((0.5 if parts.by_energy else 1.0) * parts.path_variance * np.minimum(part, 1.0))


def _well_variance(
    parts: _Parts, kwh: Floats, converted: Floats, volume: Floats, shared_variance: Floats
) -> tuple[Floats, Floats]:
    """Relative variance that a well owns and variance of the logarithm of its volume, (N,) each.

    Without the common meter error.
    """
    total = np.where(volume > 0, volume, 1.0)
    share = row_sum(converted) / total
    safe_kwh = np.where(kwh > 0, kwh, 1.0)
    energy_error = np.maximum(_energy_variance(parts, converted / safe_kwh), 0.0) / total**2
    own = share**2 * np.expm1(parts.own_variance) + (1.0 - share) ** 2 * parts.measured.own_error + energy_error
    tail = np.zeros(volume.size) if parts.split is None else parts.split.tail(volume.size)
    return own, np.log1p(own) + tail * np.log1p(energy_error) + share**2 * shared_variance


def _energy_variance(parts: _Parts, kappa: Floats) -> Floats:
    """Variance [m⁶] of the volume from that of the energy, covariances between the quarter's months included, (N,)."""
    variance = row_sum(kappa**2 * parts.kwh_variance)
    for k, covariance in enumerate(parts.kwh_lags):
        n = kappa.shape[1] - k - 1
        variance += 2.0 * row_sum(kappa[:, :n] * kappa[:, k + 1 :] * covariance[:, :n])
    return variance


def _shared_meters(parts: _Parts, kwh: Floats, converted: Floats) -> SharedMeters | None:
    """Volumes that hang on shares nobody stated, None where there are none."""
    if parts.split is None:
        return None
    well = parts.split.well
    safe = np.where(kwh[well] > 0, kwh[well], 1.0)
    volume = (parts.split.kwh * converted[well] / safe).sum(axis=1)
    return SharedMeters(parts.split, volume)


def _month_weight(kwh: Floats) -> Floats:
    total = row_sum(kwh)[:, None]
    weight = kwh / np.where(total > 0, total, 1.0)
    idle = np.flatnonzero(~(total > 0))
    weight[idle] = 1.0 / kwh.shape[1]
    return weight


def _zero_if_unknown(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


def _spread_at_nodes(posterior: Posterior, parts: _Parts, months: _Months) -> Floats:
    """Variance of ln V of a well without pairs at each node of the variances, (K,), against its mean over the nodes."""
    without = np.flatnonzero(~parts.sampled)
    level = posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2
    if without.size:
        some = without[spread_evenly(months.shared_variance[without], _TYPICAL_WELLS)]
        rows = parts.loadings.mean_rows(some, _month_weight(months.kwh[some]))
        level = level + np.array([np.einsum("nq,nq->n", rows @ C, rows).mean() for C in posterior.covariances])
    return np.asarray(level / (posterior.weight @ level))


def _uncertain_spread(log_variance: Floats, spread: Floats, weight: Floats) -> Floats:
    """Give what to add to log variances (N,) whose factor ``spread`` (K,) is itself a mixture: heavier tails.

    From the first two moments of the lognormals at the nodes, which depend on the log variance smoothly.
    """
    grid = np.linspace(0.0, max(float(log_variance.max(initial=0.0)), 1e-6), _GRID)
    mean, square = (weight @ np.exp(power * (spread[:, None] - 1.0) * grid) for power in (0.5, 2.0))
    return np.interp(log_variance, grid, np.log(square / mean**2))


def _well_z(posterior: Posterior, sampled: NDArray[np.bool_], spread: Floats, alpha: float) -> Floats:
    """Give standard deviations to the bounds.

    A little more than the normal's where the spread of wells is itself uncertain.
    """
    heavy = mixture_quantile(1.0 - alpha, np.zeros((spread.size, 1)), np.sqrt(spread)[:, None], posterior.weight)[0]
    return np.where(sampled, float(special.ndtri(1.0 - alpha)), float(heavy))


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
