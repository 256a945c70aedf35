"""Coefficients of sample wells held against what their pumps can do: a slipped point, or water and energy swapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings
from elec2water.identifiers import places

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.typed import TypedTable

Floats = npt.NDArray[np.float64]

MOST_EFFICIENT = 0.9
"""No pump turns more of its energy into lifted water."""
SHALLOWEST = 0.2
"""Part of a pump's setting depth that it lifts at least, where the water stands far above it."""
LEAST_EFFICIENT = 0.1
"""A pump that turned less into water would not be run."""
PRESSURE_M = 60.0
"""Head of outlet, friction and sprinklers on top of the depth."""


def doubtful_coefficients(pairs: TypedTable, wells: TypedTable, context: Context) -> Findings:
    """Report coefficients that need an efficiency outside of what pumps have (``COEF_RANGE``); they are kept.

    With κ = 367.1 η / H [m³/kWh], the head H of a well lies between its dynamic depth to water (a fifth of the pump's
    depth where that is unknown) and the pump's depth with 60 m of pressure; η = κ H / 367.1 of the one is then not
    above 0.9 and that of the other not below 0.1.

    Parameters
    ----------
    pairs, wells : TypedTable
        Checked tables.
    context : Context
        For the findings.

    Returns
    -------
    Findings
        One for each pair, with the coefficient's inverse and what a slipped point would make of it.
    """
    if "pump_depth_m" not in wells or "well_id" not in pairs:
        return Findings.empty()
    energy, volume = pairs.numbers("energy_kwh"), pairs.numbers("volume_m3")
    usable = (energy > 0) & (volume > 0)
    kappa = np.divide(volume, energy, out=np.full(len(pairs), np.nan), where=usable)
    deep = _depth_of_pump(pairs, wells)
    least = np.fmax(pairs.numbers("dynamic_depth_m"), SHALLOWEST * deep)
    high = kappa * least > MOST_EFFICIENT * 367.1
    low = kappa * (deep + PRESSURE_M) < LEAST_EFFICIENT * 367.1
    at = np.flatnonzero(high | low)
    say = _CAUSES[context.lang]
    return context.finding(
        "COEF_RANGE@PUMP",
        **pairs.place(at),
        observed=np.round(kappa[at], 4),
        inverse=np.round(1.0 / kappa[at], 4),
        limit=[f"{k / 10:.4g}" if up else f"{k * 10:.4g}" for k, up in zip(kappa[at], high[at], strict=True)],
        candidates=[say[0] if up else say[1] for up in high[at].tolist()],
    )


_CAUSES = {
    "zh": ("小数点错位|水量与电量两列写反|水泵安装深度有误", "水量与电量两列写反|小数点错位|水泵安装深度有误"),
    "en": ("slipped point|volume and energy swapped|wrong pump depth",
        "volume and energy swapped|slipped point|wrong pump depth"),
}  # fmt: skip


def _depth_of_pump(pairs: TypedTable, wells: TypedTable) -> Floats:
    """Give the setting depth of the pump of each pair's well [m], NaN where unknown."""
    codes, depth = wells.codes("well_id"), wells.numbers("pump_depth_m")
    by_well = np.full(len(wells.distinct("well_id")) + 1, np.nan)
    by_well[codes[codes >= 0]] = depth[codes >= 0]
    place = places(pairs.distinct("well_id"), wells.distinct("well_id"))
    return np.asarray(by_well[np.append(place, -1)[pairs.codes("well_id")]])
