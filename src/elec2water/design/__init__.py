"""Who is measured: a stratified sample of wells, probability proportional to last year's energy.

``design_sample`` draws it, ``write_design`` and ``read_design`` carry it to and from ``design/``.
"""

from elec2water.design.allocation import Allocation, allocate
from elec2water.design.files import read_design, read_sample, write_design
from elec2water.design.sample import Design, design_sample
from elec2water.design.selection import inclusion_probabilities, systematic_pps

__all__ = [
    "Allocation",
    "Design",
    "allocate",
    "design_sample",
    "inclusion_probabilities",
    "read_design",
    "read_sample",
    "systematic_pps",
    "write_design",
]
