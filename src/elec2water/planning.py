"""Planning the network of a county: what is known of its coefficients so far, and the sample that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from elec2water.coefficient import Coefficient, fit_coefficient
from elec2water.coefficient.state import from_dataset
from elec2water.config import DesignConfig
from elec2water.county import County, fit_options
from elec2water.design import (
    Anticipated,
    Budget,
    Design,
    Network,
    design_sample,
    design_strata,
    learned,
    published,
    read_design,
    read_sample,
)
from elec2water.design.cuts import default_columns
from elec2water.design.words import word
from elec2water.energy import MonthlyEnergy
from elec2water.energy.arrays import positions
from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of
from elec2water.pairs import measurements
from elec2water.release import list_release_folders
from elec2water.strata import Strata
from elec2water.threads import one_thread

Progress = Callable[[str], None]
Floats = NDArray[np.float64]

_ENOUGH_WELLS = 5
"""With pairs of fewer wells the published priors say more than a fit."""


@one_thread
def plan_sample(
    county: County,
    *,
    n: int | None = None,
    target_cv: float | None = None,
    budget: float | None = None,
    extend: bool = False,
    rotate: float = 0.0,
    seed: int,
    progress: Progress | None = None,
) -> Design:
    """Draw the sample of a county that was accepted, as its configuration says.

    Parameters
    ----------
    county : County
    n, target_cv, budget : int or float, optional
        At most one of them; ``[design]`` where none is given: its targets, else its budget, else its n.
    extend : bool
        Keep the wells that are measured already: those of ``design/``, else those with pairs.
    rotate : float
        Share of them that rotates out; above zero it implies `extend`.
    seed : int
    progress : callable, optional
        Told in words what is being done.

    Raises
    ------
    UsageError
        The numbers do not fit the county, or there is no network to extend.
    """
    tell = progress or (lambda _: None)
    section = county.config.design
    n, money = _size(section, n, target_cv, budget)
    tell("electricity of the last year")
    energy = county.electricity
    annual = energy.annual_kwh(energy.months[-1])
    expected = anticipate(county, energy, annual, tell)
    tell("strata, allocation and draw")
    drawn = design_sample(
        county.wells,
        annual,
        _strata(county, annual, expected),
        n=n,
        target_cv=target_cv,
        budget=money,
        targets=section.targets,
        seed=seed,
        anticipated=expected,
        min_per_stratum=section.min_per_stratum,
        reserve_ratio=section.reserve_ratio,
        thin_strata=section.thin_strata,
        min_wells=section.min_wells,
        allocation=section.allocation,
        take_all_kwh=section.take_all_kwh or np.inf,
        refusal_rate=section.refusal_rate,
        dead_meter_rate=section.dead_meter_rate,
        linked=served_wells(county),
        network=existing_network(county, rotate=rotate) if extend or rotate > 0 else None,
        lonely=section.lonely,
        lang=county.config.project.language,
    )
    return drawn.with_findings(_left_the_frame(county, drawn))


def _strata(county: County, annual_kwh: Floats, expected: Anticipated) -> Strata:
    """Give the classes in which wells are drawn, as ``[design]`` says and else ``[strata]``."""
    section = county.config.design
    strata_config = county.config.strata
    columns = section.by if section.by is not None else default_columns(county.wells, strata_config.by)
    _check_breaks(section, columns)
    return design_strata(
        county.wells,
        annual_kwh,
        expected,
        by=columns,
        breaks={**strata_config.breaks, **section.breaks},
        classes=section.classes or strata_config.classes,
        cuts=section.cuts,
        min_wells=section.min_wells,
    )


def anticipate(county: County, energy: MonthlyEnergy, annual_kwh: Floats, tell: Progress | None = None) -> Anticipated:
    """Anticipate the coefficient of every well from the best that the county has.

    The posterior of its latest release; else a fit of the pairs it has, if they are of five wells at least; else the
    published priors.

    Parameters
    ----------
    county : County
    energy : MonthlyEnergy
    annual_kwh : (N,) array
        Energy of the last year.
    tell : callable, optional
    """
    say = tell or (lambda _: None)
    found = _latest_posterior(county.folder)
    if found is not None:
        say(f"anticipated coefficients from release {found[0]}")
        return learned(found[1], county.wells, county.water_levels, energy, source=f"release {found[0]}")
    measured = measurements(county.pairs, county.wells["well_id"].to_numpy(dtype=object))
    if np.unique(measured.well).size >= _ENOUGH_WELLS:
        say("anticipated coefficients from the pairs at hand")
        fitted = fit_coefficient(
            county.pairs, county.wells, county.water_levels, energy=energy, options=fit_options(county.config)
        )
        return learned(fitted, county.wells, county.water_levels, energy, source="pairs")
    say("anticipated coefficients from published priors")
    return published(county.wells, annual_kwh)


def existing_network(county: County, *, rotate: float = 0.0) -> Network:
    """Find the wells that are measured already, with the probabilities they were drawn with where a design says so.

    Parameters
    ----------
    county : County
    rotate : float
        Share that rotates out.

    Raises
    ------
    UsageError
        There is neither a design nor a pair.
    """
    folder = county.folder / "design"
    if (folder / "design.json").is_file():
        return Network.of(read_design(folder), rotate=rotate)
    sample = read_sample(folder)
    if sample is not None:
        return Network.chosen(sample.loc[sample["role"] == "primary", "well_id"].tolist(), rotate=rotate)
    measured = county.pairs["well_id"].dropna().unique()
    if not len(measured):
        raise UsageError(
            f"{county.folder}: no network to extend: neither design/sample.csv nor any pair; draw one first"
        )
    return Network.chosen(sorted(measured), rotate=rotate)


def served_wells(county: County) -> NDArray[np.bool_]:
    """Give which wells an electricity meter serves (N,): by the links, or by the readings where there are none."""
    meters, readings = county.tables.meters, county.tables.readings
    linked = meters["well_id"] if len(meters) else readings["meter_id"]
    return np.asarray(positions(county.wells["well_id"], pd.Index(linked.dropna().unique())) >= 0)


def _check_breaks(section: DesignConfig, columns: tuple[str, ...]) -> None:
    unused = [name for name in section.breaks if name not in columns]
    if unused:
        raise UsageError(
            f"design: [design] breaks are given for {unused}, which the strata do not use ({', '.join(columns)}); "
            "name the columns in [design] by, or take the breaks out"
        )


def _size(
    section: DesignConfig, n: int | None, target_cv: float | None, budget: float | None
) -> tuple[int | None, Budget | None]:
    money = budget if budget is not None or n is not None or target_cv is not None else section.budget
    if money is not None:
        if section.cost_per_well is None:
            raise UsageError(
                "design: a budget needs cost_per_well (and cost_per_township) in [design] of elec2water.toml"
            )
        return n, Budget(money, section.cost_per_well, section.cost_per_township)
    if n is None and target_cv is None and not section.targets:
        return section.n, None
    return n, None


def _latest_posterior(root: Path) -> tuple[str, Coefficient] | None:
    folders = list_release_folders(root)
    if not folders:
        return None
    path = folders[-1] / "coefficients.nc"
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return f"{path.parent.parent.name}/{path.parent.name}", from_dataset(dataset.load())


def _left_the_frame(county: County, drawn: Design) -> Findings:
    """Name wells that were sampled before and can no longer be."""
    reason: Mapping[str, str] = dict(zip(drawn.excluded["well_id"], drawn.excluded["reason"], strict=True))
    before = read_sample(county.folder / "design")
    ids = [] if before is None else before.loc[before["role"] == "primary", "well_id"].tolist()
    ids += county.pairs["well_id"].dropna().unique().tolist()
    gone = sorted({well for well in ids if well in reason})
    known = positions(pd.Index(ids, dtype="str"), county.wells["well_id"]) >= 0
    unknown = sorted({well for well, there in zip(ids, known, strict=True) if not there})
    out = [*(reason[well] for well in gone), *("not_in_registry" for _ in unknown)]
    lang = county.config.project.language
    return findings_of(
        "DESIGN_SAMPLED_NOW_OUT",
        table="wells",
        well_id=pd.array([*gone, *unknown], dtype="str"),
        observed=out,
        reason=[word("reason", code, lang) for code in out],
        lang=lang,
    )
