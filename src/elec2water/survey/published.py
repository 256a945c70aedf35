"""The design-based totals as a release publishes them: with an interval, beside the model's, or with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from elec2water.findings import Findings, findings_of
from elec2water.survey.reported import DesignEstimate

Floats: TypeAlias = NDArray[np.float64]

WELLS_A_TOTAL = 5
"""Fewest sample wells of a domain whose design-based total is published, or judges the model's."""

_TWO = 2.0
"""Standard errors of a known variance that a gap in joint standard errors is made comparable with."""

_WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "ratio": "分层比率估计",
        "greg": "模型辅助回归估计(GREG)",
        "few_wells": f"样本井不足 {WELLS_A_TOTAL} 眼，不作推断",
        "no_variance": "各抽样层只有 1 眼样本井，误差无法估计",
        "negative": "推断值不为正，样本井过少或与全体相差过大",
        "synthetic": "合成估计：按全县各层比率推得，误差不含本范围与全县的差别，不给区间",
        "county": "全县",
        "township": "乡镇",
        "aquifer": "取水层位",
        "stratum": "分层",
        "permit_no": "取水许可证",
        "village": "村",
    },
    "en": {
        "ratio": "stratified ratio estimator",
        "greg": "generalised regression estimator (GREG)",
        "few_wells": f"fewer than {WELLS_A_TOTAL} sample wells: no design-based total",
        "no_variance": "one sample well in each of its strata: the error cannot be estimated",
        "negative": "the estimate is not positive: too few sample wells, or unlike all others",
        "synthetic": "synthetic: the county's ratios by stratum; how far the domain is from them is in no error",
    },
}


def joint_standard_error(se_design: ArrayLike, se_model: ArrayLike, degrees_of_freedom: ArrayLike = np.inf) -> Floats:
    """Give the standard error of the gap between a design-based total D and the model's M, from the same sample wells.

    M is near the best predictor of the total T, so that its error is uncorrelated with D − M, and Var(D − M) =
    Var(D − T) − Var(M − T) (Hausman 1978, corollary 2.6): less than the variance of D alone, where that of independent
    answers would be the sum. Both variances are estimates, that of D from few wells. A V_D below V_M is too small by
    chance, since M errs by no more than D; and their difference is negative as often as not, so that half of the
    greater always stays,

        max(V_D − V_M, max(V_D, V_M) / 2)

    As V_D has few degrees of freedom ν the whole is widened by t_ν(Φ(2)) / 2: so that two of it hold the 95.4 % that
    two of a known variance would. ``benchmarks/gap_study.py`` holds it against counties whose model is
    right.

    Parameters
    ----------
    se_design, se_model : array_like
        Standard errors of the two totals [m³].
    degrees_of_freedom : array_like
        Of the variance of the design-based total; less than one counts for one.

    Returns
    -------
    array
        [m³]; NaN where either is.
    """
    v_design, v_model = np.square(np.asarray(se_design)), np.square(np.asarray(se_model))
    variance = np.maximum(v_design - v_model, 0.5 * np.maximum(v_design, v_model))
    freedom = np.maximum(np.asarray(degrees_of_freedom, dtype=np.float64), 1.0)
    return np.asarray(np.sqrt(variance) * special.stdtrit(freedom, special.ndtr(_TWO)) / _TWO, dtype=np.float64)


