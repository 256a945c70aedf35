"""A quarter of a county: fit, volumes, and the design-based answer beside them; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water import outputs
from elec2water.calendar_ import quarter_months
from elec2water.chain import FIRST, Start
from elec2water.coefficient import Coefficient, fit_coefficient
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.update import seen_today
from elec2water.county import County, domain_labels, fit_options, with_limits
from elec2water.energy import MonthlyEnergy
from elec2water.errors import DataRefusedError
from elec2water.expiry import ExpiryRule, expiry_findings
from elec2water.findings import Findings, findings_of
from elec2water.keys import Keys
from elec2water.news import Stages, release_news
from elec2water.pairs import pairs_frame
from elec2water.release import ReleaseInfo
from elec2water.review import (
    MOSTLY_IMPUTED,
    imputed_totals,
    incomplete_totals,
    level_findings,
    model_findings,
    pair_energy_findings,
    pairs_off_grid,
    pumping_findings,
    pumps_to_come,
    sample_findings,
)
from elec2water.revisions import record_findings, revised_quarters, revision_findings
from elec2water.sampled import sampled_wells
from elec2water.sums import row_sum
from elec2water.survey import DesignEstimate, design_totals, gap_findings
from elec2water.threads import one_thread
from elec2water.volume import Volume, estimate_volume
from elec2water.volume.parts import month_weight
from elec2water.watch import change_findings, meter_findings

Progress = Callable[[str], None]
Floats = NDArray[np.float64]

_YEAR = np.timedelta64(12, "M")


@one_thread
def estimate_quarter(
    county: County,
    quarter: str,
    months: NDArray[np.datetime64],
    tell: Progress,
    start: Start = FIRST,
    earlier: Sequence[ReleaseInfo] = (),
) -> outputs.QuarterRun:
    """Fit or update the coefficient and estimate a quarter of a county that was accepted; nothing is written.

    Parameters
    ----------
    start : Start
        The release before, whose coefficient is updated; by default the coefficient is fitted.
    earlier : sequence of ReleaseInfo
        The releases that count of earlier quarters, compared with what is known now.
    """
    tell("electricity per well and month")
    energy, energy_findings = county.energy(months[-1], kappa=_earlier_kappa(county, start))
    lang = county.config.project.language
    silent = _unread_months(county, energy, months, quarter)
    if silent.errors.count:
        raise DataRefusedError(county.findings + energy_findings + silent)
    stages = coefficient_stages(county, energy, months[-1], start, tell)
    coefficient = stages.final
    if start.coefficient is not None and not start.reason:
        county = with_limits(county, dict(coefficient.spec.strata_breaks))
    tell("volumes of every well and domain")
    volume = _volume(county, energy, coefficient, quarter)
    domains = domain_labels(county)
    totals = outputs.totals_frame(volume, domains)
    tell("the design-based answer beside it")
    survey = survey_totals(county, coefficient, volume, domains)
    told = _Told(county, energy, stages, volume, domains, start, earlier)
    news, revisions, chain_findings = told.since_last(tell)
    of_totals = imputed_totals(totals, lang=lang) + gap_findings(totals, survey, lang=lang)
    said = (energy_findings, silent, told.of_model(), survey.findings, of_totals)
    return outputs.QuarterRun(
        county.config,
        county.wells,
        county.strata,
        energy,
        coefficient,
        volume,
        totals,
        survey,
        Findings.concat([county.findings, *said, chain_findings]),
        news,
        revisions,
    )


def _earlier_kappa(county: County, start: Start) -> Floats | None:
    """Give the coefficient of each well in the release before, where meters are split by it; NaN where unknown."""
    if county.config.energy.split != "posterior" or start.release is None:
        return None
    known = outputs.read_coefficients(start.release.folder)
    return np.asarray(known.reindex(county.wells["well_id"].astype(object)), dtype=np.float64)


def _volume(county: County, energy: MonthlyEnergy, coefficient: Coefficient, quarter: str) -> Volume:
    return estimate_volume(
        coefficient,
        energy,
        quarter=quarter,
        wells=county.wells,
        water_levels=county.water_levels,
        confidence=county.config.estimate.confidence,
    )


def coefficient_stages(
    county: County, energy: MonthlyEnergy, last: np.datetime64, start: Start, tell: Progress
) -> Stages:
    """Fit the coefficient of a first quarter; of a later one update that of the release before, or fit it anew."""
    tables = county.wells, county.water_levels
    before = start.coefficient
    if before is None:
        fitted = fit_coefficient(
            county.pairs, *tables, energy=energy, until=last, options=fit_options(county.config), progress=tell
        )
        return Stages(fitted, fitted, fitted, fitted)
    updated = before.update(
        county.pairs, *tables, energy=energy, until=last, whole=True, with_news=False, progress=tell
    )
    same, corrected = seen_today(before, county.pairs, *tables, energy=energy)
    if not start.reason:
        return Stages(same, corrected, updated, updated)
    kept = bool((updated.measured.row == 0).any())
    well_id = county.well_id
    fitted = fit_coefficient(
        pairs_frame(updated.measured, well_id) if kept else county.pairs,
        *tables,
        energy=energy,
        until=last,
        options=fit_options(county.config),
        pumps=updated.equipment,
        progress=tell,
    )
    return Stages(same, corrected, updated, replace(fitted, record=updated.record))


@dataclass(frozen=True)
class _Told:
    """A quarter as it is known now: what is to be said of it, and of it against the releases before."""

    county: County
    energy: MonthlyEnergy
    stages: Stages
    volume: Volume
    domains: Mapping[str, Keys]
    start: Start
    earlier: Sequence[ReleaseInfo]

    def since_last(self, tell: Progress) -> tuple[pd.DataFrame | None, pd.DataFrame | None, Findings]:
        """Give the news, the past quarters as they look now, and what is to be said of both."""
        if self.start.release is None:
            return None, None, Findings.empty()
        tell("what moved since the release before")
        lang, final = self.county.config.project.language, self.stages.final
        revisions = revised_quarters(self.county, self.energy, final, self.earlier, self.domains)
        well_id = self.county.well_id
        found = record_findings(final, well_id, lang=lang) + revision_findings(revisions, lang=lang)
        if self.start.reason:
            found += findings_of("VARIANCES_REFITTED", table="pairs", observed=self.start.reason, lang=lang)
        return self._news(self.start.release), revisions, found

    def of_model(self) -> Findings:
        """Give what the fit noticed of sample wells, pairs, classes and pumps."""
        county, coefficient, lang = self.county, self.stages.final, self.county.config.project.language
        well_id = county.well_id
        rule = ExpiryRule(**county.config.expiry.model_dump())
        pairs_file = str(county.tables.pairs.attrs.get("file", ""))
        return (
            sample_findings(coefficient, county.strata, county.folder, lang=lang)
            + pair_energy_findings(coefficient, self.energy, well_id, lang=lang)
            + pairs_off_grid(county.pairs, county.wells, lang=lang)
            + pumps_to_come(county.wells, _reading_days(county.tables.readings)[1], lang=lang)
            + level_findings(coefficient, county.wells, county.water_levels, self.volume.quarter, lang=lang)
            + pumping_findings(coefficient, self.energy, county.water_levels, self.volume.quarter, lang=lang)
            + model_findings(coefficient, self.volume, county.wells, pairs_file=pairs_file, lang=lang)
            + incomplete_totals(self.volume, county.wells, self.domains, lang=lang)
            + change_findings(coefficient, lang=lang)
            + meter_findings(coefficient, self.volume.quarter, lang=lang)
            + expiry_findings(coefficient, self.volume, county.wells, county.water_levels, rule=rule, lang=lang)
        )

    def _news(self, last: ReleaseInfo) -> pd.DataFrame | None:
        months = quarter_months(last.quarter)
        if self.start.coefficient is None or not np.isin(months, self.energy.months).all():
            return None
        labels = {"stratum": self.county.strata.keys, **self.domains}
        return release_news(
            self.county,
            self.energy,
            self.stages,
            self.volume,
            last_quarter=last.quarter,
            published=outputs.read_totals(last.folder),
            labels=labels,
        )


def survey_totals(
    county: County, coefficient: Coefficient, volume: Volume, domains: Mapping[str, Keys]
) -> DesignEstimate:
    """Design-based totals of the quarter: the sample wells' volumes, expanded by their design weights.

    Only what water meters saw enters, and where they were read before the quarter what the model says that κ has moved
    since, so that the answer leans on the model for no more than that. Weights, strata and the policy for
    single-well strata are those of the design (:func:`~elec2water.sampled.sampled_wells`), and so is the auxiliary of
    the regression: what it anticipated of every well before these were measured, by which it drew them.
    """
    place = coefficient.posterior.sample
    drawn = sampled_wells(county, place)
    measured_m3, measured_kwh = measured_of(coefficient, volume)
    pumped_kwh = volume.wells.kwh - volume.wells.resting_kwh
    return design_totals(
        sample=place,
        volume_m3=measured_m3,
        energy_kwh=pumped_kwh,
        sample_energy_kwh=measured_kwh,
        weights=drawn.weights,
        prediction=None if drawn.anticipated is None else drawn.anticipated * pumped_kwh,
        strata=county.strata,
        sample_strata=drawn.strata,
        lonely=drawn.lonely,
        domains=dict(domains),
        lang=county.config.project.language,
    )


def measured_of(coefficient: Coefficient, volume: Volume) -> tuple[Floats, Floats]:
    """Volume that each sample well's water meter saw and the energy that pumped it: of the quarter where it was read.

    Else of the same months of the year before, since κ is lowest when most energy is used; else of its last year of
    pairs, and else of all. What was not read in the quarter is moved to it by what the model says that κ of such wells
    has moved since (:func:`_moved_since`): coefficients of the year before read high.
    """
    pairs, rows = coefficient.measured, coefficient.posterior.rows
    pumped_kwh = pairs.volume_m3 / np.exp(rows.y)
    moved_m3 = pairs.volume_m3 * np.exp(_moved_since(coefficient, volume))
    usable = coefficient.believed_meters
    first, last = quarter_months(volume.quarter)[[0, -1]]
    begin, end = first.astype("datetime64[s]"), (last + 1).astype("datetime64[s]")
    middle = np.where(np.isnat(pairs.middle), end, pairs.middle)

    def between(start: np.datetime64, stop: np.datetime64) -> NDArray[np.bool_]:
        return np.asarray(usable & (middle >= start) & (middle < stop))

    year_before = between((first - _YEAR).astype("datetime64[s]"), (last + 1 - _YEAR).astype("datetime64[s]"))
    last_year = between(end - np.timedelta64(366 + 92, "D"), end)
    n = coefficient.sample_id.size
    m3, kwh = np.zeros(n), np.zeros(n)
    read = between(begin, end)
    for chosen, volume_m3 in (
        (read, pairs.volume_m3),
        (year_before, moved_m3),
        (last_year, moved_m3),
        (usable, moved_m3),
    ):
        empty = kwh[rows.well] <= 0
        for target, values in ((m3, volume_m3), (kwh, pumped_kwh)):
            target += np.bincount(rows.well, weights=np.where(chosen & empty, values, 0.0), minlength=n)
    return m3, kwh


def _moved_since(coefficient: Coefficient, volume: Volume) -> Floats:
    """By how much ln κ of the well of each pair has moved from the pair to the quarter, (R,): water, season, wear.

    By what all wells share and what has a cause; what a well or a month has of its own stays as it was measured.
    """
    rows, here = coefficient.posterior.rows, volume.posterior.sample
    loadings = volume.loadings.take(here)
    monthly = replace(loadings, gain=np.zeros_like(loadings.gain)).product(_without_months(volume.posterior))
    asked = np.log(row_sum(month_weight(volume.monthly_kwh[here]) * np.exp(monthly)))
    return np.asarray(asked[rows.well] - rows.product(_without_months(coefficient.posterior)))


def _without_months(posterior: Posterior) -> Floats:
    """Give the mean of the shared effects (p,), those of single aquifer-months left out."""
    theta = posterior.mean.copy()
    theta[posterior.layout.cells_start :] = 0.0
    return theta


def _reading_days(readings: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Give the first and the last day of readings, NaT where there are none."""
    days = readings[["start", "end", "read_on"]]
    return days.min().min(), days.max().max()


