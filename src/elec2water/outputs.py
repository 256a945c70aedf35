"""What a release holds: frames of the contract from the results of a quarter, and the bytes of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from elec2water.calendar_ import quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.state import described, to_dataset
from elec2water.config import Config
from elec2water.energy import MonthlyEnergy
from elec2water.energy.arrays import positions
from elec2water.energy.history import well_months
from elec2water.findings import COLUMNS, Findings
from elec2water.keys import Keys, recurring_text
from elec2water.release import ReleaseInfo, csv_bytes, list_release_folders, netcdf_bytes, parquet_bytes
from elec2water.release.formats import unescape_text
from elec2water.stats import lognormal_interval
from elec2water.strata import Strata
from elec2water.survey import DesignEstimate, published_totals
from elec2water.version import VERSION
from elec2water.volume import StratumCoefficients, Volume
from elec2water.volume.wells import METHODS

Floats = NDArray[np.float64]

_VOLUME_DIGITS = dict.fromkeys(("energy_kwh", "volume_m3", "se_m3", "lower_m3", "upper_m3"), ".3f")
_DESIGN_DIGITS = dict.fromkeys(("volume_m3", "se_m3", "lower_m3", "upper_m3", "model_m3"), ".3f")
_DESIGN_DIGITS |= {"gap_joint_se": ".2f"}
_COEFFICIENT_DIGITS = dict.fromkeys(("coefficient_m3_per_kwh", "se", "lower", "upper"), ".6f")


@dataclass(frozen=True)
class QuarterRun:
    """All results of a quarter before they are written."""

    config: Config
    wells: pd.DataFrame
    strata: Strata
    energy: MonthlyEnergy
    coefficient: Coefficient
    volume: Volume
    totals: pd.DataFrame
    survey: DesignEstimate
    findings: Findings
    news: pd.DataFrame | None = None
    revisions: pd.DataFrame | None = None


def totals_frame(volume: Volume, domains: Mapping[str, Keys]) -> pd.DataFrame:
    """Totals of every domain, a row a key: the columns of the contract.

    Then counts of wells by method and imputed energy.
    """
    return pd.concat([volume.table(domain, labels) for domain, labels in domains.items()], ignore_index=True)


def design_totals_frame(result: QuarterRun) -> pd.DataFrame:
    """Design-based totals beside the model's: ``design_totals.csv``, as :func:`~.survey.published_totals` says."""
    config = result.config
    return published_totals(
        result.survey, result.totals, confidence=config.estimate.confidence, lang=config.project.language
    )


def wells_frame(volume: Volume, flags: NDArray[np.object_]) -> pd.DataFrame:
    """Every well of the quarter: the table ``wells.parquet`` of the contract."""
    w = volume.wells
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(w.kwh > 0, w.volume_m3 / w.kwh, volume.idle_coefficient)
    return pd.DataFrame(
        {
            "well_id": w.well_id,
            "quarter": volume.quarter,
            "energy_kwh": w.kwh,
            "coefficient_m3_per_kwh": np.where(w.method_codes == METHODS.index("none"), np.nan, kappa),
            "volume_m3": w.volume_m3,
            "se_m3": w.se_m3,
            "lower_m3": w.lower_m3,
            "upper_m3": w.upper_m3,
            "method": recurring_text(METHODS, w.method_codes),
            "quality": w.quality,
            "flags": flags,
        }
    )


def well_flags(volume: Volume, findings: Findings) -> NDArray[np.object_]:
    """Give flags of every well: ``sample``, ``resting_load``, ``partly_measured``, ``unread_month``.

    And the rules of the warnings that name it, joined by ``|``.
    """
    w = volume.wells
    frame = findings.frame
    named = frame.loc[frame["severity"].ne("info") & frame["well_id"].ne(""), ["well_id", "rule"]].drop_duplicates()
    by_well = named.sort_values(["well_id", "rule"]).groupby("well_id", sort=False)["rule"].agg("|".join)
    flags = np.full(w.well_id.size, "", dtype=object)
    place = positions(by_well.index, pd.Series(w.well_id, dtype="str"))
    flags[place[place >= 0]] = by_well.to_numpy(dtype=object)[place >= 0]
    own = {
        "unread_month": w.unread_month,
        "partly_measured": w.partly_measured,
        "resting_load": w.resting_kwh > 0.0,
        "sample": w.sampled,
    }
    for name, mask in own.items():
        flags[mask] = [f"{name}|{flag}" if flag else name for flag in flags[mask]]
    return flags


