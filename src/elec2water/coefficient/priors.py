"""What is published of the slopes of ln κ, before the first pair."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def slope_priors() -> Mapping[str, Mapping[str, str]]:
    """Give the published prior of each slope, from ``data/priors.csv``, by name."""
    text = resources.files("elec2water").joinpath("data/priors.csv").read_text(encoding="utf-8")
    return {row["name"]: row for row in csv.DictReader(text.splitlines())}
