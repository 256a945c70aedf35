"""Everything known of the wells of a quarter before a volume is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from elec2water.blocks import by_block, rows_of
from elec2water.calendar_ import decimal_year
from elec2water.coefficient import features
from elec2water.coefficient.anomaly import limited_anomaly
from elec2water.coefficient.context import WellContext
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.predict import unseen_blanks
from elec2water.coefficient.result import Coefficient
from elec2water.coefficient.shared import Layout
from elec2water.energy import MonthlyEnergy
from elec2water.energy.split import Split
from elec2water.energy.spreading import Spreading
from elec2water.sums import row_sum
from elec2water.volume.measured import MeasuredMonths, measured_months
from elec2water.volume.shared_error import Loadings

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Parts:
    """Everything known of the wells of a quarter before a volume is made of it; energy is NaN where it is unknown."""

    well_id: NDArray[np.object_]
    months: NDArray[np.datetime64]
    kwh: Floats
    pumping: Floats
    kwh_variance: Floats
    unread_rel_u: Floats  # (M,) of energy that nobody read, common to all wells
    kwh_lags: Floats
    split: Split | None
    open_kwh: Floats | None  # (N,) that other wells of a meter could have used
    share_tail: Floats | None  # (N,)
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
    ) -> Parts:
        """Gather what is known of the wells of a context in its months."""
        first = int(np.searchsorted(energy.months, context.months[0]))
        held = np.arange(first, first + context.months.size)
        column = slice(first, first + held.size)
        kwh = energy.kwh[:, column]
        kwh = kwh if on_grid.all() else np.where(on_grid[:, None], kwh, np.nan)
        split = None if energy.split is None else energy.split.window(held, np.ones(held.size, dtype=bool))
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
        path += np.where(sampled, 0.0, unseen_blanks(context, posterior))
        # A meter's own bias is part of what its pairs say of the well, and months differ by more than the drift knows.
        weight = month_weight(zero_if_unknown(kwh[posterior.sample]))
        own = path.copy()
        own[posterior.sample] += measured.meter_rel_u[posterior.sample] ** 2 + v["error"] * row_sum(weight**2)
        return cls(
            context.well_id,
            context.months,
            kwh,
            context.pumping,
            energy.variance[:, column],
            np.sqrt(energy.common[column]),
            energy.lags[:, :, column],
            split,
            None if split is None else split.open_kwh(kwh.shape[0]),
            None if split is None else split.tail(kwh.shape[0]),
            energy.spreading,
            energy.quality[:, column],
            loadings,
            offset,
            path,
            own,
            sampled,
            measured,
            coefficient.spec.by_energy,
        )

    def take(self, wells: slice) -> Parts:
        """Keep some wells, without what is known of meters and months only."""
        return replace(
            self,
            well_id=self.well_id[wells],
            kwh=self.kwh[wells],
            pumping=self.pumping[wells],
            kwh_variance=self.kwh_variance[wells],
            kwh_lags=self.kwh_lags[:, wells],
            split=None,
            open_kwh=None if self.open_kwh is None else self.open_kwh[wells],
            share_tail=None if self.share_tail is None else self.share_tail[wells],
            spreading=None,
            quality=self.quality[wells],
            loadings=self.loadings.take(wells),
            log_offset=self.log_offset[wells],
            path_variance=self.path_variance[wells],
            own_variance=self.own_variance[wells],
            sampled=self.sampled[wells],
            measured=rows_of(self.measured, wells),
        )

    @property
    def met(self) -> NDArray[np.bool_]:
        """Months (N, M) of which the well's own water meter tells the volume."""
        return np.isfinite(self.measured.volume_m3) & self.sampled[:, None]

    def used_kwh(self) -> Floats:
        """Energy (N, M): the grid's, else what came with the water meter's reading, else none."""
        return np.where(np.isfinite(self.kwh), self.kwh, np.where(self.met, self.measured.energy_kwh, 0.0))


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


@dataclass(frozen=True)
class _Own:
    """How N wells load the effects, of which each row is made of the well's own: arrays of ``Loadings``."""

    codes: Ints
    cells: Ints
    moving: Floats


def _loadings(context: WellContext, coefficient: Coefficient, posterior: Posterior) -> Loadings:
    layout, static, spec = posterior.layout, context.static, coefficient.spec
    first = np.array([layout.factor_start(factor.name) for factor in layout.factors], dtype=np.intp)
    month = layout.cells_start + np.searchsorted(layout.months, context.months)

    def own(wells: slice) -> _Own:
        codes = static.codes[wells]
        cells = static.aquifer[wells, None] * layout.months.size + month
        level = spec.bent(zero_if_unknown(context.level[wells]))
        moving = np.stack([level, limited_anomaly(context.anomaly[wells])], axis=2)
        return _Own(np.where(codes < 0, -1, codes + first), cells.astype(np.intp), moving)

    of_wells = by_block(own, context.well_id.size)
    places = [layout.moving_start + layout.moving_names.index(name) for name in features.OWN_MOVING]
    return Loadings(
        dense=static.dense,
        dense_at=np.arange(static.dense.shape[1]),
        codes=of_wells.codes,
        cells=of_wells.cells,
        carry=_carry(coefficient, layout, context),
        moving=of_wells.moving,
        moving_at=np.array(places, dtype=np.intp),
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


def month_weight(kwh: Floats) -> Floats:
    """Give what each month has of a well's energy (N, M); months alike where there is none."""
    total = row_sum(kwh)[:, None]
    weight = kwh / np.where(total > 0, total, 1.0)
    idle = np.flatnonzero(~(total > 0))
    weight[idle] = 1.0 / kwh.shape[1]
    return weight


def zero_if_unknown(values: Floats) -> Floats:
    """Give the values with 0 in the place of NaN."""
    return np.where(np.isnan(values), 0.0, values)
