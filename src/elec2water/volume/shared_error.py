"""Sums of wells that share an error: one joint computation, in closed form, without draws.

A well's ln κ depends on the shared effects as ``a_i'θ``. The relative error of a total that is common to its wells
is ``g'(θ - θ̂)`` with ``g = Σ V_i a_i / Σ V_i``; what belongs to one well adds up independently. For wells that load
θ alike the lognormal moments of the total are exact (Wolter 2007, section 6.2); for others the terms of second order in
``a_i - g`` are those of :class:`elec2water.volume.totals.Bend`. Cost: linear in wells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from elec2water.blocks import ROWS, blocks
from elec2water.sums import membership, renumbered, row_sum

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_WELLS_A_KIND = 64
"""Wells a domain from which on it is asked how many kinds of wells there are."""
_MOST_KEYS = 10_000_000


@dataclass(frozen=True)
class Loadings:
    """How wells load the shared effects θ (p,), without writing (N, p) out.

    Attributes
    ----------
    dense : (N, q)
        Values of the effects ``dense_at``.
    dense_at : (q,)
        Places in θ.
    codes : (N, F)
        Places in θ of the pooled effects each well has with weight one; -1 for none.
    cells : (N, M)
        Places in θ of the aquifer-month of each month.
    carry : (p, p)
        Identity, and in the columns of aquifer-months what season and trend come with them: a loading is ``carry @
        reduced``.
    moving : (N, M, r)
        Values by month of the effects ``moving_at`` that differ from well to well.
    moving_at : (r,)
    sample : (W,)
        Places among the N wells of wells with pairs of their own.
    gain : (W, p)
        What their own pairs take away from their loading.
    size : int
        p.
    """

    dense: Floats
    dense_at: Ints
    codes: Ints
    cells: Ints
    carry: Floats
    moving: Floats
    moving_at: Ints
    sample: Ints
    gain: Floats
    size: int

    def take(self, wells: Ints | slice) -> Loadings:
        """Keep some wells."""
        if isinstance(wells, slice):
            first, end, _ = wells.indices(len(self.dense))
            if end - first == len(self.dense):
                return self
            inside = (self.sample >= first) & (self.sample < end)
            place = self.sample - first
        else:
            order = np.argsort(wells, kind="stable")
            place = np.append(order, 0)[np.searchsorted(wells, self.sample, sorter=order)]
            inside = np.isin(self.sample, wells)
        return replace(
            self,
            dense=self.dense[wells],
            codes=self.codes[wells],
            cells=self.cells[wells],
            moving=self.moving[wells],
            sample=place[inside],
            gain=self.gain[inside],
        )

    def renewed(self, years: Floats, place: int) -> Loadings:
        """Add to the effect at ``place`` of θ, that of wear, the years (N,) by which newer pumps have worn less."""
        if not years.any():
            return self
        return replace(
            self, dense=np.column_stack([self.dense, years]), dense_at=np.append(self.dense_at, place).astype(np.intp)
        )

    def product(self, theta: Floats) -> Floats:
        """``a_im'θ`` for every well and month, (N, M), the sample wells' gain included."""
        reduced = self.carry.T @ theta
        static = self.dense @ reduced[self.dense_at]
        extended = np.append(reduced, 0.0)
        for k in range(self.codes.shape[1]):
            static += extended[self.codes[:, k]]
        monthly = extended[self.cells]
        for k, slope in enumerate(reduced[self.moving_at].tolist()):
            monthly += self.moving[:, :, k] * slope
        monthly += static[:, None]
        monthly[self.sample] -= (self.gain @ theta)[:, None]
        return np.asarray(monthly)

    def domain_sums(self, volume: Floats, domain: Ints, n_domains: int, brought: Floats | None = None) -> Floats:
        """``Σ_i Σ_m V_im a_im`` for every domain, (G, p).

        Parameters
        ----------
        volume : (N, M)
            Volume by month; zero where nothing is converted.
        domain : (N,)
            0..G-1, or -1 for none.
        n_domains : int
        brought : (N, M + q + r), optional
            What :meth:`brought` makes of ``volume``, where sums of several kinds of domains are made of it.
        """
        brought = self.brought(volume) if brought is None else brought
        group = np.where(domain < 0, n_domains, domain)
        crowded = group.size > _WELLS_A_KIND * (n_domains + 1)
        if crowded and group.size > (n_domains + 1) * self.kinds.one.size:
            sums = self._by_kind(brought, group, n_domains + 1)
        else:
            sums = self._by_well(brought, group, n_domains + 1)
        full = sums[:n_domains, : self.size] @ self.carry.T
        here = np.flatnonzero(domain[self.sample] >= 0)
        taken = volume[self.sample[here]].sum(axis=1)[:, None] * self.gain[here]
        np.subtract.at(full, domain[self.sample[here]], taken)
        return np.asarray(full)

    def _by_kind(self, brought: Floats, group: Ints, n_groups: int) -> Floats:
        """Sum by effect, (G, p + 1), from the few kinds of wells there are in each of a few groups."""
        kinds = self.kinds.one
        sums = np.zeros((n_groups * kinds.size, brought.shape[1]))
        for part in blocks(group.size):
            of_kind = membership(group[part] * kinds.size + self.kinds.number[part], len(sums))
            sums += of_kind @ brought[part]
        return self._laid_out(sums, np.repeat(np.arange(n_groups), kinds.size), np.tile(kinds, n_groups), n_groups)

    def _by_well(self, brought: Floats, group: Ints, n_groups: int) -> Floats:
        """Sum by effect, (G, p + 1), well by well."""
        sums = np.zeros((n_groups, self.size + 1))
        for part in blocks(group.size, max(ROWS, sums.size)):
            sums += self._laid_out(brought[part], group[part], part, n_groups)
        return sums

    def brought(self, volume: Floats) -> Floats:
        """Give what wells bring to sums, (N, M + q + r): volume by month (N, M); times dense and moving effects."""
        months, dense = volume.shape[1], self.dense_at.size
        out = np.empty((len(volume), months + dense + self.moving_at.size))
        for part in blocks(len(volume)):
            some, here = volume[part], out[part]
            here[:, :months] = some
            np.multiply(row_sum(some)[:, None], self.dense[part], out=here[:, months : months + dense])
            np.einsum("nm,nmr->nr", some, self.moving[part], out=here[:, months + dense :])
        return out

    def _laid_out(self, brought: Floats, group: Ints, wells: Ints | slice, n_groups: int) -> Floats:
        """Sum by effect, (G, p + 1), what ``wells`` (n,) or those like them bring; the last column is of no effect."""
        codes, cells = self.codes[wells], self.cells[wells]
        months, own = np.split(brought, [cells.shape[1]], axis=1)
        place = np.hstack([np.where(codes < 0, self.size, codes), cells]) + group[:, None] * (self.size + 1)
        weight = np.hstack([np.broadcast_to(row_sum(months)[:, None], codes.shape), months])
        flat = np.bincount(place.ravel(), weight.ravel(), n_groups * (self.size + 1))
        sums = np.asarray(flat, dtype=np.float64).reshape(n_groups, -1)
        of_group = membership(group, n_groups) @ own
        for at, values in zip(np.append(self.dense_at, self.moving_at).tolist(), of_group.T, strict=True):
            sums[:, at] += values
        return sums

    def quadratic(self, matrix: Floats, weight: Floats) -> Floats:
        """Give ``ā_i'Aā_i`` (N,), ``ā_i`` a well's mean loading at the month ``weight`` (N, M), rows adding to one.

        The sample wells' gain is included.
        """
        return self.quadratics([matrix], weight)[0]

    def quadratics(self, matrices: Sequence[Floats], weight: Floats) -> list[Floats]:
        """Give :meth:`quadratic` of several symmetric matrices (p, p)."""
        forms, number = _Forms.of(self, matrices), self.kinds.number
        found = np.empty((self.dense.shape[0], len(matrices)))
        months = forms.months[number]
        for k in range(len(forms.own)):
            alike = np.flatnonzero(months == k)
            for part in blocks(alike.size):
                wells = alike[part]
                moving = np.einsum("nm,nmr->nr", weight[wells], self.moving[wells])
                own = np.hstack([self.dense[wells], moving, weight[wells]])
                found[wells] = forms.at(number[wells], own, k)
        rows = self.mean_rows(self.sample, weight[self.sample])
        for k, matrix in enumerate(matrices):
            found[self.sample, k] = np.einsum("wi,ij,wj->w", rows, matrix, rows, optimize=True)
        return list(np.ascontiguousarray(found.T))

    @cached_property
    def kinds(self) -> Kinds:
        """Wells that load the same effects: the same classes, the same aquifer-months."""
        return Kinds.of([*self.codes.T, *self.cells.T])

    def mean_rows(self, wells: Ints, weight: Floats) -> Floats:
        """Mean loadings of some wells, written out, (n, p); ``wells`` that have pairs must be ``sample`` itself."""
        rows = np.zeros((wells.size, self.size + 1))
        here = np.arange(wells.size)
        rows[:, self.dense_at] += self.dense[wells]
        rows[:, self.moving_at] += np.einsum("nm,nmr->nr", weight, self.moving[wells])
        for k in range(self.codes.shape[1]):
            rows[here, self.codes[wells, k]] += 1.0
        for m in range(self.cells.shape[1]):
            np.add.at(rows, (here, self.cells[wells, m]), weight[:, m])
        rows = rows[:, : self.size] @ self.carry.T
        return rows - self.gain if wells is self.sample else rows


@dataclass(frozen=True)
class Kinds:
    """Rows that are alike: ``number`` (N,) of the kind of each, and the place of one row of each kind (K,)."""

    number: Ints
    one: Ints

    @classmethod
    def of(cls, columns: Sequence[Ints]) -> Kinds:
        """Find the distinct rows of columns (N,) of whole numbers."""
        key, size = np.zeros(columns[0].size, dtype=np.intp), 1
        for column in map(np.ascontiguousarray, columns):
            least, most = int(column.min(initial=0)), int(column.max(initial=0))
            if size * (most - least + 1) > _MOST_KEYS:
                key, there = renumbered(key, size)
                size = there.size
            key = key * (most - least + 1) + (column - least)
            size *= most - least + 1
        number, there = renumbered(key, size)
        one = np.empty(there.size, dtype=np.intp)
        one[number] = np.arange(number.size)
        return cls(number, one)


@dataclass(frozen=True)
class _Forms:
    """J quadratic forms of loadings, worked out beforehand for every kind of wells.

    With ``own`` (r,) what differs from well to well (dense and moving effects, weights of the months), a form is
    ``constant[kind] + slope[kind]'own + own'A_g own``, ``g`` the aquifer-months of the kind.
    """

    constant: Floats  # (K, J)
    slope: Floats  # (K, J·r)
    months: Ints  # (K,) which matrices
    own: Floats  # (S, r, J·r)

    @classmethod
    def of(cls, loadings: Loadings, matrices: Sequence[Floats]) -> _Forms:
        p, kinds = loadings.size, loadings.kinds
        A = np.zeros((len(matrices), p + 1, p + 1))
        A[:, :p, :p] = [loadings.carry.T @ matrix @ loadings.carry for matrix in matrices]
        codes, cells = loadings.codes[kinds.one], loadings.cells[kinds.one]
        constant = A[:, codes[:, :, None], codes[:, None, :]].sum(axis=(2, 3)).T
        months = Kinds.of(list(cells.T))
        at = np.hstack(
            [np.tile(np.append(loadings.dense_at, loadings.moving_at), (months.one.size, 1)), cells[months.one]]
        )
        at = at.astype(np.intp)
        slope = np.zeros((len(A), *at[months.number].shape))
        for k in range(codes.shape[1]):
            slope += 2.0 * A[:, codes[:, k, None], at[months.number]]
        own = A[:, at[:, :, None], at[:, None, :]]
        return cls(constant, _side_by_side(slope), months.number, _side_by_side(own))

    def at(self, kind: Ints, own: Floats, months: int) -> Floats:
        """Give the forms (n, J) of wells of some kinds (n,) and one set of aquifer-months, from ``own`` (n, r)."""
        slope = self.slope[kind]
        slope += own @ self.own[months]
        return np.asarray(self.constant[kind] + np.einsum("nr,njr->nj", own, slope.reshape(len(own), -1, own.shape[1])))


def _side_by_side(matrices: Floats) -> Floats:
    """Give J matrices (J, …, r) as one, (…, J·r)."""
    return np.concatenate(list(matrices), axis=-1)
