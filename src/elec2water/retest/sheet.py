"""A plan of tests as files: what the office keeps and what goes into the field."""

from __future__ import annotations

import numpy as np
import pandas as pd

from elec2water.design import CHOSEN
from elec2water.retest.plan import RetestPlan

_DIGITS = {
    "years_since_test": 2,
    "energy_kwh": 1,
    "volume_m3": 1,
    "sd_log_coefficient": 4,
    "variance_cut": 6,
    "se_before_m3": 1,
    "se_after_m3": 1,
    "cost": 2,
    "cost_per_m3": 6,
}


def plan_files(plan: RetestPlan, before: pd.DataFrame | None = None) -> dict[str, bytes]:
    """Give the files of a plan by name: ``next.csv`` (the tests), ``next_totals.csv`` (what they do to the totals).

    ``next_chosen.csv`` has all wells that were ever chosen: those of ``before`` (``well_id, quarter``), then new ones.

    The same plan gives the same bytes; CSV is UTF-8 with a mark, as spreadsheets want it.
    """
    wells = plan.wells.round(_DIGITS)
    wells["last_tested_on"] = _dates(wells["last_tested_on"])
    totals = plan.totals.round(dict.fromkeys(("volume_m3", "se_before_m3", "se_after_m3"), 1))
    chosen = plan.wells[["well_id"]].assign(quarter=plan.quarter)
    chosen = chosen if before is None else pd.concat([before, chosen]).drop_duplicates("well_id")
    return {"next.csv": _csv(wells), "next_totals.csv": _csv(totals), CHOSEN: _csv(chosen)}


def _dates(moments: pd.Series) -> list[str]:
    """Write the last day measured, blank for never; an interval that ends at midnight ended the day before."""
    days = (moments.to_numpy(dtype="datetime64[s]") - np.timedelta64(1, "s")).astype("datetime64[D]")
    return ["" if np.isnat(day) else str(day) for day in days]


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")
