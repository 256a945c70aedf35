"""The chain of releases: from which earlier release a quarter starts, and whether the variances are sought anew."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from elec2water.coefficient import Coefficient, FitOptions
from elec2water.coefficient.state import from_dataset
from elec2water.county import County, fit_options
from elec2water.errors import ReleaseError, UsageError
from elec2water.findings import Findings, findings_of
from elec2water.ledger import Ledger, list_releases
from elec2water.pairs import Measurements, measurements, merge_pairs
from elec2water.release import ReleaseInfo, list_release_folders, read_release

COEFFICIENTS = "coefficients.nc"
_STATES = {"zh": {"approved": "已批准", "draft": "未批准"}, "en": {}}
ENOUGH = 2.0
"""Times the sample wells or pairs of the last search for the variances at which they are sought anew."""


@dataclass(frozen=True)
class Start:
    """What a quarter starts from.

    ``release`` is the one before it and ``coefficient`` its own, None for the first of a chain. ``reason`` tells in a
    word why the variances are sought: ``first``, ``registry``, ``configuration``, ``doubled`` or ``asked``; blank where
    they stand.
    """

    release: ReleaseInfo | None
    coefficient: Coefficient | None
    reason: str

    @property
    def version(self) -> str:
        """Text for ``coefficient_version`` of the manifest."""
        if self.release is None:
            return "fit"
        how = f"refit ({self.reason})" if self.reason else "update"
        return f"{how} of {self.release.quarter} {self.release.release} {self.release.digest[:16]}"


FIRST = Start(None, None, "first")
"""A quarter without a release before it."""


def earlier_releases(root: Path, ledger: Ledger, quarter: str) -> list[ReleaseInfo]:
    """List the release that counts of every earlier quarter, oldest first: the last approved one, else the latest.

    Raises
    ------
    ReleaseError
        A release has no readable manifest.
    """
    chosen = counting_releases(root, ledger)
    return [read_release(folder) for name, folder in sorted(chosen.items()) if name < quarter]


def counting_releases(root: Path, ledger: Ledger) -> dict[str, Path]:
    """Give the folder of the release that counts of every quarter: the last approved one, else the latest."""
    approved = _approved(ledger)
    chosen: dict[str, Path] = {}
    for folder in list_release_folders(root):
        name = folder.parent.name
        stands = name in chosen and (name, chosen[name].name) in approved
        if not stands or (name, folder.name) in approved:
            chosen[name] = folder
    return chosen


def draft_findings(earlier: Sequence[ReleaseInfo], ledger: Ledger, quarter: str, *, lang: str = "zh") -> Findings:
    """Say that a quarter starts from a draft though an earlier quarter has an approved release, and which that is.

    Parameters
    ----------
    earlier : sequence of ReleaseInfo
        What :func:`earlier_releases` gave; the last is the one the quarter starts from.
    ledger : Ledger
    quarter : str
    lang : str
    """
    approved = _approved(ledger)
    stood = [info for info in earlier if (info.quarter, info.release) in approved]
    if not stood or stood[-1] is earlier[-1]:
        return Findings.empty()
    start, other = (f"{info.quarter} {info.release}" for info in (earlier[-1], stood[-1]))
    return findings_of("STARTED_FROM_DRAFT", table="releases", period=quarter, observed=start, limit=other, lang=lang)


def _approved(ledger: Ledger) -> set[tuple[str, str]]:
    listed = list_releases(ledger)
    approved = listed.loc[listed["state"] == "approved"]
    return set(zip(approved["quarter"].tolist(), approved["release"].tolist(), strict=True))


def later_findings(root: Path, quarter: str, *, lang: str = "zh") -> Findings:
    """Say that quarters after this one are released already: they stand, and their pairs speak for this one too."""
    later = [f"{f.parent.name} {f.name}" for f in list_release_folders(root) if f.parent.name > quarter]
    if not later:
        return Findings.empty()
    return findings_of("RELEASED_LATER", table="pairs", period=quarter, observed=", ".join(sorted(later)), lang=lang)


def missing_findings(root: Path, ledger: Ledger, quarter: str, *, lang: str = "zh") -> Findings:
    """Name the releases of earlier quarters that the ledger knows and the folder has no more: others stand for them."""
    listed = list_releases(ledger)
    here = {(folder.parent.name, folder.name) for folder in list_release_folders(root)}
    gone = [row for row in listed.to_dict("records") if (row["quarter"], row["release"]) not in here]
    gone = [row for row in gone if row["quarter"] < quarter]
    return findings_of(
        "RELEASE_MISSING",
        table="releases",
        period=[row["quarter"] for row in gone],
        observed=[row["release"] for row in gone],
        state=[_STATES[lang].get(row["state"], row["state"]) for row in gone],
        lang=lang,
    )


def load_coefficient(release: ReleaseInfo) -> Coefficient:
    """Read the coefficient of a release, whichever version wrote it, after comparing its files with the manifest.

    Raises
    ------
    ReleaseError
        The release is damaged, or its coefficient cannot be read.
    """
    read_release(release.folder, verify=True)
    path = release.folder / COEFFICIENTS
    try:
        return from_dataset(xr.open_dataset(io.BytesIO(path.read_bytes()), engine="h5netcdf").load())
    except UsageError as error:
        raise ReleaseError(f"{path}: {error}.") from error
    except (OSError, KeyError, ValueError) as error:
        raise ReleaseError(f"{path}: the coefficient cannot be read ({error}). Restore the release from a copy.") from (
            error
        )


def start_of(release: ReleaseInfo | None, county: County) -> Start:
    """Load the coefficient that a quarter starts from, and say whether its variances are to be sought anew.

    Parameters
    ----------
    release : ReleaseInfo, optional
        The release before.
    county : County
        As it was read; ``[model] refit`` of its configuration decides.

    Raises
    ------
    ReleaseError
        The release is of another county, damaged, or its coefficient cannot be read.
    """
    if release is None:
        return FIRST
    _same_county(release, county.config.project.county_code)
    coefficient = load_coefficient(release)
    well_id = county.well_id
    if not np.isin(coefficient.sample_id.astype(str), well_id.astype(str)).any():
        return Start(release, None, "registry")
    if not same_options(coefficient.options, fit_options(county.config)):
        return Start(release, coefficient, "configuration")
    refit = county.config.model.refit
    if refit == "always":
        return Start(release, coefficient, "asked")
    placed = coefficient.placed(well_id)
    merged = merge_pairs(placed.measured, measurements(county.pairs, well_id), whole=True)
    return Start(release, coefficient, "doubled" if refit == "auto" and has_doubled(placed, merged.pairs) else "")


def with_older_levels(county: County, start: Start) -> County:
    """Give the county with the water levels that the release before was told of, for months before today's begin.

    A table that is started anew, or lost, says nothing of these; it is said in a finding how many stand.
    """
    coefficient = start.coefficient
    if coefficient is None:
        return county
    given, lang = county.water_levels, county.config.project.language
    joined, kept = coefficient.gauges.joined(given), int(coefficient.gauges.before(given).sum())
    if joined is None or not kept:
        return county
    found = findings_of("LEVELS_FROM_RELEASE", table="water_levels", observed=kept, lang=lang)
    return replace(county, tables=replace(county.tables, water_levels=joined), findings=county.findings + found)


def _same_county(release: ReleaseInfo, county_code: str) -> None:
    """Refuse to build upon a release that was copied in from another county."""
    configuration = release.manifest.get("configuration")
    project = configuration.get("project") if isinstance(configuration, Mapping) else None
    theirs = str(project.get("county_code", "")) if isinstance(project, Mapping) else ""
    if theirs and county_code and theirs != county_code:
        raise ReleaseError(
            f"{release.folder}: expected a release of county {county_code} ([project] county_code), found one of "
            f"{theirs}. Move it to its own project, or correct county_code."
        )


def same_options(one: FitOptions, other: FitOptions) -> bool:
    """Tell whether two fits are asked the same."""
    breaks = [{name: tuple(limits) for name, limits in o.strata_breaks.items()} for o in (one, other)]
    plain = [{k: v for k, v in vars(o).items() if k != "strata_breaks"} for o in (one, other)]
    return breaks[0] == breaks[1] and plain[0] == plain[1]


def has_doubled(coefficient: Coefficient, pairs: Measurements) -> bool:
    """Tell whether there are twice the sample wells or twice the pairs from which the variances were learned."""
    end = (coefficient.windows.level[-1] + 1).astype("datetime64[s]")
    known = coefficient.measured.take(~(coefficient.measured.middle >= end))
    wells = np.unique(pairs.well).size, max(np.unique(known.well).size, 1)
    return bool(wells[0] >= ENOUGH * wells[1] or pairs.well.size >= ENOUGH * max(known.well.size, 1))
