"""Calendar months as day numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Consecutive calendar months as day numbers.

    Attributes
    ----------
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``.
    edges : numpy.ndarray, shape (M + 1,)
        First day of each month, and the day after the last (days since 1970-01-01).
    """

    months: npt.NDArray[np.datetime64]
    edges: Ints

    @classmethod
    def of(cls, months: npt.NDArray[np.datetime64]) -> Axis:
        """Lay out consecutive months."""
        ends = np.append(months, months[-1] + 1)
        return cls(months, ends.astype("datetime64[D]").astype(np.int64))

    @property
    def days(self) -> Floats:
        """Days of each month, shape (M,)."""
        return np.diff(self.edges).astype(np.float64)
