"""Columns of wells as the configuration names them: by their names, or by a heading that a registry gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from elec2water.config import Config
from elec2water.tables.headings import column_of

Value = TypeVar("Value")


def with_column_names(config: Config) -> Config:
    """Let strata, covariates, domains and targets name a column by any of its headings, as the tables do.

    Parameters
    ----------
    config : Config
        As it was written: ``by = ["含水层", "groundwater_depth_m"]``.

    Returns
    -------
    Config
        The same with the canonical names: ``aquifer``, ``water_depth_m``. What is no heading of wells stays as it is:
        a further column of the registry, ``stratum``, or a slip that is refused once the registry is read.
    """
    own = tuple(config.aliases.wells.items())
    strata, design, follow = config.strata, config.design, config.next

    def column(name: str) -> str:
        return column_of("wells", name, own) or name

    def columns(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column(name) for name in names))

    def keyed(values: Mapping[str, Value]) -> dict[str, Value]:
        return {column(name): value for name, value in values.items()}

    return config.model_copy(
        update={
            "strata": strata.model_copy(update={"by": columns(strata.by), "breaks": keyed(strata.breaks)}),
            "model": config.model.model_copy(update={"covariates": columns(config.model.covariates)}),
            "estimate": config.estimate.model_copy(update={"domains": columns(config.estimate.domains)}),
            "design": design.model_copy(
                update={
                    "by": None if design.by is None else columns(design.by),
                    "breaks": keyed(design.breaks),
                    "targets": keyed(design.targets),
                }
            ),
            "next": follow.model_copy(update={"weights": keyed(follow.weights)}),
        }
    )
