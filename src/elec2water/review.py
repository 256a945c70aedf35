"""What the fit noticed: wells and pairs that do not fit, classes nobody measured, wells that have no estimate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of, quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.context import on_grid
from elec2water.coefficient.posterior import WELL_LIMIT, outlying_z
from elec2water.coefficient.unseen import PUMPED, last_observed, pumping_anomaly
from elec2water.coefficient.water import level_movement
from elec2water.design import read_chosen, read_sample
from elec2water.energy import MonthlyEnergy
from elec2water.energy.arrays import is_one_of
from elec2water.findings import Findings, findings_of
from elec2water.keys import Keys
from elec2water.levels import observation_days
from elec2water.strata import UNKNOWN, WORDS, Strata
from elec2water.survey import domain_name
from elec2water.volume import Volume
from elec2water.volume.wells import METHODS

FEW_WELLS = 5
NOT_MEASURED = 0.05
"""Share of the wells drawn without pairs from which it is said."""
UNKNOWN_LEVELS = 0.2
"""Share of the wells without a water level from which it is said."""
LATE_LEVELS = 3
"""Months between the last water level of an aquifer and the end of a quarter from which it is said."""
UNUSUAL_PUMPING = 1.5
"""Times by which the electricity of a year may be that of the year of the fit, or less, before it is said."""
_NOT_IN_USE = ("standby", "sealed", "abandoned")
UNCOUNTED = 0.05
"""Share of the water of a domain, by the rated power of its wells, that a total leaves out from which it is said."""
FEW_UNCOUNTED = 5
"""Wells without electricity up to which their own findings are enough."""
_LEAST_OF_WATER = 0.01
MOSTLY_IMPUTED = 0.5
"""Part of the electricity of a total that was not read from which it is said."""
ENERGY_LIMIT = 1.3
"""Times by which the energy of pairs and of readings may differ before it is said."""


def sample_findings(coefficient: Coefficient, strata: Strata, folder: Path, *, lang: str = "zh") -> Findings:
    """Say what the sample leaves open: too few wells, classes without one, wells that no design drew."""
    found = [_classes_without_sample(coefficient, strata, lang)]
    n = coefficient.sample_id.size
    if n < FEW_WELLS:
        found.append(findings_of("FEW_SAMPLE_WELLS", table="pairs", observed=n, limit=FEW_WELLS, lang=lang))
    drawn = read_sample(folder / "design")
    if drawn is None:
        found.append(_without_design(coefficient, lang))
    else:
        others = coefficient.sample_id.astype(str)
        others = others[~np.isin(others, drawn["well_id"].to_numpy(dtype=str))]
        chosen = np.isin(others, read_chosen(folder / "design")["well_id"].to_numpy(dtype=str))
        for rule, count in (("SAMPLE_CHOSEN_NEXT", chosen.sum()), ("SAMPLE_NOT_DESIGNED", (~chosen).sum())):
            if count:
                found.append(findings_of(rule, table="pairs", observed=int(count), lang=lang))
        strangers = others.size
        # A design of which fewer wells were measured than of others is one that nobody has carried out yet.
        if 2 * strangers <= n:
            found.append(_not_measured(coefficient, drawn, lang))
    return Findings.concat(found)


def _without_design(coefficient: Coefficient, lang: str) -> Findings:
    """Say that nobody knows how the sample wells were chosen, and what a choice of better wells does to the total."""
    better = 0.5 * float(np.sqrt(coefficient.posterior.variance["level"]))
    return findings_of(
        "SAMPLE_WITHOUT_DESIGN",
        table="pairs",
        observed=coefficient.sample_id.size,
        percent=f"{100.0 * np.expm1(better):.0f}",
        lang=lang,
    )


def refusal_bias(share: float, well_sd: float) -> float:
    """How far a total reads high if wells that were drawn and not measured are worse by one standard deviation.

    They are ``share`` of the wells that were drawn, and so of all wells; of each e^-sd of what is taken for it is
    pumped: share (1 - e^-sd) of the total. Whether they are worse nobody knows, and no interval holds it.
    """
    return share * -float(np.expm1(-well_sd))


def _not_measured(coefficient: Coefficient, drawn: pd.DataFrame, lang: str) -> Findings:
    """Say how many wells that the design drew have no pairs, and what that may do to the total."""
    primary = drawn.loc[drawn["role"] == "primary", "well_id"].to_numpy(dtype=str)
    absent = primary[~np.isin(primary, coefficient.sample_id.astype(str))]
    if not primary.size or absent.size < NOT_MEASURED * primary.size:
        return Findings.empty()
    sd = float(np.sqrt(coefficient.posterior.variance["level"]))
    return findings_of(
        "SAMPLE_REFUSED",
        table="pairs",
        observed=absent.size,
        limit=f"{NOT_MEASURED:.0%}",
        drawn=primary.size,
        lower=f"{-np.expm1(-sd):.0%}",
        percent=f"{100.0 * refusal_bias(absent.size / primary.size, sd):.1f}",
        lang=lang,
    )


def model_findings(
    coefficient: Coefficient, volume: Volume, wells: pd.DataFrame, *, pairs_file: str = "", lang: str = "zh"
) -> Findings:
    """Name the wells and pairs that do not fit, with the file of their rows, and the wells that have no estimate."""
    rows = coefficient.posterior.rows
    z = outlying_z(rows.level_scale)
    far = np.flatnonzero(rows.level_scale > 1.0)
    outlying = findings_of(
        "COEF_WELL_OUTLIER",
        table="pairs",
        well_id=coefficient.sample_id[far],
        observed=[f"{value:.1f}" for value in z[far]],
        limit=WELL_LIMIT,
        lang=lang,
    )
    found = outlying + _impossible_pairs(coefficient, pairs_file, lang) + _without_estimate(volume, wells, lang)
    return found + _aquifers_without_sample(coefficient, volume, wells, lang) + _resting_load(volume, lang)


def level_findings(
    coefficient: Coefficient, wells: pd.DataFrame, water_levels: pd.DataFrame, quarter: str, *, lang: str = "zh"
) -> Findings:
    """Say where a coefficient that follows water levels is used in a quarter for wells of which there are none.

    Those of aquifers whose last observation is months old stand where season and trend foretell it; of others it is not
    known where they stand against the months of the fit.
    """
    layout, window = coefficient.posterior.layout, coefficient.windows.level
    if not coefficient.posterior.rows.moving[:, layout.moving_names.index("level")].any():
        return Findings.empty()
    months = quarter_months(quarter)
    of_well = wells["aquifer"].astype("str").fillna(UNKNOWN).to_numpy(dtype=object)
    aquifer, codes = np.unique(of_well, return_inverse=True)
    last = last_observed(wells, water_levels, codes.astype(np.intp), aquifer.size)
    late = np.where(np.isnat(last), 0, (months[-1] - last).astype("timedelta64[M]").astype(np.int64))[codes]
    movement, _ = level_movement(wells, water_levels, months, window, coefficient.spec.beyond(wells))
    unknown = ~np.isfinite(movement).any(axis=1) & (late < LATE_LEVELS)
    found = Findings.empty()
    if unknown.sum() >= UNKNOWN_LEVELS * len(wells):
        found += findings_of(
            "LEVELS_UNKNOWN",
            table="water_levels",
            period=quarter,
            observed=int(unknown.sum()),
            limit=f"{window[0]}/{window[-1]}",
            lang=lang,
        )
    for code in np.flatnonzero(np.bincount(codes, late >= LATE_LEVELS)):
        found += findings_of(
            "LEVELS_FORETOLD",
            table="water_levels",
            period=quarter,
            observed=f"{(months[-1] - last[code]).astype(np.int64) / 12.0:.1f}",
            aquifer=str(aquifer[code]),
            last=str(last[code]),
            n=int((codes == code).sum()),
            lang=lang,
        )
    return found


def pumping_findings(
    coefficient: Coefficient, energy: MonthlyEnergy, water_levels: pd.DataFrame, quarter: str, *, lang: str = "zh"
) -> Findings:
    """Say where a county pumps far more or less than in the year of the fit and nobody looks at its water."""
    last_month = quarter_months(quarter)[-1:]
    day = observation_days(water_levels)
    seen = day[np.isfinite(day) & np.isfinite(water_levels["depth_m"].to_numpy(dtype=np.float64, na_value=np.nan))]
    since = coefficient.windows.level[-1]
    if seen.size:
        since = np.datetime64(int(seen.max()), "D").astype("datetime64[M]")
    if (last_month[0] - since).astype(np.int64) < LATE_LEVELS:
        return Findings.empty()
    anomaly = float(pumping_anomaly(energy.kwh, energy.months, last_month, since)[0])
    if abs(anomaly) < np.log(UNUSUAL_PUMPING):
        return Findings.empty()
    return findings_of(
        "PUMPING_UNUSUAL",
        table="water_levels",
        period=quarter,
        observed=f"{np.exp(anomaly):.2f}",
        limit=f"{UNUSUAL_PUMPING:g}",
        since=str(since),
        percent=f"{100.0 * PUMPED * abs(anomaly):.0f}",
        lang=lang,
    )


def pair_energy_findings(
    coefficient: Coefficient, energy: MonthlyEnergy, well_id: NDArray[np.object_], *, lang: str = "zh"
) -> Findings:
    """Name the sample wells whose pairs and whose meter readings tell of different energy over the same months."""
    pairs, well = coefficient.measured, coefficient.posterior.rows.well
    sampled = coefficient.placed(well_id)
    place = pd.Index(sampled.sample_id).get_indexer(pd.Index(coefficient.sample_id))
    place = np.where(place < 0, -1, sampled.posterior.sample[place])[well]
    month = month_of(pairs.start)
    whole = (pairs.start == month.astype("datetime64[s]")) & (pairs.end == (month + 1).astype("datetime64[s]"))
    inside = whole & ~pairs.test & np.isin(month, energy.months) & (place >= 0)
    column = np.where(inside, np.searchsorted(energy.months, month), 0)
    read = np.where(inside & (energy.quality[place, column] == "A"), energy.kwh[place, column], 0.0)
    ratio = pd.Series(np.divide(pairs.energy_kwh, read, out=np.full(read.size, np.nan), where=read > 0))
    median = ratio.groupby(well).median().dropna()
    far = median[(median > ENERGY_LIMIT) | (median < 1.0 / ENERGY_LIMIT)]
    return findings_of(
        "PAIR_ENERGY_MISMATCH",
        table="pairs",
        well_id=coefficient.sample_id[far.index.to_numpy(dtype=np.intp)],
        observed=[f"{value:.2f}" for value in far],
        limit=ENERGY_LIMIT,
        lang=lang,
    )


def pumps_to_come(wells: pd.DataFrame, last: pd.Timestamp, *, lang: str = "zh") -> Findings:
    """Name the wells whose pump is registered as installed after the last reading (``last``) of the county."""
    if "pump_installed_on" not in wells.columns or pd.isna(last):
        return Findings.empty()
    later = wells.loc[wells["pump_installed_on"].gt(last)]
    return findings_of(
        "PUMP_NOT_YET",
        table="wells",
        file=str(wells.attrs.get("file", "")),
        row=later.index.to_numpy(),
        well_id=later["well_id"].to_numpy(dtype=object),
        observed=later["pump_installed_on"].dt.strftime("%Y-%m-%d").to_numpy(dtype=object),
        limit=f"{last:%Y-%m-%d}",
        lang=lang,
    )


def pairs_off_grid(pairs: pd.DataFrame, wells: pd.DataFrame, *, lang: str = "zh") -> Findings:
    """Name the sample wells that the grid does not drive: their pairs tell nothing of the coefficient."""
    off = wells.loc[~on_grid(wells), "well_id"]
    sampled = off[off.isin(pairs["well_id"])]
    return findings_of("PAIR_NOT_GRID", table="pairs", well_id=sampled.to_numpy(dtype=object), lang=lang)


def _impossible_pairs(coefficient: Coefficient, file: str, lang: str) -> Findings:
    rows, pairs = coefficient.posterior.rows, coefficient.measured
    bad = np.flatnonzero(coefficient.posterior.impossible_pairs)
    kappa = pairs.coefficient
    usual = pd.Series(kappa).groupby(rows.well).transform("median").to_numpy()
    return findings_of(
        "COEF_PAIR_OUTLIER",
        table="pairs",
        file=np.where(pairs.row[bad] > 0, file, ""),
        row=np.where(pairs.row[bad] > 0, pairs.row[bad].astype(np.float64), np.nan),
        well_id=coefficient.sample_id[rows.well[bad]],
        period=month_of(pairs.middle[bad]).astype(str),
        observed=[f"{value:.2f}" for value in kappa[bad]],
        limit=[f"{value:.2f}" for value in usual[bad]],
        lang=lang,
    )


def _classes_without_sample(coefficient: Coefficient, strata: Strata, lang: str) -> Findings:
    counts = np.bincount(strata.codes[coefficient.posterior.sample], minlength=len(strata.cells))
    empty = strata.cells.loc[counts == 0]
    return findings_of(
        "CLASS_WITHOUT_SAMPLE",
        table="wells",
        observed=empty["n_wells"].to_numpy(),
        stratum=empty["stratum"].to_numpy(dtype=object),
        lang=lang,
    )


def incomplete_totals(
    volume: Volume, wells: pd.DataFrame, domains: Mapping[str, Keys], *, lang: str = "zh"
) -> Findings:
    """Name the totals that leave out wells in use on the grid of which no electricity is known, and about how much.

    The interval of a total is that of the wells it counts. The others are taken to pump what those of the county do
    per kW, a pump of unknown power being the median one.
    """
    in_use = on_grid(wells) & ~is_one_of(wells, "status", _NOT_IN_USE)
    none = in_use & (volume.wells.method_codes == METHODS.index("none"))
    power = wells["pump_power_kw"].to_numpy(dtype=np.float64, na_value=np.nan)
    power = np.where(power > 0, power, np.nanmedian(power) if np.isfinite(power).any() else 1.0)
    volume_m3 = np.nan_to_num(volume.wells.volume_m3)
    counted = in_use & ~none
    if none.sum() < FEW_UNCOUNTED or not counted.any():
        return Findings.empty()
    missing_m3 = none * power * volume_m3[counted].sum() / power[counted].sum()
    found = []
    for domain, keys in domains.items():
        n_none, n, missing, known = _sums(keys, none, in_use, missing_m3, volume_m3)
        share = missing / np.where(missing + known > 0, missing + known, 1.0)
        told = np.flatnonzero((n_none >= FEW_UNCOUNTED) & (share >= UNCOUNTED))
        found.append(
            findings_of(
                "TOTAL_INCOMPLETE",
                table="totals",
                period=volume.quarter,
                observed=n_none[told].astype(np.int64),
                limit=f"{UNCOUNTED:.0%}",
                domain=domain_name(domain, lang),
                key=keys.names[told].astype(str).astype(object),
                n=n[told].astype(np.int64),
                missing=[f"{value:.3g}" for value in missing[told] / 1e4],
                percent=[f"{value:.0%}" for value in share[told]],
                lang=lang,
            )
        )
    return Findings.concat(found)


def imputed_totals(totals: pd.DataFrame, *, lang: str = "zh") -> Findings:
    """Name the totals of which most electricity was not read.

    Parameters
    ----------
    totals : DataFrame
        ``totals.csv``: ``domain, key, quarter, n_wells, energy_kwh, imputed_energy_kwh``.
    """
    share = totals["imputed_energy_kwh"] / totals["energy_kwh"].where(totals["energy_kwh"] > 0)
    told = totals.loc[(share > MOSTLY_IMPUTED) & (totals["n_wells"] >= FEW_UNCOUNTED)]
    return findings_of(
        "TOTAL_IMPUTED",
        table="totals",
        period=told["quarter"].to_numpy(dtype=object),
        observed=[f"{value:.0%}" for value in share[told.index]],
        limit=f"{MOSTLY_IMPUTED:.0%}",
        domain=[domain_name(domain, lang) for domain in told["domain"]],
        key=told["key"].to_numpy(dtype=object),
        n=told["n_wells"].to_numpy(),
        lang=lang,
    )


def _sums(keys: Keys, *values: NDArray[np.generic]) -> list[NDArray[np.float64]]:
    """Sum values of wells (N,) by their group."""
    held, size = keys.codes >= 0, keys.names.size
    return [np.bincount(keys.codes[held], value[held].astype(np.float64), size).astype(np.float64) for value in values]


def _aquifers_without_sample(coefficient: Coefficient, volume: Volume, wells: pd.DataFrame, lang: str) -> Findings:
    """Name the aquifers of which no well was measured, with their part of the county's water."""
    keys = Keys.of(wells["aquifer"])
    measured = np.zeros(keys.size, dtype=bool)
    measured[coefficient.placed(volume.wells.well_id).posterior.sample] = True
    m3 = np.nan_to_num(volume.wells.volume_m3)
    n_wells, n_measured, of_aquifer = _sums(keys, np.ones(keys.size), measured, m3)
    empty = np.flatnonzero((n_measured == 0) & (of_aquifer > _LEAST_OF_WATER * m3.sum()))
    return findings_of(
        "AQUIFER_WITHOUT_SAMPLE",
        table="wells",
        period=volume.quarter,
        observed=n_wells[empty].astype(np.int64),
        aquifer=keys.names[empty].astype(str).astype(object),
        percent=[f"{value / m3.sum():.0%}" for value in of_aquifer[empty]],
        lang=lang,
    )


