"""The sampling frame: which wells can be sampled, which cannot and why, and the energy each exclusion carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.words import word
from elec2water.errors import UsageError
from elec2water.findings import Findings, findings_of

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

IN_FRAME = "in_frame"
COVERAGE_COLUMNS = ("reason", "n_wells", "energy_kwh", "energy_share")
EXCLUDED_COLUMNS = ("well_id", "reason", "energy_kwh")

_OUT_OF_FRAME: Mapping[str, Mapping[str, str]] = {
    "power_source": {"diesel": "diesel", "柴油": "diesel", "solar": "solar", "太阳能": "solar", "光伏": "solar"},
    "status": {
        "standby": "standby",
        "备用": "standby",
        "应急备用": "standby",
        "停用": "standby",
        "sealed": "sealed",
        "封存": "sealed",
        "封填": "sealed",
        "abandoned": "abandoned",
        "报废": "abandoned",
    },
}
_TAKEN_AS: Mapping[str, str] = {"power_source": "grid", "status": "in_use"}


@dataclass(frozen=True)
class Coverage:
    """Why every well of the registry is in the frame or not.

    Attributes
    ----------
    reason : (N,) array of str
        ``in_frame``, or what keeps the well out: ``diesel``, ``solar``, ``standby``, ``sealed``, ``abandoned``,
        ``no_meter_link``, ``energy_unknown``, ``no_energy``; the first that holds, in this order.
    table : DataFrame
        ``reason, n_wells, energy_kwh, energy_share``, the frame first.
    excluded : DataFrame
        ``well_id, reason, energy_kwh`` of every well that is out, by ``well_id``.
    """

    reason: NDArray[np.object_]
    table: pd.DataFrame
    excluded: pd.DataFrame

    @property
    def inside(self) -> Flags:
        """Wells of the frame (N,)."""
        return np.asarray(self.reason == IN_FRAME, dtype=bool)


def coverage_of(wells: pd.DataFrame, energy: Floats, linked: Flags | None = None) -> Coverage:
    """Tell the wells that can be sampled, grid-powered and in use with a year of energy, from those that cannot.

    A blank power source counts as the grid and a blank status as in use, as everywhere in the package;
    :func:`coverage_findings` says how many.

    Parameters
    ----------
    wells : DataFrame
        The registry: ``well_id``, and ``power_source`` and ``status`` where known.
    energy : (N,) array
        Energy over the last year [kWh]; NaN where not known.
    linked : (N,) array of bool, optional
        Whether an electricity meter serves the well; by default every well with known energy is served.

    Returns
    -------
    Coverage
    """
    unknown = "energy_unknown" if linked is None else np.where(linked, "energy_unknown", "no_meter_link")
    reason = np.where(np.isnan(energy), unknown, np.where(energy > 0, IN_FRAME, "no_energy")).astype(object)
    for column in ("status", "power_source"):
        if column in wells.columns:
            found = wells[column].map(_OUT_OF_FRAME[column]).astype("object")
            reason = np.where(found.notna(), found, reason)
    return Coverage(reason, _table(reason, energy), _excluded(wells, reason, energy))


def require_wells(coverage: Coverage) -> None:
    """Refuse a frame without a well, and say what keeps them out.

    Raises
    ------
    UsageError
    """
    if not coverage.inside.any():
        counts = ", ".join(f"{reason}: {n}" for reason, n in coverage.table[["reason", "n_wells"]].to_numpy())
        raise UsageError(
            "design: no well can be sampled: energy is zero or unknown everywhere, or every well is diesel, solar, "
            f"standby, sealed or abandoned ({counts or 'no well at all'}); check readings, meters and the registry"
        )


def coverage_findings(coverage: Coverage, wells: pd.DataFrame, energy: Floats, lang: str) -> Findings:
    """Say what each exclusion carries, and how many blank cells were taken as usual."""
    table = coverage.table.loc[coverage.table["reason"] != IN_FRAME]
    out = findings_of(
        "DESIGN_EXCLUDED",
        table="wells",
        observed=table["reason"].tolist(),
        reason=[word("reason", reason, lang) for reason in table["reason"]],
        count=table["n_wells"].tolist(),
        energy_kwh=table["energy_kwh"].round().tolist(),
        share=[f"{share:.1%}" for share in table["energy_share"]],
        lang=lang,
    )
    return out + _blank_findings(coverage, wells, energy, lang)


def _blank_findings(coverage: Coverage, wells: pd.DataFrame, energy: Floats, lang: str) -> Findings:
    notes = []
    for column, usual in _TAKEN_AS.items():
        blank = (
            wells[column].isna().to_numpy() & coverage.inside if column in wells.columns else np.zeros(0, dtype=bool)
        )
        if blank.any():
            notes.append(
                findings_of(
                    "DESIGN_BLANK_TAKEN_AS",
                    table="wells",
                    observed=column,
                    limit=usual,
                    column=word("column", column, lang),
                    usual=word("taken", usual, lang),
                    count=int(blank.sum()),
                    energy_kwh=round(float(np.nansum(energy[blank]))),
                    lang=lang,
                )
            )
    return Findings.concat(notes) if notes else Findings.empty()


def _table(reason: NDArray[np.object_], energy: Floats) -> pd.DataFrame:
    codes, found = pd.factorize(reason, sort=True)
    order = np.argsort([name != IN_FRAME for name in found], kind="stable")
    known = np.where(np.isfinite(energy), energy, 0.0)
    by_size = np.argsort(known, kind="stable")
    sums = np.bincount(codes[by_size], known[by_size], len(found))[order]
    total = sums.sum()
    return pd.DataFrame(
        {
            "reason": pd.Series(np.asarray(found, dtype=object)[order], dtype="str"),
            "n_wells": np.bincount(codes, minlength=len(found))[order],
            "energy_kwh": sums,
            "energy_share": sums / total if total > 0 else np.zeros(len(found)),
        }
    )


def _excluded(wells: pd.DataFrame, reason: NDArray[np.object_], energy: Floats) -> pd.DataFrame:
    out = reason != IN_FRAME
    table = pd.DataFrame(
        {
            "well_id": wells["well_id"].to_numpy(dtype=object)[out],
            "reason": reason[out],
            "energy_kwh": energy[out],
        }
    )
    return table.sort_values("well_id", ignore_index=True).astype({"well_id": "str", "reason": "str"})
