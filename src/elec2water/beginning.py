"""How a project folder begins: a synthetic county with known truth, or empty tables to fill in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from elec2water.coefficient import FitOptions
from elec2water.config import CONFIG_NAME, load_config
from elec2water.demo import County as SyntheticCounty
from elec2water.demo import free_folder, simulate_county, write_county
from elec2water.design import Design, design_sample, write_design
from elec2water.errors import UsageError
from elec2water.planning import Progress
from elec2water.release import write_whole
from elec2water.strata import classify
from elec2water.template import template_bytes, template_tables

_YEAR = 12
_FEWEST_WELLS = 20
_DEMO_SAMPLE = 60
_DEMO_WELLS_A_SAMPLE = 500
_DEMO_MONTHS_MEASURED = 21


def demo(folder: str | Path, *, wells: int = 500, seed: int = 2026, progress: Progress | None = None) -> Path:
    """Write a synthetic county with known truth, its sample wells drawn by the design, ready to run.

    Parameters
    ----------
    folder : path_like
        New or empty; the truth is in its ``truth/``, which no other step reads.
    wells : int
        Wells of the registry, at least 20.
    seed : int
        The same seed gives the same bytes.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        Fewer than 20 wells, or the folder exists and is not empty; told before anything is simulated.
    """
    tell = progress or (lambda _: None)
    if wells < _FEWEST_WELLS:
        raise UsageError(f"wells: expected at least {_FEWEST_WELLS} for a sample to be drawn from, found {wells}")
    target = free_folder(folder)
    tell(f"simulating {wells:,} wells")
    county = simulate_county(wells, seed)
    drawn = _demo_design(county, seed)
    tell("writing tables and truth")
    made = write_county(target, county, sample=drawn.primary["well_id"].tolist())
    write_design(drawn, made / "design")
    return made


def _demo_design(county: SyntheticCounty, seed: int) -> Design:
    before = county.months <= county.months[-1] - _DEMO_MONTHS_MEASURED
    energy = np.asarray(county.energy_kwh[:, before][:, -_YEAR:], dtype=np.float64).sum(axis=1)
    strata = classify(county.wells, FitOptions().strata_by)
    n = min(max(_DEMO_SAMPLE, len(county.wells) // _DEMO_WELLS_A_SAMPLE), len(county.wells) // 2)
    return design_sample(county.wells, energy, strata, n=n, seed=seed, thin_strata="collapse")


def template(folder: str | Path, *, lang: str | None = None) -> list[Path]:
    """Write an empty workbook of every table to fill in and put into ``inputs/``, and a configuration if there is none.

    Parameters
    ----------
    folder : path_like
        Of the project; made where there is none, named after its folder.
    lang : {"zh", "en"}, optional
        Of the headings; by default that of the project.

    Returns
    -------
    list of Path
        ``templates/wells.xlsx`` and so on.

    Raises
    ------
    UsageError
        A template is there already: it may have been filled in.
    ConfigError
        The configuration cannot be read.
    """
    root = Path(folder)
    paths = {table: root / "templates" / f"{table}.xlsx" for table in template_tables()}
    there = [path for path in paths.values() if path.exists()]
    if there:
        raise UsageError(
            f"{there[0]}: expected no template there, found one that may have been filled in; move it away"
        )
    configuration = root / CONFIG_NAME
    if not configuration.exists():
        name = json.dumps(root.resolve().name, ensure_ascii=False)
        write_whole(configuration, f"[project]\nname = {name}\n".encode())
    spoken = lang or load_config(root).project.language
    for table, path in paths.items():
        write_whole(path, template_bytes(table, spoken))
    return list(paths.values())