def _resting_load(volume: Volume, lang: str) -> Findings:
    """Say how much electricity of the quarter is taken for that of other loads than the pump."""
    resting = volume.wells.resting_kwh
    some = int((resting > 0.0).sum())
    if not some:
        return Findings.empty()
    kwh = float(resting.sum())
    share = kwh / float(np.nansum(volume.wells.kwh))
    return findings_of(
        "RESTING_LOAD",
        table="readings",
        period=volume.quarter,
        observed=f"{kwh:.0f}",
        limit=f"{share:.2%}",
        n=some,
        lang=lang,
    )


def _without_estimate(volume: Volume, wells: pd.DataFrame, lang: str) -> Findings:
    none = np.flatnonzero(volume.wells.method_codes == METHODS.index("none"))
    known = wells["power_source"] if "power_source" in wells else pd.Series("grid", index=wells.index)
    codes = known.iloc[none].fillna("grid")
    source = codes if lang == "en" else codes.map(WORDS["power_source"])
    return findings_of(
        "WELL_WITHOUT_ESTIMATE",
        table="wells",
        file=str(wells.attrs.get("file", "")),
        row=wells.index.to_numpy()[none],
        well_id=volume.wells.well_id[none],
        period=volume.quarter,
        observed=source.to_numpy(dtype=object),
        lang=lang,
    )
