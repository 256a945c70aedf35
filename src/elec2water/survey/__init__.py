"""The design-based answer: totals and ratios of a stratified sample with linearised standard errors.

``design_totals`` is what a release shows beside the model; the estimators below it are those of survey sampling and
agree with the R package ``survey``.
"""

from elec2water.survey.calibration import (
    Calibration,
    calibrate,
    calibrated_totals,
    greg_totals,
)
from elec2water.survey.estimators import (
    combined_ratio_totals,
    means,
    ratios,
    separate_ratio_totals,
    totals,
)
from elec2water.survey.linearised import Domains, Estimate, LonelyPolicy, SampleDesign, lonely_policy
from elec2water.survey.published import domain_name, gap_findings, joint_standard_error, published_totals
from elec2water.survey.reported import DesignEstimate, adjust_for_refusal, design_totals

__all__ = [
    "Calibration",
    "DesignEstimate",
    "Domains",
    "Estimate",
    "LonelyPolicy",
    "SampleDesign",
    "adjust_for_refusal",
    "calibrate",
    "calibrated_totals",
    "combined_ratio_totals",
    "design_totals",
    "domain_name",
    "gap_findings",
    "greg_totals",
    "joint_standard_error",
    "lonely_policy",
    "means",
    "published_totals",
    "ratios",
    "separate_ratio_totals",
    "totals",
]
