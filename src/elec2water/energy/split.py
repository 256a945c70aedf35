"""Energy of shared meters that was split by shares nobody stated: what one well gets too much, its neighbours lack."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.cells import Cells
from elec2water.energy.links import Epochs


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Links whose share is an estimate, K of them.

    Shares of a group follow a Dirichlet law: the covariance of two is ``-damping · s_i · s_j``, so that the energies of
    the group add up to the meter's whatever the shares are.

    Attributes
    ----------
    well, group : numpy.ndarray, shape (K,)
        Position of the well, and the spell of the meter that it is split from.
    kwh : numpy.ndarray, shape (K, M)
        Energy that the well has from this meter [kWh], 0 where unknown.
    damping : numpy.ndarray, shape (K,)
        1/(c + 1), with c the concentration of the law.
    """

    well: Ints
    group: Ints
    kwh: Floats
    damping: Floats

    def window(self, source: Ints, held: Bools) -> Split:
        """Give the months at places `source` of those held, 0 where not ``held``."""
        kwh = np.zeros((len(self.well), len(source)))
        kwh[:, held] = self.kwh[:, source[held]]
        return replace(self, kwh=kwh)

    def cross_variance(self, volume: Floats, domain: Ints, n_domains: int) -> Floats:
        """Give what covariances between wells add to the variance of domains; negative, shape (G,).

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
            ``-Σ damping · ((Σ v)² - Σ v²)`` over the groups within each domain [m⁶].
        """
        known = domain >= 0
        key = self.group[known] * np.int64(n_domains + 1) + domain[known]
        pairs, place = np.unique(key, return_inverse=True)
        v, damping = volume[known], np.zeros(len(pairs))
        damping[place] = self.damping[known]
        total = np.bincount(place, weights=v, minlength=len(pairs))
        square = np.bincount(place, weights=v**2, minlength=len(pairs))
        cross = damping * (total**2 - square)
        return -np.bincount(pairs % (n_domains + 1), weights=cross, minlength=n_domains).astype(np.float64)[:n_domains]


def split_of_meters(cells: Cells, epochs: Epochs, days: Floats) -> Split | None:
    """Give the links whose share nobody stated, or None.

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
    link = np.flatnonzero(epochs.share_variance > 0)
    if not len(link):
        return None
    epoch, share = epochs.epoch[link], epochs.share[link]
    part = cells.days[epoch] / days
    scale = np.divide(1.0, part, out=np.ones_like(part), where=(part > 0) & (part < 1.0))
    # var = damping · s (r - s) with r the part of the meter that is split.
    rest = np.bincount(epoch, weights=share, minlength=len(epochs.meter))[epoch]
    damping = epochs.share_variance[link] / (share * (rest - share))
    return Split(epochs.well[link], epoch, share[:, None] * cells.kwh[epoch] * scale, damping)
