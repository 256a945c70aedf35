"""Multipliers written as the ratios of transformers: CT变比 100/5 and PT变比 beside each other, and no 综合倍率."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.typed import TypedTable

Floats = npt.NDArray[np.float64]

_RATIO = re.compile(r"(\d+(?:\.\d+)?)(?:A|kV|V)?(?:[/:](\d+(?:\.\d+)?)(?:A|kV|V)?)?", re.IGNORECASE)
MOST = 100_000.0


def multipliers_of_ratios(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Multiply the ratios of current and voltage transformers where no multiplier but 1 is stated in the whole table.

    Parameters
    ----------
    table : TypedTable
        Links of meters, or readings.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        With the products as multipliers.
    Findings
        ``MULTIPLIER_OF_RATIOS``, a warning with the count.
    """
    if "ct_ratio" not in table:
        return table, Findings.empty()
    product = _ratios(table, "ct_ratio") * np.nan_to_num(_ratios(table, "pt_ratio"), nan=1.0)
    stated = table.numbers("multiplier")
    told = np.isfinite(product) & (product >= 1.0) & (product <= MOST)
    if (np.isfinite(stated) & (stated != 1.0)).any() or not (told & (product > 1.0)).any():
        return table, Findings.empty()
    found = context.finding(
        "MULTIPLIER_OF_RATIOS", observed=int(told.sum()), row=int(table.rows[np.argmax(told)]),
        limit=f"{product[told].min():g}–{product[told].max():g}",
    )  # fmt: skip
    return table.with_columns(multiplier=np.where(told, product, stated)), found


def _ratios(table: TypedTable, name: str) -> Floats:
    """Read 100/5, 100:5 or 20 as 20; NaN where it is none of these."""
    if name not in table:
        return np.full(len(table), np.nan)
    matches = [_RATIO.fullmatch((text or "").strip()) for text in table.distinct(name).to_pylist()]
    values = [float(m[1]) / float(m[2] or 1.0) if m and float(m[2] or 1.0) > 0 else np.nan for m in matches]
    return np.array([*values, np.nan])[table.codes(name)]
