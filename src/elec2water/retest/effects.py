"""What a test of a well would tell: the joint covariance of tests that might be made and totals that are reported.

Total d is ``T_d = Σ_i V_i κ_i``, to first order ``δT_d = s_d'δθ + Σ_{i∈d} V_i e_i`` with θ the shared effects and e_i
what a well's own path has beside them. A test of well i reads ``h_i'θ + e_i + ε_i``. All is Gaussian at given
variances: a test takes ``c_di²/v_i`` from the variance of T_d, ``c`` the covariance of total and reading and ``v`` the
reading's variance, and conditions all the others by an update of rank one (Krause, Singh & Guestrin 2008, J. Mach.
Learn. Res. 9, for the greedy choice of sensors). Nothing is refitted, whatever the number of wells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elec2water.volume.shared_error import Loadings

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Candidates:
    """Tests that might be made, one a well.

    Attributes
    ----------
    loadings : Loadings
        Of the N readings on the shared effects, one month.
    covariance : (p, p)
        Of the shared effects now.
    own : (N,)
        Variance of what the well has beside them now.
    noise : (N,)
        Variance of the error of a test.
    sums : (D, p)
        ``s_d`` of the totals [m³].
    volume : (N,)
        Converted volume of each well [m³].
    member : (K, N)
        For each of K kinds of totals the place among the D totals to which a well belongs; -1 for none.
    reach : (K, N)
        Covariance of what a well has beside the shared effects now and at the time of each kind of totals; ``own``
        for totals of now.
    """

    loadings: Loadings
    covariance: Floats
    own: Floats
    noise: Floats
    sums: Floats
    volume: Floats
    member: Ints
    reach: Floats

    @property
    def n_wells(self) -> int:
        """Number of wells, N."""
        return int(self.own.size)

    def total_variances(self) -> Floats:
        """Variance of the totals now [m⁶], (D,): shared effects and the wells' own paths.

        Of totals of later years it is what is known of them now, without the movement of the months to come.
        """
        variance = np.einsum("di,ij,dj->d", self.sums, self.covariance, self.sums, optimize=True)
        return np.asarray(variance + self._by_total(self.volume**2 * self.own))

    def total_covariances(self) -> Floats:
        """Covariance of every total with every reading [m³], (D, N)."""
        shared = self.covariance @ self.sums.T
        cross = np.stack([self.loadings.product(column)[:, 0] for column in shared.T])
        wells = np.arange(self.n_wells)
        for kind, reach in zip(self.member, self.reach, strict=True):
            inside = kind >= 0
            cross[kind[inside], wells[inside]] += (self.volume * reach)[inside]
        return cross

    def signal_variances(self) -> Floats:
        """Variance of what the tests would read, without their error, (N,)."""
        return self.loadings.quadratic(self.covariance, np.ones((self.n_wells, 1))) + self.own

    def signal_covariances(self, well: int) -> Floats:
        """Covariance of what every test and that of one well would read, without error, (N,)."""
        covariance = self.loadings.product(self.covariance @ self.row(well))[:, 0]
        covariance[well] += self.own[well]
        return covariance

    def row(self, well: int) -> Floats:
        """Give the loading of one reading, (p,)."""
        one = self.loadings.take(np.array([well], dtype=np.intp))
        at = one.sample if one.sample.size else np.zeros(1, dtype=np.intp)
        return np.asarray(one.mean_rows(at, np.ones((1, 1)))[0])

    def _by_total(self, values: Floats) -> Floats:
        out = np.zeros(self.sums.shape[0])
        for kind in self.member:
            inside = kind >= 0
            out += np.bincount(kind[inside], values[inside], out.size)
        return out
