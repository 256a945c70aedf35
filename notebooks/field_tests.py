# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Real field tests: how well are untested wells predicted?
#
# 168 irrigation wells at Baicheng, Jilin, whose conversion coefficient was measured by a pumping test. Wells are left
# out in turn and predicted from the others, by elec2water and by what offices and papers use. The comparison itself is
# `benchmarks/field_tests.py`, where its numbers for the documentation are made.
#
# The tests are public but have no licence, so they are not in this repository. There are no dates, no kWh and no
# volumes: a cross-section, which says something about prediction and nothing about updating.

# %% tags=["parameters"]
TESTS = ""  # file of the tests; if empty, ELEC2WATER_FIELD_TESTS or ../../shared/data/field_tests/baicheng.csv
REPEATS = 2
LANG = "en"  # labels of the figures: "zh" or "en"

# %%
import sys
from pathlib import Path

root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "benchmarks" / "field_tests.py").exists())
sys.path.insert(0, str(root / "benchmarks"))

import field_tests
from elec2water import FitOptions, fit_coefficient, plot

path = field_tests.path_of_tests(TESTS)
tests = field_tests.read_tests(path) if path.exists() else None
if tests is None:
    print(field_tests.absent(path))
None if tests is None else tests.describe().round(2)

# %% [markdown]
# A test becomes a pair of the contract (`kind` = `test`, one kWh and the water it lifted); the depth to water becomes a
# row of `water_levels`; township and aquifer say nothing here, as all wells are in one district.

# %%
if tests is not None:
    wells, pairs, levels = field_tests.contract_tables(tests)
    options = FitOptions(strata_by=("groundwater_depth_m",), strata_classes=field_tests.CLASSES)
    coefficient = fit_coefficient(pairs, wells, levels, options=options)
    print(coefficient)
    coefficient.plot(lang=LANG)

# %% [markdown]
# The standard deviation of a well's level, 0.38 in ln κ, is what depth, power, head and age do not explain. No method
# that sees only these can do much better: wells that differ so much allow an error of some 27 % of the mean.
#
# ## Wells left out
#
# `mean of |error|/κ` weighs every well alike and punishes overshooting a poor well; `Σ|error|/Σκ` is what counts in a
# volume. All forecasts are means, since volumes are sums; a median would lower the first figure by some two points
# and read low in every total.

# %%
if tests is not None:
    forecasts = field_tests.cross_validate(tests, field_tests.METHODS, repeats=REPEATS)
None if tests is None else (100 * field_tests.scores(forecasts).set_index("method")).round(1)

# %% [markdown]
# The depth classes and the forest give no interval. Least squares gives one that is good here, with 150 wells and few
# regressors; it has none for a sum of wells.

# %%
if tests is not None:
    left_out = field_tests.held_out(forecasts)
    plot.observed_predicted(left_out, lang=LANG)
    plot.pit(left_out, lang=LANG)

# %% [markdown]
# ## With few tested wells
#
# An office has ten or twenty tests, not 150. Twenty wells are drawn and the rest are predicted, again and again. Here
# the priors from physics and published tests earn their keep.

# %%
if tests is not None:
    few = field_tests.few_wells(tests, field_tests.METHODS, n=20, repeats=10 * REPEATS)
None if tests is None else (100 * field_tests.scores(few).set_index("method")).round(1)
