"""A quarter of a county: fit, volumes, and the design-based answer beside them; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from elec2water import outputs
from elec2water.calendar_ import quarter_months
from elec2water.coefficient import Coefficient, fit_coefficient
from elec2water.county import County, domain_labels, fit_options
from elec2water.design import read_sample
from elec2water.energy import MonthlyEnergy
from elec2water.errors import DataRefusedError
from elec2water.findings import Findings, findings_of
from elec2water.keys import Keys
from elec2water.review import model_findings, pair_energy_findings, pairs_off_grid, sample_findings
from elec2water.survey import DesignEstimate, adjust_for_refusal, design_totals, gap_findings
from elec2water.volume import Volume, estimate_volume

Progress = Callable[[str], None]
Floats = NDArray[np.float64]

_YEAR = np.timedelta64(12, "M")


def estimate_quarter(
    county: County, quarter: str, months: NDArray[np.datetime64], tell: Progress
) -> outputs.QuarterRun:
    """Fit the coefficient and estimate a quarter of a county that was accepted; nothing is written."""
    tell("electricity per well and month")
    energy, energy_findings = county.energy(months[-1])
    silent = _unread_months(energy, months, quarter, county.config.project.language)
    if silent.errors.count:
        raise DataRefusedError(county.findings + energy_findings + silent)
    coefficient = fit_coefficient(
        county.pairs,
        county.wells,
        county.water_levels,
        energy=energy,
        until=months[-1],
        options=fit_options(county.config),
        progress=tell,
    )
    tell("volumes of every well and domain")
    volume = estimate_volume(
        coefficient,
        energy,
        quarter=quarter,
        wells=county.wells,
        water_levels=county.water_levels,
        confidence=county.config.estimate.confidence,
    )
    domains = domain_labels(county)
    totals = outputs.totals_frame(volume, domains)
    tell("the design-based answer beside it")
    survey = survey_totals(county, coefficient, volume, domains)
    lang = county.config.project.language
    findings = (
        county.findings
        + energy_findings
        + silent
        + sample_findings(coefficient, county.strata, county.folder, lang=lang)
        + pair_energy_findings(coefficient, energy, county.wells["well_id"].to_numpy(dtype=object), lang=lang)
        + pairs_off_grid(county.pairs, county.wells, lang=lang)
        + model_findings(coefficient, volume, county.wells, lang=lang)
        + survey.findings
        + gap_findings(totals, survey, lang=lang)
    )
    return outputs.QuarterRun(
        county.config, county.wells, county.strata, energy, coefficient, volume, totals, survey, findings
    )


def survey_totals(
    county: County, coefficient: Coefficient, volume: Volume, domains: Mapping[str, Keys]
) -> DesignEstimate:
    """Design-based totals of the quarter: the sample wells' volumes, expanded by their design weights.

    Only what water meters saw enters, so that the answer does not lean on the model. Weights come from
    ``design/sample.csv``; wells with pairs that are not in it, or all where there is no design, weigh N_h/n_h of
    their stratum. Refusals are made up for within strata.
    """
    place = coefficient.posterior.sample
    measured_m3, measured_kwh = _measured(coefficient, volume)
    return design_totals(
        sample=place,
        volume_m3=measured_m3,
        energy_kwh=volume.wells.kwh,
        sample_energy_kwh=measured_kwh,
        weights=_sample_weights(county, place),
        strata=county.strata,
        domains=dict(domains),
        lang=county.config.project.language,
    )


def _measured(coefficient: Coefficient, volume: Volume) -> tuple[Floats, Floats]:
    """Volume and energy that each sample well's water meter saw: of the quarter where it was read.

    Else of the same months of the year before, since κ is lowest when most energy is used; else of its last year of
    pairs, and else of all.
    """
    pairs, rows = coefficient.measured, coefficient.posterior.rows
    usable = ~coefficient.posterior.impossible_pairs
    first, last = quarter_months(volume.quarter)[[0, -1]]
    begin, end = first.astype("datetime64[s]"), (last + 1).astype("datetime64[s]")
    middle = np.where(np.isnat(pairs.middle), end, pairs.middle)

    def between(start: np.datetime64, stop: np.datetime64) -> NDArray[np.bool_]:
        return np.asarray(usable & (middle >= start) & (middle < stop))

    year_before = between((first - _YEAR).astype("datetime64[s]"), (last + 1 - _YEAR).astype("datetime64[s]"))
    last_year = between(end - np.timedelta64(366 + 92, "D"), end)
    n = coefficient.sample_id.size
    m3, kwh = np.zeros(n), np.zeros(n)
    for chosen in (between(begin, end), year_before, last_year, usable):
        empty = kwh[rows.well] <= 0
        for target, values in ((m3, pairs.volume_m3), (kwh, pairs.energy_kwh)):
            target += np.bincount(rows.well, weights=np.where(chosen & empty, values, 0.0), minlength=n)
    return m3, kwh


def _sample_weights(county: County, place: NDArray[np.intp]) -> Floats:
    codes = county.strata.codes
    size = np.bincount(codes, minlength=len(county.strata.cells))
    measured = np.bincount(codes[place], minlength=size.size)
    weights = (size / np.maximum(measured, 1))[codes[place]].astype(np.float64)
    sample = read_sample(county.folder / "design")
    if sample is None:
        return weights
    primary = sample.loc[sample["role"] == "primary"]
    responded = primary["well_id"].isin(county.wells["well_id"].iloc[place]).to_numpy()
    if not responded.any():
        return weights
    adjusted = adjust_for_refusal(
        primary["weight"].to_numpy(dtype=np.float64), responded, primary["stratum"].to_numpy()
    )
    by_id = dict(zip(primary["well_id"], adjusted, strict=True))
    found = [by_id.get(well) for well in county.wells["well_id"].iloc[place]]
    return np.array([w if f is None or f <= 0 else max(f, 1.0) for w, f in zip(weights, found, strict=True)])


def _unread_months(energy: MonthlyEnergy, months: NDArray[np.datetime64], quarter: str, lang: str) -> Findings:
    asked = np.flatnonzero(np.isin(energy.months, months))
    quality = energy.quality[:, asked]
    read = np.asarray(((quality == "A") | (quality == "E")).any(axis=0), dtype=bool)
    if not read.any():
        return findings_of("QUARTER_WITHOUT_READINGS", table="readings", period=quarter, observed=0, lang=lang)
    told = np.isfinite(energy.kwh).any(axis=1)
    imputed = (quality[:, ~read] == "S").sum(axis=0)
    return findings_of(
        "MONTH_WITHOUT_READINGS",
        table="readings",
        period=energy.months[asked[~read]].astype(str),
        observed=imputed,
        n_none=told.sum() - imputed,
        lang=lang,
    )
