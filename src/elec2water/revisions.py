"""Past quarters seen again: what late and corrected data make of releases that stand, which are never rewritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water import outputs
from elec2water.calendar_ import month_of, quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.news import UpdateRecord
from elec2water.county import County
from elec2water.energy import MonthlyEnergy
from elec2water.findings import Findings, findings_of
from elec2water.keys import Keys
from elec2water.pairs import Measurements
from elec2water.release import ReleaseInfo
from elec2water.volume import estimate_volume

REVISED = 0.005
"""Relative change of a published county total from which it is said; late and corrected data are always said."""
DOMAINS = ("county", "township", "aquifer", "stratum")
COLUMNS = (
    "quarter", "release", "domain", "key", "published_m3", "now_m3", "change_m3", "change_percent",
    "published_kwh", "now_kwh", "late_pairs", "corrected_pairs", "withdrawn_pairs",
)  # fmt: skip


def revised_quarters(
    county: County,
    energy: MonthlyEnergy,
    coefficient: Coefficient,
    releases: Sequence[ReleaseInfo],
    labels: Mapping[str, Keys],
) -> pd.DataFrame:
    """Compare every earlier release with what the data of today make of its quarter.

    Parameters
    ----------
    county, energy, coefficient
        As they are known now.
    releases : sequence of ReleaseInfo
        The release that counts of every earlier quarter; those whose months ``energy`` does not hold are left out.
    labels : mapping
        Keys of every domain.

    Returns
    -------
    DataFrame
        A row a quarter and key: what was published, what it would be now, and the pairs that came late or changed.
    """
    frames = [_empty()]
    for release in releases:
        months = quarter_months(release.quarter)
        if not np.isin(months, energy.months).all():
            continue
        volume = estimate_volume(
            coefficient,
            energy,
            quarter=release.quarter,
            wells=county.wells,
            water_levels=county.water_levels,
            confidence=county.config.estimate.confidence,
        )
        wanted = {name: labels[name] for name in DOMAINS if name in labels}
        frames.append(_compared(release, outputs.totals_frame(volume, wanted), coefficient.record, months))
    return pd.concat([f for f in frames if len(f)] or frames, ignore_index=True)[list(COLUMNS)]


def _compared(
    release: ReleaseInfo, now: pd.DataFrame, record: UpdateRecord, months: NDArray[np.datetime64]
) -> pd.DataFrame:
    then = outputs.read_totals(release.folder)
    both = then.merge(now, on=["domain", "key"], suffixes=("_then", "_now"))
    published, found = both["volume_m3_then"], both["volume_m3_now"]
    change = found - published
    counts = {
        name: _inside(measured, months)
        for name, measured in (
            ("late_pairs", record.new), ("corrected_pairs", record.corrected), ("withdrawn_pairs", record.withdrawn),
        )
    }  # fmt: skip
    return pd.DataFrame(
        {
            "quarter": release.quarter,
            "release": release.release,
            "domain": both["domain"],
            "key": both["key"],
            "published_m3": published,
            "now_m3": found,
            "change_m3": change,
            "change_percent": 100.0 * np.divide(change, published, out=np.zeros(len(both)), where=published > 0),
            "published_kwh": both["energy_kwh_then"],
            "now_kwh": both["energy_kwh_now"],
            **counts,
        }
    )


def _inside(measured: Measurements | None, months: NDArray[np.datetime64]) -> int:
    return 0 if measured is None else int(np.isin(month_of(measured.middle), months).sum())


def _empty() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})


def revision_findings(revisions: pd.DataFrame, *, lang: str = "zh") -> Findings:
    """Say which past quarters late or corrected data touch, or the model now sees otherwise; none is rewritten."""
    county = revisions.loc[revisions["domain"].eq("county")]
    touched = county[["late_pairs", "corrected_pairs", "withdrawn_pairs"]].sum(axis=1) > 0
    said = county.loc[touched | (county["change_percent"].abs() > 100.0 * REVISED)]
    return findings_of(
        "PAST_QUARTER_REVISED",
        table="pairs",
        period=said["quarter"].to_numpy(dtype=object),
        observed=[f"{value:.0f}" for value in said["now_m3"]],
        limit=[f"{value:.0f}" for value in said["published_m3"]],
        release=said["release"].to_numpy(dtype=object),
        percent=[f"{value:+.2f}" for value in said["change_percent"]],
        late=said["late_pairs"].to_numpy(dtype=object),
        corrected=(said["corrected_pairs"] + said["withdrawn_pairs"]).to_numpy(dtype=object),
        energy=[f"{value:+.0f}" for value in said["now_kwh"] - said["published_kwh"]],
        lang=lang,
    )


def record_findings(coefficient: Coefficient, well_id: NDArray[np.object_], *, lang: str = "zh") -> Findings:
    """Say which pairs were corrected or withdrawn since the release before, and how many stand from its state.

    ``well_id`` (N,) are those of the registry: a well all of whose pairs were withdrawn is no sample well any more.
    """
    record = coefficient.record
    found = []
    for rule, measured in (("PAIRS_CORRECTED", record.corrected), ("PAIRS_WITHDRAWN", record.withdrawn)):
        if measured is not None and measured.well.size:
            ids = well_id[measured.well]
            period = month_of(measured.middle).astype(str)
            kappa = [f"{value:.3f}" for value in measured.coefficient]
            found.append(findings_of(rule, table="pairs", well_id=ids, period=period, observed=kappa, lang=lang))
    kept = int((coefficient.measured.row == 0).sum())
    if kept:
        found.append(findings_of("PAIRS_FROM_RELEASE", table="pairs", observed=kept, lang=lang))
    return Findings.concat(found)
