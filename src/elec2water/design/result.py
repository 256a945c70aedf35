"""The design as one frozen object that travels: who is drawn, how probably, and how errors are to be formed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from elec2water.design.frame import IN_FRAME
from elec2water.findings import Findings

SAMPLE_COLUMNS = (
    "well_id",
    "stratum",
    "role",
    "inclusion_probability",
    "weight",
    "order",
    "stands_for",
    "network",
)
ALLOCATION_COLUMNS = (
    "stratum",
    "n_wells",
    "n_sample",
    "expected_cv",
    "energy_kwh",
    "coefficient_m3_per_kwh",
    "n_certain",
    "n_neyman",
    "n_proportional",
)
FRAME_COLUMNS = (
    "well_id",
    "stratum",
    "energy_kwh",
    "coefficient_m3_per_kwh",
    "log_sd",
    "size",
    "inclusion_probability",
)
PRECISION_COLUMNS = ("domain", "key", "n_wells", "n_sample", "energy_kwh", "expected_cv", "target_cv")
CURVE_COLUMNS = ("n", "expected_cv", "mark")
MERGES_COLUMNS = ("stratum", "merged_into", "n_wells", "coefficient_gap")
PRIMARY, RESERVE = "primary", "reserve"


def empty_table(columns: tuple[str, ...]) -> pd.DataFrame:
    """Give a table without rows."""
    return pd.DataFrame({name: [] for name in columns})


@dataclass(frozen=True)
class Design:
    """A stratified sample of wells.

    Attributes
    ----------
    sample : DataFrame
        ``well_id, stratum, role`` (primary, reserve), ``inclusion_probability, weight, order`` (from 1, in each stratum
        and role). A reserve carries its own probability; ``stands_for`` is the primary well it is most like and stands
        in for. ``network`` tells primary wells of an existing network (``kept``) from ``new`` ones.
    allocation : DataFrame
        ``stratum, n_wells`` (of the frame), ``n_sample, expected_cv`` of the stratum's total, and its energy,
        anticipated coefficient, wells taken with certainty, and what Neyman and proportional allocation would give.
    coverage : DataFrame
        ``reason, n_wells, energy_kwh, energy_share``: the wells in the frame (``in_frame``) and, by reason, those that
        cannot be sampled.
    excluded : DataFrame
        ``well_id, reason, energy_kwh`` of every well that cannot be sampled.
    expected_cv : float
        Anticipated coefficient of variation of the county's total over the frame.
    seed : int
    findings : Findings
    frame : DataFrame
        A row a well of the frame, by ``well_id``: its stratum, energy, anticipated coefficient and spread, ``size``
        (anticipated standard deviation of its volume [m³]) and first-order inclusion probability.
    precision : DataFrame
        ``domain, key, n_wells, n_sample, energy_kwh, expected_cv, target_cv`` of every reported total.
    curve : DataFrame
        ``n, expected_cv, mark``: what other numbers of wells would give; marked are this one (``n``), ``n-10``,
        ``n+10``, ``n+50`` and the county rule of at least five wells (``rule``).
    merges : DataFrame
        ``stratum, merged_into, n_wells, coefficient_gap``: thin cells, the stratum that took them and how far apart the
        anticipated ln κ are.
    policy : mapping
        How the sample was drawn and how its errors are to be formed, as plain values: ``lonely`` (what a stratum with
        one measured well contributes), ``variance``, ``selection``, ``anticipated``, ``refusal_rate`` …
    """

    sample: pd.DataFrame
    allocation: pd.DataFrame
    coverage: pd.DataFrame
    excluded: pd.DataFrame
    expected_cv: float
    seed: int
    findings: Findings
    frame: pd.DataFrame = field(default_factory=lambda: empty_table(FRAME_COLUMNS))
    precision: pd.DataFrame = field(default_factory=lambda: empty_table(PRECISION_COLUMNS))
    curve: pd.DataFrame = field(default_factory=lambda: empty_table(CURVE_COLUMNS))
    merges: pd.DataFrame = field(default_factory=lambda: empty_table(MERGES_COLUMNS))
    policy: Mapping[str, object] = field(default_factory=dict)

    def with_findings(self, more: Findings) -> Design:
        """Give the same design with further findings.

        Parameters
        ----------
        more : Findings

        Returns
        -------
        Design
        """
        return replace(self, findings=self.findings + more)

    @property
    def primary(self) -> pd.DataFrame:
        """The rows of the sample to be measured first."""
        return self.sample.loc[self.sample["role"] == PRIMARY].reset_index(drop=True)

    @property
    def reserves(self) -> pd.DataFrame:
        """The rows that stand in when a primary well cannot be measured."""
        return self.sample.loc[self.sample["role"] == RESERVE].reset_index(drop=True)

    def __repr__(self) -> str:
        covered = self.coverage.loc[self.coverage["reason"] == IN_FRAME, "energy_share"].sum()
        return (
            f"Design({len(self.primary)} primary, {len(self.reserves)} reserve wells, {len(self.allocation)} strata; "
            f"the frame holds {covered:.1%} of the energy; expected CV of the total {self.expected_cv:.2%}; "
            f"seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        title = repr(self).replace("<", "&lt;")
        return f"<p>{title}</p>{self.allocation.to_html(index=False)}{self.coverage.to_html(index=False)}"
