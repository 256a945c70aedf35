"""Who is measured: a stratified sample of wells, probability proportional to the anticipated spread of their volumes.

``design_sample`` draws it, ``write_design`` and ``read_design`` carry it to and from ``design/``.
"""

from elec2water.design.allocation import Allocation, allocate, inclusion_probabilities
from elec2water.design.anticipated import Anticipated, constant, learned, published
from elec2water.design.cuts import design_strata, optimal_breaks
from elec2water.design.files import (
    CHOSEN,
    read_anticipated,
    read_chosen,
    read_design,
    read_policy,
    read_sample,
    write_design,
)
from elec2water.design.multidomain import Bounds, cv_bounds, smallest_sample
from elec2water.design.network import Network
from elec2water.design.plan import Budget
from elec2water.design.result import Design
from elec2water.design.sample import design_sample
from elec2water.design.selection import systematic_pps

__all__ = [
    "CHOSEN",
    "Allocation",
    "Anticipated",
    "Bounds",
    "Budget",
    "Design",
    "Network",
    "allocate",
    "constant",
    "cv_bounds",
    "design_sample",
    "design_strata",
    "inclusion_probabilities",
    "learned",
    "optimal_breaks",
    "published",
    "read_anticipated",
    "read_chosen",
    "read_design",
    "read_policy",
    "read_sample",
    "smallest_sample",
    "systematic_pps",
    "write_design",
]