def coefficient_frame(result: QuarterRun, coefficients: StratumCoefficients) -> pd.DataFrame:
    """Coefficient of every stratum and month of the quarter: mean, standard error, interval, and what is behind it."""
    codes, cells = np.asarray(result.strata.codes, dtype=np.intp), result.strata.cells
    pairs_by_well = np.bincount(result.coefficient.posterior.rows.well)
    stratum_of_sample = codes[result.coefficient.posterior.sample]
    wells = np.bincount(stratum_of_sample, minlength=len(cells))
    pairs = np.bincount(stratum_of_sample, weights=pairs_by_well, minlength=len(cells)).astype(np.int64)
    lower, upper = lognormal_interval(coefficients.mean, coefficients.log_variance, result.volume.z)
    se = coefficients.mean * np.sqrt(np.expm1(coefficients.log_variance))
    frames = [
        pd.DataFrame(
            {
                "stratum": cells["stratum"].to_numpy(),
                "month": str(month),
                "coefficient_m3_per_kwh": coefficients.mean[:, m],
                "se": se[:, m],
                "lower": lower[:, m],
                "upper": upper[:, m],
                "confidence": result.volume.confidence,
                "n_sample_wells": wells,
                "n_pairs": pairs,
            }
        )
        for m, month in enumerate(quarter_months(result.volume.quarter))
    ]
    return pd.concat(frames, ignore_index=True)


def coefficient_dataset(result: QuarterRun, coefficients: StratumCoefficients) -> xr.Dataset:
    """Give the posterior with the coefficients of strata and months, and their joint covariance, beside it."""
    shape = coefficients.mean.shape
    se = coefficients.mean * np.sqrt(np.expm1(coefficients.log_variance))
    here, there = ("stratum", "coefficient_month"), ("stratum_", "coefficient_month_")
    strata = result.strata.cells["stratum"].to_numpy(dtype=object)
    months = quarter_months(result.volume.quarter).astype(str).astype(object)
    project, sample = result.config.project, result.coefficient
    provenance = {
        "county": f"{project.county_code} {project.name}".strip(),
        "quarter": result.volume.quarter,
        "source": f"elec2water {VERSION}",
        "comment": f"from {sample.measured.well.size} pairs of {sample.sample_id.size} sample wells; "
        "inputs with their SHA-256 and configuration: manifest.json beside this file",
    }
    named = {name: (name, strata) for name in ("stratum", "stratum_")}
    named |= {name: (name, months) for name in ("coefficient_month", "coefficient_month_")}
    return described(
        to_dataset(result.coefficient)
        .assign_attrs(provenance)
        .assign(
            coefficient=(here, coefficients.mean),
            coefficient_se=(here, se),
            coefficient_covariance=(here + there, coefficients.covariance.reshape(shape + shape)),
        )
        .assign_coords(named)
    )


def release_files(result: QuarterRun) -> dict[str, bytes]:
    """Give the files of a release by name; upload and report have their own rooms."""
    codes, n_strata = np.asarray(result.strata.codes, dtype=np.intp), len(result.strata.cells)
    by_stratum = result.volume.stratum_coefficients(codes, n_strata)
    coefficients = coefficient_frame(result, by_stratum)
    flags = well_flags(result.volume, result.findings)
    chained: dict[str, bytes] = {
        f"{name}.csv": csv_bytes(frame, float_format=_digits(frame))
        for name, frame in (("news", result.news), ("revisions", result.revisions))
        if frame is not None
    }
    if result.news is not None and result.news["domain"].eq("county").any():
        lang = result.config.project.language
        chained["news.png"] = import_module("elec2water.waterfall").news_png(result.news, lang=lang)
    return chained | {
        "totals.csv": csv_bytes(result.totals, float_format={**_VOLUME_DIGITS, "imputed_energy_kwh": ".3f"}),
        "wells.parquet": parquet_bytes(wells_frame(result.volume, flags)),
        "coefficients.csv": csv_bytes(coefficients, float_format=_COEFFICIENT_DIGITS),
        "coefficients.nc": netcdf_bytes(coefficient_dataset(result, by_stratum)),
        "energy.parquet": parquet_bytes(energy_frame(result)),
        "design_totals.csv": csv_bytes(design_totals_frame(result), float_format=_DESIGN_DIGITS),
        "findings.csv": csv_bytes(result.findings.frame),
    }


