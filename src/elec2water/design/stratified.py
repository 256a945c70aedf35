"""The wells that can be sampled, in their strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.allocation import Population
from elec2water.design.anticipated import Anticipated
from elec2water.design.cuts import ThinStrata, join_thin
from elec2water.design.domains import Domain
from elec2water.design.drawing import Draw
from elec2water.design.frame import Coverage
from elec2water.design.result import MERGES_COLUMNS, empty_table
from elec2water.strata import SEPARATOR, UNKNOWN, Strata

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

COUNTY = "county"
STRATUM = "stratum"
_DECIMALS = 9
_LEAST_SIZE = 0.1
"""Smallest size of a well against the mean of its stratum: last year's idle well may be busy in the next."""


@dataclass(frozen=True)
class StratifiedFrame:
    """The wells that can be sampled, sorted by identifier so that nothing depends on the order of rows."""

    wells: pd.DataFrame
    energy: Floats
    anticipated: Anticipated
    codes: Integers
    names: tuple[str, ...]
    aquifers: tuple[str, ...]

    @property
    def volume(self) -> Floats:
        """Anticipated volume of every well [m³]."""
        return self.energy * self.anticipated.coefficient

    @classmethod
    def of(
        cls, wells: pd.DataFrame, energy: Floats, strata: Strata, expected: Anticipated, coverage: Coverage
    ) -> StratifiedFrame:
        """Take the wells inside a coverage, with the strata that have any of them."""
        kept = np.flatnonzero(coverage.inside)
        kept = kept[np.argsort(wells["well_id"].to_numpy(dtype=object)[kept].astype(str), kind="stable")]
        present, codes = np.unique(strata.codes[kept], return_inverse=True)
        cells = strata.cells.iloc[present]
        aquifers = tuple(map(str, cells["aquifer"])) if "aquifer" in cells.columns else ("",) * len(cells)
        return cls(
            wells=wells.iloc[kept].reset_index(drop=True),
            energy=_steady(energy[kept]),
            anticipated=Anticipated(
                _steady(expected.coefficient[kept]), _steady(expected.log_sd[kept]), expected.source
            ),
            codes=codes.astype(np.int64),
            names=tuple(map(str, cells["stratum"])),
            aquifers=aquifers,
        )

    def regrouped(self, codes: Integers, head: Integers) -> StratifiedFrame:
        """Join strata: `codes` (H,) is the new one of each, `head` the old one that names it."""
        return replace(
            self,
            codes=codes[self.codes],
            names=tuple(self.names[h] for h in head),
            aquifers=tuple(self.aquifers[h] for h in head),
        )

    def with_fewer_strata(
        self, policy: ThinStrata, min_wells: int, at_most: int
    ) -> tuple[StratifiedFrame, pd.DataFrame]:
        """Join thin strata, as :func:`~.cuts.join_thin` says; with the table of what was joined.

        A joined stratum has the name of its largest one, and how many others are in it: ``浅层 | 管灌 | +3``.
        """
        size = len(self.names)
        volume = np.asarray(np.bincount(self.codes, self.volume, size), dtype=np.float64)
        energy = np.bincount(self.codes, self.energy, size)
        counts = np.bincount(self.codes, minlength=size).astype(np.int64)
        joined = join_thin(
            volume / energy, volume, counts, policy=policy, at_most=at_most, min_wells=min_wells, parent=self.aquifers
        )
        gone = np.setdiff1d(np.arange(size), joined.head)
        if gone.size == 0:
            return self, empty_table(MERGES_COLUMNS)
        more = np.bincount(joined.codes) - 1
        names = [self.names[h] + (f"{SEPARATOR}+{k}" if k else "") for h, k in zip(joined.head, more, strict=True)]
        merges = pd.DataFrame(
            {
                "stratum": pd.Series([self.names[h] for h in gone], dtype="str"),
                "merged_into": pd.Series([names[joined.codes[h]] for h in gone], dtype="str"),
                "n_wells": counts[gone],
                "coefficient_gap": joined.gap[gone],
            }
        )
        return replace(self.regrouped(joined.codes, joined.head), names=tuple(names)), merges

    def with_take_all(self, least_kwh: float, minimum: int) -> tuple[StratifiedFrame, Integers]:
        """Make a stratum of the biggest users, of whom all are taken."""
        biggest = self.energy >= least_kwh
        minima = np.full(len(self.names), minimum, dtype=np.int64)
        if not biggest.any():
            return self, minima
        name = f"必测大户（≥{least_kwh:.10g} kWh）"
        codes = np.where(biggest, len(self.names), self.codes)
        taken = replace(self, codes=codes, names=(*self.names, name), aquifers=(*self.aquifers, ""))
        left = np.unique(codes)
        place = np.cumsum(np.isin(np.arange(len(taken.names)), left)) - 1
        return taken.regrouped(place, left), np.append(minima, int(biggest.sum()))[left]

    def population(self, response: float) -> Population:
        """Give what the allocation sees: sizes, spreads and volumes, none of them zero."""
        spread = self.volume * self.anticipated.cv
        mean = np.bincount(self.codes, weights=spread) / np.bincount(self.codes)
        size = np.maximum(spread, _LEAST_SIZE * mean[self.codes])
        return Population(size, spread, self.volume, self.codes, response)

    def draw(
        self,
        probability: Floats,
        conditional: Floats,
        codes: Integers,
        pools: Sequence[Integers],
        network: NDArray[np.bool_],
    ) -> Draw:
        """Give what is drawn from the frame; see :class:`~.drawing.Draw`."""
        return Draw(
            wells=self.wells,
            energy=self.energy,
            volume=self.volume,
            codes=self.codes,
            names=self.names,
            probability=probability,
            conditional=conditional,
            draw_codes=codes,
            pools=pools,
            network=network,
        )

    def domain(self, name: str, target_cv: float) -> Domain:
        """Give a kind of totals: the county, the strata, or the values of a column."""
        if name == COUNTY:
            return Domain(name, (COUNTY,), np.zeros(len(self.wells), dtype=np.int64), target_cv)
        if name == STRATUM:
            return Domain(name, self.names, self.codes, target_cv)
        column = self.wells[name]
        codes, keys = pd.factorize(column.astype("str").where(column.notna(), UNKNOWN), sort=True)
        return Domain(name, tuple(map(str, keys)), codes.astype(np.int64), target_cv)


def _steady(values: Floats) -> Floats:
    """Drop the last digits, which hang on the order in which sums were formed and would draw other wells."""
    return np.asarray(np.round(values, _DECIMALS))
