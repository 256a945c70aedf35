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
# # A first tour: from a county folder to the totals of a quarter
#
# Ten cells. Leave `FOLDER` empty for a synthetic county in a temporary folder, or name a folder of your own
# (README: "Your own county"). The batch job `elec2water run FOLDER --quarter 2026Q3` gives the same numbers
# in a folder without earlier releases; with one, it starts from that coefficient.

# %% tags=["parameters"]
FOLDER = ""
QUARTER = "2026Q3"
LANG = "en"  # labels of the figures: "zh" or "en"

# %%
import tempfile
from pathlib import Path

import elec2water as e2w

folder = Path(FOLDER) if FOLDER else e2w.demo(Path(tempfile.mkdtemp()) / "county", wells=300, seed=2026)
county = e2w.read_project(folder)
county.wells.head()

# %% [markdown]
# What was found wrong with the tables, each kind with its count and the first rows. Errors would refuse a run; warnings
# and notes go into the release.

# %%
county.findings

# %% [markdown]
# Who should be measured? A stratified sample, with probability proportional to how uncertain each well's volume is
# beforehand, which grows with last year's energy.

# %%
energy, energy_findings = county.energy()
annual = energy.annual_kwh(energy.months[-1])
design = e2w.design_sample(county.wells, annual, county.strata, n=40, seed=2026, thin_strata="collapse")
design

# %% [markdown]
# What a kWh is worth: the coefficient of every class that has sample wells. Printing it shows the standard deviations
# of ln κ that the fit found.

# %%
coefficient = e2w.fit_coefficient(county.pairs, county.wells, county.water_levels, energy=energy)
print(coefficient)
coefficient

# %%
_ = coefficient.plot(lang=LANG)
# %% [markdown]
# What was pumped: every well of the quarter, and any domain with the error that its wells share.

# %%
volume = e2w.estimate_volume(coefficient, energy, quarter=QUARTER, wells=county.wells, water_levels=county.water_levels)
volume.table("township")

# %%
_ = volume.plot("township", county.wells["township"], lang=LANG)
# %% [markdown]
# Can it be believed? Wells are held out in turn and forecast from the others; then the last season is.

# %%
validation = e2w.validate_coefficient(county.pairs, county.wells, county.water_levels, energy=energy, folds=5)
_ = validation.plot(lang=LANG)
validation

# %% [markdown]
# The whole quarter as the batch job does it: check, fit, estimate, publish. The folder holds `totals.csv`,
# `wells.parquet`, `coefficients.csv`, `findings.csv` and a manifest, and is never changed afterwards.

# %%
run = e2w.run(folder, quarter=QUARTER)
print(run.release.folder)
run