def _digits(frame: pd.DataFrame) -> dict[str, str]:
    """Give coefficients six decimals, volumes, energy and percentages three."""
    floats = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    plain = ("_m3", "published_kwh", "now_kwh", "_percent")
    return {name: ".3f" if name.endswith(plain) else ".6f" for name in floats}


def energy_frame(result: QuarterRun) -> pd.DataFrame:
    """Electricity of every well and month of the quarter, and the class whose coefficient it has: ``energy.parquet``.

    The sum of energy x ``coefficient`` of ``coefficients.nc`` by class and month is the county's volume.
    """
    frame, strata = well_months(_of_quarter(result)), result.strata
    codes = np.repeat(np.asarray(strata.codes, dtype=np.intp), len(quarter_months(result.volume.quarter)))
    return frame.assign(stratum=recurring_text(strata.cells["stratum"].astype(str).tolist(), codes))


def _of_quarter(result: QuarterRun) -> MonthlyEnergy:
    months = quarter_months(result.volume.quarter)
    return result.energy.window(months[0], months[-1])


def read_totals(folder: Path) -> pd.DataFrame:
    """``totals.csv`` of a release, keys as text."""
    frame = pd.read_csv(
        folder / "totals.csv",
        encoding="utf-8-sig",
        dtype={"domain": str, "key": str, "quarter": str},
        keep_default_na=False,
    )
    escaped = frame["key"].str.startswith("'")
    frame.loc[escaped, "key"] = frame.loc[escaped, "key"].map(unescape_text)
    return frame


def read_coefficients(folder: Path) -> pd.Series[float]:
    """Coefficient of every well of a release [m³/kWh], by the well's identifier."""
    frame = pd.read_parquet(folder / "wells.parquet", columns=["well_id", "coefficient_m3_per_kwh"])
    return frame.set_index(frame["well_id"].astype(object))["coefficient_m3_per_kwh"].astype(np.float64)


def read_findings(folder: Path) -> Findings:
    """``findings.csv`` of a release."""
    frame = pd.read_csv(folder / "findings.csv", encoding="utf-8-sig", dtype=str, keep_default_na=False)
    text = frame.columns.difference(["row", "energy_kwh"])
    frame[text] = frame[text].map(unescape_text)
    frame["row"] = pd.to_numeric(frame["row"].replace("", None)).astype("Int64")
    return Findings(frame.reindex(columns=list(COLUMNS), fill_value=""))


def _replaced(info: ReleaseInfo, volume_m3: float) -> dict[str, object] | None:
    """Name the release of the same quarter before this one, and by how much the county's volume differs."""
    names = [folder.name for folder in list_release_folders(info.folder.parents[2], info.quarter)]
    before = names[: names.index(info.release)][-1:]
    if not before or not (info.folder.parent / before[0] / "totals.csv").is_file():
        return None
    totals = read_totals(info.folder.parent / before[0])
    was = float(totals.loc[totals["domain"] == "county", "volume_m3"].sum())
    return {"release": before[0], "volume_m3": was, "change": volume_m3 / was - 1.0 if was > 0 else None}


def summary(info: ReleaseInfo, totals: pd.DataFrame, findings: Findings) -> dict[str, object]:
    """Give the figures of a finished quarter, as plain types."""
    county = totals.loc[totals["domain"] == "county"]
    row = county.iloc[0].to_dict() if len(county) else {}
    counts = findings.frame["severity"].value_counts()
    return {
        "quarter": info.quarter,
        "release": info.release,
        "folder": str(info.folder),
        "created": info.created,
        "coefficient": info.manifest.get("coefficient_version", ""),
        "replaces": _replaced(info, float(row.get("volume_m3", np.nan))),
        "county": {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()},
        "findings": {name: int(counts.get(name, 0)) for name in ("error", "warning", "info")},
    }
