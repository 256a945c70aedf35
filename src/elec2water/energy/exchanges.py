"""Two registers of one meter on one day: an exchange, where only that fits the reads around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.intervals import distinct_index
from elec2water.energy.registers import Reads
from elec2water.energy.reporter import Reporter, together
from elec2water.findings import Findings


def one_a_day(reads: Reads, reporter: Reporter) -> tuple[Reads, Findings]:
    """Settle reads of one meter and day: the same twice counts once, of two that differ both are left out or both used.

    The register of a day closes the interval before it and opens the one after. Where the register before allows only
    the higher of two to close, and the register after only the lower to open, the meter was exchanged: the old one's
    last and the new one's first. Where both lie between the registers around them, one of them is a slip, and the
    interval over that day holds the energy. Where one side allows one register and the other side both, that side is
    not known: an interval over the day would take the difference of two meters for energy.

    Parameters
    ----------
    reads : Reads
        Of all meters, in any order.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    Reads
        In order of meter and day; of a day with an exchange the read that closes and then the one that opens, NaN
        where it is not known.
    Findings
        ``REGISTER_EXCHANGED``, ``READING_REPEATED`` (info) and ``READING_CONTRADICTION``.
    """
    if not _any_day_twice(reads):
        index, found = distinct_index(reads.as_intervals(), reporter, "@REGISTER")
        return reads.take(index), found
    order = np.lexsort((reads.row, reads.register, reads.day, reads.meter))
    first, closing, opening, whole = _exchanges(reads.take(order))
    left = np.ones(len(order), dtype=bool)
    left[order[first[whole]]] = left[order[first[whole] + 1]] = False
    rest = np.flatnonzero(left)
    index, found = distinct_index(reads.take(rest).as_intervals(), reporter, "@REGISTER")
    low, high = (reads.take(order[first + step]) for step in (0, 1))
    old, new = replace(high, register=closing), replace(low, register=opening)
    parts = [reads.take(rest[index]), old, new]
    stage = np.repeat([0, 0, 1], [len(index), len(first), len(first)])
    joined = Reads.concat(parts)
    points = old.as_intervals().take(whole)
    seen = reporter.of("REGISTER_EXCHANGED", points, observed=high.register[whole], limit=low.register[whole])
    return joined.take(np.lexsort((stage, joined.day, joined.meter))), together(found, seen)


def _any_day_twice(reads: Reads) -> bool:
    if len(reads.day) < 2:
        return False
    base = int(reads.day.min())
    key = np.sort(reads.meter * (int(reads.day.max()) - base + 1) + reads.day - base)
    return bool((key[1:] == key[:-1]).any())


def _exchanges(reads: Reads) -> tuple[Ints, Floats, Floats, Bools]:
    """Find days with two registers of which the reads around them allow one: of reads in order of their registers.

    Returns
    -------
    tuple of numpy.ndarray
        Place of the lower of the two (the higher is the next), the register that closes and the one that opens (NaN
        where not known), and whether nothing is left open.
    """
    none = np.zeros(0, dtype=np.int64)
    new = np.append(True, (np.diff(reads.meter) != 0) | (np.diff(reads.day) != 0))[: len(reads.meter)]
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, len(new)))
    two = np.flatnonzero(size == 2)
    at = start[two]
    two = two[(reads.register[at] < reads.register[at + 1]) & ~reads.estimated[at] & ~reads.estimated[at + 1]]
    if not len(two):
        return none, none.astype(np.float64), none.astype(np.float64), none.astype(bool)
    low, high = reads.register[start[two]], reads.register[start[two] + 1]
    before, has_before = _beside(reads, start, size, two, -1)
    after, has_after = _beside(reads, start, size, two, 1)
    closing = np.where((before > low) & (before <= high), high, np.nan)
    opening = np.where((after >= low) & (after < high), low, np.nan)
    told = np.isfinite(closing) | np.isfinite(opening)
    whole = (np.isfinite(closing) | ~has_before) & (np.isfinite(opening) | ~has_after)
    return start[two][told], closing[told], opening[told], whole[told]


def _beside(reads: Reads, start: Ints, size: Ints, two: Ints, step: int) -> tuple[Floats, Bools]:
    """Give the register on the meter's day before or after, NaN where there are several, and whether there is a day."""
    other = np.clip(two + step, 0, len(start) - 1)
    there = (other != two) & (reads.meter[start[other]] == reads.meter[start[two]])
    return np.where(there & (size[other] == 1), reads.register[start[other]], np.nan), there
