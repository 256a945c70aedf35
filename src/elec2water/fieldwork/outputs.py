"""The files of ``design/`` beside its tables: what people print, open in a GIS and sign."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from elec2water.design.result import Design
from elec2water.energy.arrays import positions
from elec2water.fieldwork.field_sheet import field_sheet_bytes
from elec2water.fieldwork.geopackage import Layer, geopackage_bytes
from elec2water.fieldwork.report import design_report
from elec2water.fieldwork.visits import visits_of
from elec2water.figure import Lang
from elec2water.plot_design import has_places, map_png

_TITLES = {"zh": ("样本井", "抽样框内的井"), "en": ("sample wells", "wells of the frame")}
_MOST_ON_MAP = 100_000
"""A province's frame is no map: its wells are in frame.csv."""


def design_files(
    design: Design,
    wells: pd.DataFrame,
    *,
    county: str,
    meters: pd.DataFrame | None = None,
    annual_kwh: ArrayLike | None = None,
    lang: Lang = "zh",
) -> dict[str, bytes]:
    """Make the field sheet, the map, the map file and the report of a design.

    Parameters
    ----------
    design : Design
    wells : DataFrame
        The registry.
    county : str
        Its name, on every page.
    meters : DataFrame, optional
        Which electricity meter serves which well.
    annual_kwh : (N,) array, optional
        Last year's energy of each well of the registry.
    lang : {"zh", "en"}

    Returns
    -------
    dict of str to bytes
        ``field_sheet.xlsx``, ``report.html``, ``map.gpkg`` and, where wells have coordinates, ``map.png``.
    """
    energy = None if annual_kwh is None else np.asarray(annual_kwh, dtype=np.float64).tolist()
    visits = visits_of(design.sample, wells, meters=meters, annual_kwh=energy)
    sample_title, frame_title = _TITLES[lang]
    layers = [Layer("sample_wells", sample_title, visits)]
    if len(design.frame) <= _MOST_ON_MAP:
        layers.append(Layer("frame_wells", frame_title, _frame(design, wells)))
    inside = wells.loc[positions(wells["well_id"], design.frame["well_id"]) >= 0] if len(design.frame) else wells
    files = {
        "field_sheet.xlsx": field_sheet_bytes(visits, title=county, lang=lang),
        "report.html": design_report(design, visits, inside, county=county, lang=lang).encode(),
        "map.gpkg": geopackage_bytes(layers),
    }
    if has_places(wells):
        files["map.png"] = map_png(visits, inside, title=f"{county}　{sample_title}", lang=lang)
    return files


def _frame(design: Design, wells: pd.DataFrame) -> pd.DataFrame:
    """Wells of the frame with their places, strata and probabilities; no names of people, no further columns."""
    registry = wells.drop_duplicates("well_id").set_index("well_id")
    shown = [name for name in ("township", "village", "aquifer", "longitude", "latitude") if name in registry.columns]
    table = design.frame.join(registry[shown], on="well_id")
    return table.reindex(columns=list(dict.fromkeys([*table.columns, "longitude", "latitude"])))
