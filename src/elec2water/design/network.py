"""An existing network that the next design keeps, in whole or but for a share that rotates out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.coordination import floors
from elec2water.design.result import Design
from elec2water.energy.arrays import positions
from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ROUNDING = 1e-9


class Drawn(NamedTuple):
    """What came of a draw: probabilities of the frame (N,), and the number of primary wells."""

    probability: Floats
    size: int


@dataclass(frozen=True)
class Network:
    """Wells that are measured already.

    Attributes
    ----------
    well_id : tuple of str
        The wells of the network.
    probability : pandas.Series
        Inclusion probability under the design they were drawn by, by ``well_id``, of every well of its frame; a well of
        the network that is not in it was chosen, not drawn, and speaks for itself alone.
    rotate : float
        Share that rotates out.
    """

    well_id: tuple[str, ...]
    probability: pd.Series
    rotate: float = 0.0

    @classmethod
    def of(cls, design: Design, *, rotate: float = 0.0) -> Network:
        """Take the primary wells of an earlier design, with the probabilities of its whole frame.

        Without its frame (a sample list written by hand) its wells count as chosen, not drawn.

        Parameters
        ----------
        design : Design
        rotate : float
            Share of its wells that rotates out, 0 to 1.

        Returns
        -------
        Network
        """
        known = design.frame.set_index("well_id")["inclusion_probability"].astype(np.float64)
        return cls(tuple(design.primary["well_id"]), known, rotate)

    @classmethod
    def chosen(cls, well_id: Sequence[str], *, rotate: float = 0.0) -> Network:
        """Take wells that were chosen by hand: nobody knows their probabilities.

        Parameters
        ----------
        well_id : sequence of str
        rotate : float
            Share of them that rotates out, 0 to 1.

        Returns
        -------
        Network
        """
        return cls(tuple(well_id), pd.Series(dtype=np.float64), rotate)

    def among(self, well_id: pd.Series) -> tuple[Flags, Floats]:
        """Find the network among the wells of a frame.

        Parameters
        ----------
        well_id : Series, length N

        Returns
        -------
        in_network : (N,) array of bool
        previous : (N,) array
            Probability under the old design: NaN where nobody knows, zero for wells that were not in its frame.

        Raises
        ------
        UsageError
            If `rotate` is not a fraction.
        """
        if not 0.0 <= self.rotate <= 1.0:
            raise UsageError(f"design: the share that rotates must lie between 0 and 1, found {self.rotate}")
        inside = np.asarray(positions(well_id, pd.Index(self.well_id, dtype="str")) >= 0)
        previous = self.probability.reindex(well_id.to_numpy(dtype=object)).to_numpy(dtype=np.float64)
        return inside, np.where(inside, previous, np.nan_to_num(previous))

    def minimum(self, well_id: pd.Series, codes: Integers, minimum: Integers) -> Integers:
        """Raise the least sample size of strata to what the network takes of them.

        Where wells were chosen by hand there is one more, for somebody has to speak for the others.

        Parameters
        ----------
        well_id : Series, length N
        codes : (N,) array of int
            Stratum of each well.
        minimum : (H,) array of int

        Returns
        -------
        (H,) array of int
            At most the wells of the stratum.
        """
        inside, previous = self.among(well_id)
        taken = np.bincount(codes, floors(inside, previous, rotate=self.rotate), minimum.size)
        chosen = np.bincount(codes, inside & np.isnan(previous), minimum.size) > 0
        needed = np.ceil(taken - _ROUNDING).astype(np.int64) + chosen
        raised: Integers = np.minimum(np.maximum(minimum, needed), np.bincount(codes, minlength=minimum.size))
        return raised

    def findings(
        self, well_id: pd.Series, codes: Integers, names: Sequence[str], drawn: Drawn, n: Integers, lang: str
    ) -> Findings:
        """Say whose probability nobody knows, which strata the network fills, and how many wells it came to.

        Parameters
        ----------
        well_id : Series, length N
        codes : (N,) array of int
        names : sequence of str, length H
        drawn : Drawn
        n : (H,) array of int
            Sample sizes that were wanted.
        lang : str

        Returns
        -------
        Findings
            ``DESIGN_NETWORK_UNKNOWN_PROBABILITY``, ``_LARGER``, ``_ABOVE_N`` and ``_SIZE``.

        Raises
        ------
        UsageError
            If `rotate` is not a fraction.
        """
        inside, previous = self.among(well_id)
        unknown = np.sort(well_id.to_numpy(dtype=object)[inside & np.isnan(previous)].astype(str))
        expected = np.bincount(codes, drawn.probability, n.size)
        larger = np.flatnonzero(expected > n + 0.5)
        notes = findings_of("DESIGN_NETWORK_UNKNOWN_PROBABILITY", table="wells", well_id=unknown, lang=lang)
        notes += findings_of(
            "DESIGN_NETWORK_LARGER",
            table="wells",
            observed=[names[h] for h in larger.tolist()],
            limit=n[larger],
            expected=[f"{expected[h]:.1f}" for h in larger.tolist()],
            lang=lang,
        )
        wanted, known = int(n.sum()), float(np.where(np.isnan(previous), inside, previous).sum())
        if expected.sum() > wanted + 0.5:
            return notes + findings_of(
                "DESIGN_NETWORK_ABOVE_N",
                table="wells",
                observed=drawn.size,
                limit=wanted,
                kept=f"{1 - self.rotate:.0%}",
                rotate=f"{math.ceil(100 * max(1 - wanted / known, 0.0)) / 100:g}",
                lang=lang,
            )
        if drawn.size == wanted:
            return notes
        return notes + findings_of("DESIGN_NETWORK_SIZE", table="wells", observed=drawn.size, limit=wanted, lang=lang)