def _days_of(readings: pd.DataFrame) -> str:
    """Say from which day to which there are readings."""
    first, last = _reading_days(readings)
    return "–" if pd.isna(first) else f"{first:%Y-%m-%d} – {last:%Y-%m-%d}"


def _unread_months(county: County, energy: MonthlyEnergy, months: NDArray[np.datetime64], quarter: str) -> Findings:
    lang = county.config.project.language
    asked = np.flatnonzero(np.isin(energy.months, months))
    quality = energy.quality[:, asked]
    counted = ((quality == "A") | (quality == "E")).sum(axis=0)
    read = np.asarray(counted > 0, dtype=bool)
    if not read.any():
        span = _days_of(county.tables.readings)
        return findings_of("QUARTER_WITHOUT_READINGS", table="readings", period=quarter, observed=span, lang=lang)
    told = np.isfinite(energy.kwh).any(axis=1)
    imputed = (quality == "S").sum(axis=0)
    periods = energy.months[asked].astype(str)
    silent = findings_of(
        "MONTH_WITHOUT_READINGS",
        table="readings",
        period=periods[~read],
        observed=imputed[~read],
        n_none=told.sum() - imputed[~read],
        lang=lang,
    )
    share = counted / np.maximum(counted + imputed, 1)
    partly = read & (share < 1.0 - MOSTLY_IMPUTED)
    return silent + findings_of(
        "MONTH_PARTLY_READ",
        table="readings",
        period=periods[partly],
        observed=[f"{value:.0%}" for value in share[partly]],
        limit=f"{1.0 - MOSTLY_IMPUTED:.0%}",
        n=imputed[partly],
        lang=lang,
    )
