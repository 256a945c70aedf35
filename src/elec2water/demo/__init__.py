"""The synthetic county: a project folder with known truth, made from the physics of pumping."""

from elec2water.demo.county import County, true_wells, truth_totals
from elec2water.demo.facts import county_facts
from elec2water.demo.measuring import measure_pairs, measure_tests
from elec2water.demo.simulate import simulate_county
from elec2water.demo.writing import free_folder, random_sample, sample_pairs, write_county

__all__ = [
    "County",
    "county_facts",
    "free_folder",
    "measure_pairs",
    "measure_tests",
    "random_sample",
    "sample_pairs",
    "simulate_county",
    "true_wells",
    "truth_totals",
    "write_county",
]
