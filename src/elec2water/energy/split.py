"""Energy of shared meters: what one well gets too much its neighbours lack, and what the meter errs by they share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.cells import Cells
from elec2water.energy.links import Epochs

_TAIL = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Links of meters that serve several wells, K of them, where the share or the meter's energy is an estimate.

    Shares of a group that nobody stated follow a Dirichlet law: the covariance of two is ``-damping · s_i · s_j``, so
    that the energies of the group add up to the meter's whatever the shares are. The error of the meter's own energy
    (a reading spread over months) is common to its wells: ``+ρ² · s_i · s_j`` with ρ its relative standard deviation.

    Attributes
    ----------
    well, group : numpy.ndarray, shape (K,)
        Position of the well, and the spell of the meter that it is split from.
    kwh : numpy.ndarray, shape (K, M)
        Energy that the well has from this meter [kWh], 0 where unknown.
    damping : numpy.ndarray, shape (K,)
        1/(c + 1), with c the concentration of the law; 0 for stated shares.
    spread : numpy.ndarray, shape (3, K, M), optional
        Variance of that energy by the error of the meter's reading, and its covariances with the next two months
        [kWh²].
    """

    well: Ints
    group: Ints
    kwh: Floats
    damping: Floats
    spread: Floats | None = None

    def window(self, source: Ints, held: Bools) -> Split:
        """Give the months at places `source` of those held, 0 where not ``held``."""
        kwh = np.zeros((len(self.well), len(source)))
        kwh[:, held] = self.kwh[:, source[held]]
        if self.spread is None:
            return replace(self, kwh=kwh)
        spread = np.zeros((3, *kwh.shape))
        spread[:, :, held] = self.spread[:, :, source[held]]
        for lag in (1, 2):
            spread[lag, :, -lag:] = 0.0
        return replace(self, kwh=kwh, spread=spread)

    def moved(self, place: Ints) -> Split:
        """Give the links with the wells at other places, ``place`` (N,) of each; those at -1 are left out."""
        kept = np.flatnonzero(place[self.well] >= 0)
        spread = None if self.spread is None else self.spread[:, kept]
        return replace(
            self,
            well=place[self.well[kept]],
            group=self.group[kept],
            kwh=self.kwh[kept],
            damping=self.damping[kept],
            spread=spread,
        )

    def common(self) -> Floats:
        """Relative variance, shape (K,), of the meter's energy over all months: what its wells err by together."""
        if self.spread is None:
            return np.zeros(len(self.well))
        total = self.kwh.sum(axis=1) ** 2
        variance = self.spread[0].sum(axis=1) + 2.0 * self.spread[1:].sum(axis=(0, 2))
        return np.asarray(np.divide(np.maximum(variance, 0.0), total, out=np.zeros_like(total), where=total > 0))

    def tail(self, n_wells: int) -> Floats:
        """Give, shape (n_wells,), by what part the variance of a lognormal must grow for its bounds to fit the share.

        A share ends at the whole meter and reaches far down: where its odds are lognormal, the 90 % interval of the
        lognormal with its mean and variance holds 87 % for ln-spreads of 0.5 and 85 % for 0.8, with this 90–91 %.
        """
        out = np.zeros(n_wells)
        np.maximum.at(out, self.well, _TAIL * self.damping)
        return out

    def open_kwh(self, n_wells: int) -> Floats:
        """Give, shape (n_wells,), the energy of a well that its meter's other wells could have used as well [kWh].

        ``Σ E_l (1 - w_l)`` over its links, with w the link's part of what its meter splits; 0 for stated shares.
        """
        used, open_ = self.kwh.sum(axis=1), self.damping > 0
        shared = np.where(open_, used, 0.0)
        total = np.bincount(self.group, weights=shared)[self.group]
        others = 1.0 - np.divide(shared, total, out=np.ones_like(used), where=total > 0)
        return np.bincount(self.well, weights=shared * others, minlength=n_wells).astype(np.float64)

    def cross_variance(self, volume: Floats, domain: Ints, n_domains: int) -> Floats:
        """Give what covariances between wells add to the variance of domains, shape (G,).

        Parameters
        ----------
        volume : numpy.ndarray, shape (K,)
            Volume [m³] that hangs on each link.
        domain : numpy.ndarray, shape (K,)
            Domain of its well, 0 … G - 1; -1 for none.
        n_domains : int
            G.

        Returns
        -------
        numpy.ndarray
            ``Σ (ρ² - damping) · ((Σ v)² - Σ v²)`` over the groups within each domain [m⁶].
        """
        known = domain >= 0
        key = self.group[known] * np.int64(n_domains + 1) + domain[known]
        pairs, place = np.unique(key, return_inverse=True)
        v, damping = volume[known], np.zeros(len(pairs))
        damping[place] = (self.damping - self.common())[known]
        total = np.bincount(place, weights=v, minlength=len(pairs))
        square = np.bincount(place, weights=v**2, minlength=len(pairs))
        cross = damping * (total**2 - square)
        return -np.bincount(pairs % (n_domains + 1), weights=cross, minlength=n_domains).astype(np.float64)[:n_domains]


def split_of_meters(cells: Cells, epochs: Epochs, days: Floats) -> Split | None:
    """Give the links of shared meters whose share nobody stated, or whose energy is an estimate; or None.

    Parameters
    ----------
    cells : Cells
        A row for each spell of `epochs`.
    epochs : Epochs
        Spells, links and shares.
    days : numpy.ndarray, shape (M,)
        Days of the months.

    Returns
    -------
    Split or None
    """
    several = np.bincount(epochs.epoch, minlength=len(epochs.meter)) > 1
    guessed = several & (cells.variance > 0).any(axis=1)
    link = np.flatnonzero((epochs.share_variance > 0) | guessed[epochs.epoch])
    if not len(link):
        return None
    epoch, share = epochs.epoch[link], np.nan_to_num(epochs.share[link])
    part = cells.days[epoch] / days
    scale = np.divide(1.0, part, out=np.ones_like(part), where=(part > 0) & (part < 1.0)) * share[:, None]
    # var = damping · s (r - s) with r the part of the meter that is split.
    open_ = epochs.share_variance[link] > 0
    rest = np.bincount(epoch, weights=np.where(open_, share, 0.0), minlength=len(epochs.meter))[epoch]
    spare = share * (rest - share)
    damping = np.divide(epochs.share_variance[link], spare, out=np.zeros_like(spare), where=open_ & (spare > 0))
    return Split(epochs.well[link], epoch, scale * cells.kwh[epoch], damping, _spread(cells, epoch, scale))


def _spread(cells: Cells, epoch: Ints, scale: Floats) -> Floats:
    """Give the variance of each link's energy by the meter's, and its covariances with the next two months."""
    out = np.zeros((3, *scale.shape))
    out[0] = scale**2 * cells.variance[epoch]
    for lag, covariance in enumerate(cells.lags, start=1):
        out[lag, :, :-lag] = scale[:, :-lag] * scale[:, lag:] * covariance[epoch][:, :-lag]
    return out
