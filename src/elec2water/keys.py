"""Which group each well belongs to: names coded once, for all that sum by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Labels: TypeAlias = "Keys | Sequence[object] | NDArray[np.generic] | pd.Series"


@dataclass(frozen=True)
class Keys:
    """Groups of N rows.

    Attributes
    ----------
    codes : (N,) array of int
        Place of each row's name among `names`; -1 for a blank.
    names : (G,) array of object
        Distinct names in ascending order.
    """

    codes: NDArray[np.intp]
    names: NDArray[np.object_]

    @classmethod
    def of(cls, labels: Labels) -> Keys:
        """Code labels; NaN and None are blank. Keys are given back as they are.

        Examples
        --------
        >>> Keys.of(["乙", None, "甲", "乙"]).codes
        array([ 0, -1,  1,  0])
        """
        if isinstance(labels, Keys):
            return labels
        column = labels if isinstance(labels, pd.Series) else pd.Series(np.asarray(labels, dtype=object))
        codes, found = pd.factorize(column, use_na_sentinel=True)
        return cls.in_order(np.asarray(codes, dtype=np.intp), np.asarray(found, dtype=object))

    @classmethod
    def in_order(cls, codes: NDArray[np.intp], names: NDArray[np.object_]) -> Keys:
        """Put distinct names (G,) in order, and the codes (N,) that point at them."""
        order = np.argsort(names, kind="stable")
        rank = np.empty(order.size + 1, dtype=np.intp)
        rank[order], rank[-1] = np.arange(order.size), -1
        return cls(rank[codes], names[order])

    @property
    def size(self) -> int:
        """Number of rows N."""
        return int(self.codes.size)

    def as_text(self, blank: str) -> Keys:
        """Give the same groups with names as text, the blank rows together under `blank`."""
        codes, blanks = self.codes, bool((self.codes < 0).any())
        is_text = pd.api.types.infer_dtype(self.names) == "string"
        if is_text and not blanks:
            return self
        names = self.names if is_text else np.array([str(name) for name in self.names], dtype=object)
        if blanks:
            codes, names = np.where(codes < 0, names.size, codes), np.append(names, blank)
        distinct, place = np.unique(names.astype(str), return_inverse=True)
        return Keys(np.asarray(place, dtype=np.intp)[codes], distinct.astype(object))


def recurring_text(texts: Sequence[str] | NDArray[np.object_], place: NDArray[np.integer[Any]]) -> pd.Series[str]:
    """Give a column of texts that recur, by the place (N,) of each among the distinct ones, which are handled once.

    Examples
    --------
    >>> recurring_text(["measured", "none"], np.array([0, 1, 0])).tolist()
    ['measured', 'none', 'measured']
    """
    distinct = pa.array(texts, pa.large_string())
    return pd.Series(pd.array(distinct.take(pa.array(place)), dtype="str"), copy=False)
