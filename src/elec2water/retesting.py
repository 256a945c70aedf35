"""The next tests of a county, from its folder: the coefficient it has, the quarter that matters, the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import quarter_months, quarter_of
from elec2water.chain import earlier_releases, start_of
from elec2water.coefficient import Coefficient
from elec2water.county import County, domain_labels, with_limits
from elec2water.design import read_chosen
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.fieldwork.field_sheet import field_sheet_bytes
from elec2water.fieldwork.visits import visits_of
from elec2water.ledger import open_ledger
from elec2water.quarter import Progress, coefficient_stages
from elec2water.retest import Costs, RetestPlan, next_tests, plan_files
from elec2water.threads import one_thread
from elec2water.volume import Volume, estimate_volume

Floats = NDArray[np.float64]

FIELD_SHEET = "next_field_sheet.xlsx"
_OCCASION = {"zh": "{county}　下一批复测井（{quarter}）", "en": "{county}: wells to test next ({quarter})"}
_REASON = {
    "zh": ("从未实测", "上次实测 {year:%Y-%m-%d}，距今 {age:.1f} 年"),
    "en": ("never measured", "last measured {year:%Y-%m-%d}, {age:.1f} years ago"),
}


@dataclass(frozen=True)
class Wish:
    """What is asked of a plan: tests, the quarter to sharpen, the budget and the kind; None for the usual."""

    n: int | None = None
    quarter: str | None = None
    budget: float | None = None
    kind: str = "test"


@one_thread
def plan_tests(county: County, wish: Wish, tell: Progress) -> tuple[RetestPlan, dict[str, bytes]]:
    """Choose the wells of an accepted county to test next; gives the plan and its files by name.

    The coefficient is that of a run of the quarter: the last release's, brought up to date. Of months not yet read the
    electricity is taken from the year before.

    Raises
    ------
    UsageError
        No quarter is wholly read and none was named, or it cannot be reached.
    """
    energy = county.electricity
    quarter = wish.quarter or busiest_quarter(county, energy)
    coefficient, expected = _known(county, quarter, tell)
    county = with_limits(county, dict(coefficient.spec.strata_breaks))
    volume = estimate_volume(
        coefficient,
        expected,
        quarter=quarter,
        wells=county.wells,
        water_levels=county.water_levels,
        confidence=county.config.estimate.confidence,
    )
    tell("choosing the wells")
    options = county.config.next
    plan = next_tests(
        coefficient,
        volume,
        county.wells,
        n=options.n if wish.n is None else wish.n,
        costs=Costs(options.cost_per_test, options.cost_per_visit, np.inf if wish.budget is None else wish.budget),
        domains=domain_labels(county),
        weights=options.weights or None,
        kind=wish.kind,
        years_ahead=options.years_ahead,
    )
    last_year = expected.annual_kwh(quarter_months(quarter)[-1])
    files = plan_files(plan, read_chosen(county.folder / "design"))
    return plan, {**files, FIELD_SHEET: _field_sheet(county, plan, volume, last_year)}


def busiest_quarter(county: County, energy: MonthlyEnergy) -> str:
    """Give the quarter of the last four wholly read that used most electricity.

    Raises
    ------
    UsageError
        No quarter is wholly read.
    """
    quarters = quarter_of(energy.months.astype("datetime64[D]"))
    names, months = np.unique(quarters[energy.months <= county.last_month], return_counts=True)
    whole = names[months == 3][-4:]
    if not whole.size:
        raise UsageError("readings: expected a quarter with all its months read, found none; give --quarter")
    used = [float(np.nansum(energy.kwh[:, quarters == name])) for name in whole]
    return str(whole[int(np.argmax(used))])


def _known(county: County, quarter: str, tell: Progress) -> tuple[Coefficient, MonthlyEnergy]:
    """Coefficient as a run of the quarter would have it, and the electricity known or expected up to its end."""
    last = quarter_months(quarter)[-1]
    read = min(last, county.last_month)
    energy, _ = county.energy(read)
    ledger = open_ledger(county.folder / "ledger.sqlite")
    earlier = earlier_releases(county.folder, ledger, quarter)
    start = start_of(earlier[-1] if earlier else None, county)
    return coefficient_stages(county, energy, last, start, tell).final, energy.carried(last)


def _field_sheet(county: County, plan: RetestPlan, volume: Volume, annual_kwh: Floats) -> bytes:
    lang = county.config.project.language
    never, since = _REASON[lang]
    wells = plan.wells
    reason = [
        never if np.isnan(age) else since.format(year=day, age=age)
        for day, age in zip(wells["last_tested_on"], wells["years_since_test"], strict=True)
    ]
    chosen = wells[["well_id", "order"]].assign(role="primary", reason=reason)
    visits = visits_of(chosen, county.wells, meters=county.tables.meters, annual_kwh=annual_kwh.tolist())
    visits = visits.assign(expected=_expected(volume, visits["well_id"]))
    title = _OCCASION[lang].format(county=county.config.project.name, quarter=plan.quarter)
    return field_sheet_bytes(visits, title=title, lang=lang, purpose="retest")


def _expected(volume: Volume, well_id: pd.Series) -> list[str]:
    """Write the coefficient of wells in the quarter with its interval, as the field team should find it [m³/kWh]."""
    wells = volume.wells
    place = pd.Index(wells.well_id).get_indexer(pd.Index(well_id))
    kappa, lower, upper = (of[place] / wells.kwh[place] for of in (wells.volume_m3, wells.lower_m3, wells.upper_m3))
    return [f"{k:.2f} ({low:.2f}–{high:.2f})" for k, low, high in zip(kappa, lower, upper, strict=True)]
