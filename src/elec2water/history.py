"""The releases of a project: which there are, what each says, which counts, and what it started from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from elec2water.chain import counting_releases
from elec2water.ledger import Ledger, list_releases
from elec2water.outputs import read_totals
from elec2water.release import list_release_folders, read_release

COLUMNS = (
    "quarter", "release", "state", "approved_by", "approved_at", "counts", "volume_m3", "se_m3", "lower_m3",
    "upper_m3", "confidence", "started_from", "replaces", "package_version", "package_source",
)  # fmt: skip
_FIGURES = ("volume_m3", "se_m3", "lower_m3", "upper_m3", "confidence")


def release_table(root: Path, ledger: Ledger) -> pd.DataFrame:
    """List the releases that the ledger or the folder knows, oldest first.

    Parameters
    ----------
    root : Path
        Project folder.
    ledger : Ledger

    Returns
    -------
    DataFrame
        A row a release: ``quarter, release, state`` (draft, approved; gone where the folder is), ``approved_by,
        approved_at, counts`` (a later quarter would start from it), the county's total with its error [m³],
        ``started_from`` (``coefficient_version`` of the manifest), ``replaces`` (the release of the quarter before it,
        blank for the first), ``package_version`` and ``package_source`` (blank in manifests that do not say it).

    Raises
    ------
    ReleaseError
        A release has no readable manifest.
    """
    listed = list_releases(ledger)
    folders = {(folder.parent.name, folder.name): folder for folder in list_release_folders(root)}
    counting = counting_releases(root, ledger)
    rows: list[dict[str, object]] = []
    last = {"quarter": "", "release": ""}
    for entry in (dict(zip(listed.columns, row, strict=True)) for row in listed.itertuples(index=False)):
        folder = folders.get((entry["quarter"], entry["release"]))
        known = {name: entry[name] for name in ("quarter", "release", "state", "approved_by", "approved_at")}
        known |= {
            "counts": folder is not None and counting.get(entry["quarter"]) == folder,
            "started_from": entry["coefficient_version"],
            "replaces": last["release"] if last["quarter"] == entry["quarter"] else "",
            "package_version": entry["package_version"],
        }
        rows.append(known | ({"state": "gone"} if folder is None else _figures(folder)))
        last = entry
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    blank = [name for name in COLUMNS if name not in (*_FIGURES, "counts")]
    return frame.assign(
        **{name: frame[name].astype("str").where(frame[name].notna(), "") for name in blank},
        **{name: pd.to_numeric(frame[name]) for name in _FIGURES},
    )


def _figures(folder: Path) -> dict[str, object]:
    """Give the county's total of a release and the code that made it."""
    totals = read_totals(folder)
    county = totals.loc[totals["domain"] == "county"]
    figures: dict[str, object] = {"package_source": read_release(folder).manifest.get("package_source", "")}
    return figures | ({} if county.empty else {name: county.iloc[0][name] for name in _FIGURES})
