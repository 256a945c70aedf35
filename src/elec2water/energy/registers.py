"""From the reads of a register to the energy between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints, Texts
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Links
from elec2water.energy.reporter import NOTHING, Reporter, together
from elec2water.findings import Findings

HOURS_PER_DAY = 24.0
CAPACITY_MARGIN = 1.1
"""Energy beyond rated power × hours × this margin cannot have gone through the pump."""
USUAL_DIGITS = (4, 5, 6)
_FALLS_ZH = ["换表", "抄录错误", "电表回行"]
_FALLS_EN = ["meter exchanged", "read typed wrong", "register ran back"]


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """Reads of registers, n of them.

    Attributes
    ----------
    meter, day : numpy.ndarray, shape (n,)
        Code of the meter, and days since 1970-01-01.
    register : numpy.ndarray, shape (n,)
        What the register showed [kWh before the multiplier].
    estimated : numpy.ndarray, shape (n,)
        True where nobody looked.
    row : numpy.ndarray, shape (n,)
        Row of the source file.
    multiplier : numpy.ndarray, shape (n,)
        Multiplier written beside the read; NaN where none is.
    """

    meter: Ints
    day: Ints
    register: Floats
    estimated: Bools
    row: Ints
    multiplier: Floats

    def take(self, which: Bools | Ints) -> Reads:
        """Give some of the reads, by mask or index."""
        return Reads(*(getattr(self, f.name)[which] for f in fields(self)))

    @staticmethod
    def concat(parts: Sequence[Reads]) -> Reads:
        """Lay several sets end to end."""
        names = [f.name for f in fields(Reads)]
        return Reads(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def as_intervals(self) -> Intervals:
        """Give the reads as intervals of no length: a read repeated is settled as an interval repeated is."""
        return Intervals(self.meter, self.day, self.day, self.register, self.estimated, self.row)


def without_bridged_estimates(reads: Reads, reporter: Reporter) -> tuple[Reads, Findings]:
    """Drop estimated reads that an actual read of the same meter follows: the register caught up.

    Parameters
    ----------
    reads : Reads
        In order of meter and day.

    Returns
    -------
    tuple of Reads and Findings
        ``ESTIMATE_MERGED`` (info), one for each read dropped.
    """
    if not reads.estimated.any():
        return reads, NOTHING
    last_actual = np.full(int(reads.meter.max()) + 1, np.iinfo(np.int64).min)
    actual = ~reads.estimated
    np.maximum.at(last_actual, reads.meter[actual], reads.day[actual])
    bridged = reads.estimated & (reads.day < last_actual[reads.meter])
    points = reads.take(bridged).as_intervals()
    return reads.take(~bridged), reporter.of("ESTIMATE_MERGED@REGISTER", points, observed=points.kwh)


def differences(reads: Reads) -> Intervals:
    """Give what each register moved from one read to the next of the same meter.

    Parameters
    ----------
    reads : Reads
        In order of meter and day, one a meter and day, but for the old meter and the new one where it was exchanged.

    Returns
    -------
    Intervals
        ``kwh`` before the multiplier; one interval fewer a meter than days with reads; none where a register is not
        known; ``estimated`` where either read is.
    """
    first = _steps(reads)
    opening, closing = reads.take(first), reads.take(first + 1)
    return Intervals(
        meter=closing.meter,
        start=opening.day,
        end=closing.day,
        kwh=closing.register - opening.register,
        estimated=opening.estimated | closing.estimated,
        row=closing.row,
    )


def _steps(reads: Reads) -> Ints:
    """Give the reads that a later one of the same register follows."""
    step = (reads.meter[1:] == reads.meter[:-1]) & (reads.day[1:] > reads.day[:-1])
    return np.flatnonzero(step & np.isfinite(reads.register[1:]) & np.isfinite(reads.register[:-1]))


def stated_multipliers(reads: Reads) -> tuple[Floats, Floats]:
    """Give the multipliers written beside the reads at both ends of each difference, NaN where none is."""
    first = _steps(reads)
    opening, closing = reads.multiplier[first], reads.multiplier[first + 1]
    return np.where(np.isnan(opening), closing, opening), np.where(np.isnan(closing), opening, closing)


def one_multiplier(billing: Intervals, reads: Reads, links: Links, n_meters: int) -> Bools:
    """Tell which meters are read by register alone and have one multiplier throughout, applied here.

    In a spell between two others such a meter cannot lack its multiplier: nobody else applies it.

    Parameters
    ----------
    billing, reads : Intervals, Reads
        What was read of all meters.
    links : Links
        With the multipliers stated for meters.
    n_meters : int

    Returns
    -------
    numpy.ndarray of bool, shape (n_meters,)
        False where a bill, or a multiplier beside a read, is given as well.
    """
    told = np.concatenate([billing.meter, reads.meter[np.isfinite(reads.multiplier)]])
    stated = np.where(links.multiplier > 0, links.multiplier, 1.0)
    lowest, highest = np.full(n_meters, np.inf), np.full(n_meters, -np.inf)
    np.minimum.at(lowest, links.meter, stated)
    np.maximum.at(highest, links.meter, stated)
    return np.asarray((np.bincount(told, minlength=n_meters) == 0) & (lowest == highest))


def energy_of(
    moved: Intervals, links: Links, reporter: Reporter, stated: tuple[Floats, Floats] | None = None
) -> tuple[Intervals, Findings]:
    """Turn register movements into energy: rollover, then the multiplier.

    A register that fell has rolled over only if its digits are known and the energy is then possible for the pumps on
    the meter (rated power × hours × 1.1). Otherwise it stays negative and is left out later, by
    :func:`elec2water.energy.intervals.usable`.

    Parameters
    ----------
    moved : Intervals
        From :func:`differences`.
    links : Links
        Multipliers, digits and pumps of the meters.
    reporter : Reporter
        Who speaks.
    stated : tuple of numpy.ndarray, shape (n,) each, optional
        Multipliers written beside the reads, from :func:`stated_multipliers`; they come before those of the links.

    Returns
    -------
    tuple of Intervals and Findings
        ``REGISTER_ROLLOVER`` (info) and ``MULTIPLIER_AMBIGUOUS`` (those are left out).
    """
    lowest, highest = links.multiplier_between(moved.meter, moved.start, moved.end)
    if stated is not None:
        lowest = np.where(np.isnan(stated[0]), lowest, np.fmin(*stated))
        highest = np.where(np.isnan(stated[0]), highest, np.fmax(*stated))
    limit = links.capacity_kw[moved.meter] * (moved.end - moved.start) * HOURS_PER_DAY * CAPACITY_MARGIN
    rolled = (moved.kwh + 10.0 ** links.digits[moved.meter]) * lowest
    rollover = (moved.kwh < 0) & (rolled >= 0) & (rolled <= limit)
    kwh = np.where(rollover, rolled, moved.kwh * lowest)
    ambiguous = lowest != highest
    energy = Intervals(moved.meter, moved.start, moved.end, kwh, moved.estimated, moved.row)
    turned = rollover & ~ambiguous
    found = together(
        reporter.of("REGISTER_ROLLOVER", energy.take(turned), observed=kwh[turned], limit=limit[turned]),
        reporter.of(
            "MULTIPLIER_AMBIGUOUS",
            energy.take(ambiguous),
            observed=lowest[ambiguous],
            limit=highest[ambiguous],
            energy_kwh=np.round(np.abs(kwh[ambiguous]), 1),
        ),
    )
    return energy.take(~ambiguous), found


def causes_of_fall(energy: Intervals, links: Links, reporter: Reporter) -> Texts:
    """Name what may be behind every negative energy of registers: a rollover by usual digits, an exchange, a slip.

    Parameters
    ----------
    energy : Intervals
        From :func:`energy_of`.
    links : Links
        Digits, multipliers and pumps.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    numpy.ndarray of str, shape (n,)
        ``""`` where the energy is not negative.
    """
    say = reporter.choose
    causes = np.full(len(energy), "", dtype=object)
    lowest, _ = links.multiplier_between(energy.meter, energy.start, energy.end)
    for k in np.flatnonzero(energy.kwh < 0):
        hours = float(energy.end[k] - energy.start[k]) * HOURS_PER_DAY
        most = float(links.capacity_kw[energy.meter[k]]) * hours * CAPACITY_MARGIN
        fallen, per_kwh = float(energy.kwh[k]), float(lowest[k])
        turned = {digits: fallen + 10.0**digits * per_kwh for digits in USUAL_DIGITS}
        words = [
            say(f"{digits} 位示数翻转（{kwh:.0f} kWh）", f"rollover of {digits} digits ({kwh:.0f} kWh)")
            for digits, kwh in turned.items()
            if kwh >= 0 and not kwh > most
        ]
        words += say(_FALLS_ZH, _FALLS_EN)
        causes[k] = "|".join(words)
    return causes