def published_totals(
    design: DesignEstimate, model: pd.DataFrame, *, confidence: float = 0.90, lang: str = "zh"
) -> pd.DataFrame:
    """Give every design-based total with its interval and the model's beside it: ``design_totals.csv``.

    The interval is that of Student's t on the log scale, volume · exp(± t · se / volume), with as many degrees of
    freedom as the variance has: it holds no negative volume, and is the wider the fewer wells are behind it.

    Parameters
    ----------
    design : DesignEstimate
    model : DataFrame
        Totals of the model, as in ``totals.csv``: ``domain, key, quarter, volume_m3, se_m3``.
    confidence : float
    lang : str
        Language of ``estimator_name`` and ``reason``.

    Returns
    -------
    DataFrame
        ``domain, key, estimator, volume_m3, se_m3, n_sample``, then ``degrees_of_freedom, quarter, estimator_name,
        lower_m3, upper_m3, confidence, model_m3, gap_joint_se`` (design less model, in standard errors of their gap)
        and ``reason``. With fewer than five sample wells, one well a stratum, or no positive estimate the volume is NaN
        and ``reason`` says so; a synthetic ratio has its volume, so that domains add up, and no error.
    """
    both = _beside(design, model)
    reason = _reasons(both)
    blank = both[["volume_m3", "se_m3"]].astype(np.float64).copy()
    blank.loc[reason != "", "se_m3"] = np.nan
    blank.loc[~reason.isin(["", "synthetic"]), "volume_m3"] = np.nan
    volume, se = blank["volume_m3"].to_numpy(), blank["se_m3"].to_numpy()
    freedom = both["degrees_of_freedom"].to_numpy()
    spread = special.stdtrit(np.maximum(freedom, 1), 0.5 * (1.0 + confidence)) * se / volume
    words = _WORDS[lang]
    return both.assign(
        volume_m3=volume,
        se_m3=se,
        estimator_name=both["estimator"].map(words),
        lower_m3=volume * np.exp(-spread),
        upper_m3=volume * np.exp(spread),
        confidence=confidence,
        gap_joint_se=_gaps(both).where(np.isfinite(se)),
        reason=reason.map(words).fillna(""),
    )[[*_FIRST, *_THEN]]


_FIRST = ("domain", "key", "estimator", "volume_m3", "se_m3", "n_sample")
_THEN = (
    "degrees_of_freedom", "quarter", "estimator_name", "lower_m3", "upper_m3", "confidence", "model_m3",
    "gap_joint_se", "reason",
)  # fmt: skip


def gap_findings(
    model: pd.DataFrame, design: DesignEstimate, *, limit: float = 2.0, estimator: str = "greg", lang: str = "zh"
) -> Findings:
    """Say where the model and the design disagree by more than chance allows.

    Parameters
    ----------
    model : DataFrame
        ``domain, key, quarter, volume_m3, se_m3``.
    design : DesignEstimate
    limit : float
        Joint standard errors (:func:`joint_standard_error`) beyond which a gap is a finding.
    estimator : str
        Which design-based total to compare with. That of the ratio is biased: by its strata of two or three wells in
        the county, and where it is synthetic by what no error holds.
    lang : str

    Returns
    -------
    Findings
        A ``SURVEY_GAP`` for every such total that is published with an error.
    """
    both = _beside(design, model)
    both = both.loc[(both["estimator"] == estimator) & (_reasons(both) == "")]
    gap = _gaps(both).abs()
    found, words = both.loc[gap > limit], _WORDS[lang]
    return findings_of(
        "SURVEY_GAP",
        table="totals",
        observed=gap[gap > limit].map("{:.1f}".format).tolist(),
        limit=limit,
        domain=[domain_name(domain, lang) for domain in found["domain"]],
        key=found["key"].tolist(),
        estimator=words[estimator],
        lang=lang,
    )


def domain_name(domain: str, lang: str = "zh") -> str:
    """Give what readers call a kind of domain; its own name where it has no other.

    Examples
    --------
    >>> domain_name("township"), domain_name("crop")
    ('乡镇', 'crop')
    """
    return _WORDS[lang].get(domain, domain)


def _beside(design: DesignEstimate, model: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of the design with the model's total and standard error beside them."""
    known = model.reindex(columns=["domain", "key", "quarter", "volume_m3", "se_m3"])
    known = known.rename(columns={"volume_m3": "model_m3", "se_m3": "model_se_m3"})
    return design.table.merge(known, on=["domain", "key"], how="left")


def _gaps(both: pd.DataFrame) -> pd.Series[float]:
    """Design less model, in joint standard errors; NaN where the joint standard error is zero."""
    joint = joint_standard_error(both["se_m3"], both["model_se_m3"], both["degrees_of_freedom"])
    return (both["volume_m3"] - both["model_m3"]) / np.where(joint > 0, joint, np.nan)


def _reasons(both: pd.DataFrame) -> pd.Series[str]:
    """Why a total is not published as it is, a word a row; blank where it is."""
    told = [
        (both["synthetic"], "synthetic"),
        (both["n_sample"] < WELLS_A_TOTAL, "few_wells"),
        (both["degrees_of_freedom"] < 1, "no_variance"),
        (~(both["volume_m3"] > 0), "negative"),
    ]
    conditions = [condition.to_numpy(dtype=bool) for condition, _ in told]
    return pd.Series(np.select(conditions, [word for _, word in told], ""), index=both.index, dtype="str")
