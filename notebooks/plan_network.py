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
# # Planning a network of sample wells from nothing
#
# A county knows its wells and a year of electricity, and has measured no water yet. Which wells should be measured, how
# many, and what will that promise? Leave `FOLDER` empty for a synthetic county, or name a folder of your own.
# `elec2water design FOLDER --n 60` does the same and writes the same files.

# %% tags=["parameters"]
FOLDER = ""
N = 60
SEED = 2026
LANG = "en"  # labels of the figures: "zh" or "en"

# %%
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import elec2water as e2w
from elec2water.design.places import places_of
from elec2water.design.selection import generator_of
from elec2water.design.spatial import voronoi_balance
from elec2water.design.words import design_words
from elec2water.fieldwork.visits import visits_of
from elec2water.plot_design import precision_curve, sample_map

folder = Path(FOLDER) if FOLDER else e2w.demo(Path(tempfile.mkdtemp()) / "county", wells=600, seed=SEED)
if not FOLDER:  # nothing has been measured yet
    (folder / "inputs" / "pairs.csv").write_text("well_id,start,end,energy_kwh,volume_m3\n", encoding="utf-8")
    shutil.rmtree(folder / "design")
county = e2w.read_project(folder)
energy, _ = county.energy()
annual = energy.annual_kwh(energy.months[-1])

# %% [markdown]
# **The design.** The frame, strata cut where the anticipated variance of κ·E says, the allocation, the draw. With no
# pair measured, the coefficients are anticipated from published priors.

# %%
design, files = e2w.design(folder, n=N, seed=SEED)
design

# %% [markdown]
# **Who cannot be sampled**, and the energy that goes with them: no sample well speaks for these.

# %%
design.coverage

# %% [markdown]
# **What is believed before any measurement.** The coefficient anticipated in each stratum, and the head it means at an
# efficiency of 0.5, H = 367.1·η/κ: hold it against the setting depth of its pumps, and ask the county where they part.

# %%
believed = design.frame.merge(county.wells[["well_id", "pump_depth_m"]], on="well_id").groupby("stratum")
believed = believed[["coefficient_m3_per_kwh", "log_sd", "pump_depth_m"]].median()
believed.assign(head_m=367.1 * 0.5 / believed["coefficient_m3_per_kwh"]).round(2)

# %% [markdown]
# **How many wells?** The expected error of the county's volume against the number of wells; five a county, which rules
# ask for, is marked.

# %%
_ = precision_curve(design.curve, design_words(LANG))

# %%
design.curve.loc[design.curve["mark"] != ""]

# %% [markdown]
# **What is promised to each township and aquifer.**

# %%
design.precision.loc[design.precision["domain"] != "stratum"].round(3)

# %% [markdown]
# **Where they are.** Numbers are those of the field sheet.

# %%
visits = visits_of(design.sample, county.wells, meters=county.tables.meters, annual_kwh=annual.tolist())
_ = sample_map(visits, county.wells, lang=LANG)

# %% [markdown]
# **Is the sample spread, and balanced?** Against 200 random samples with the same probabilities: the Voronoi measure of
# Stevens and Olsen (less is better), and the energy that the weights give back for each aquifer.

# %%
frame = design.frame.merge(county.wells, on="well_id", how="left", suffixes=("", "_registry"))
places = places_of(frame, frame["energy_kwh"].to_numpy(), seed=SEED).coordinates
p = frame["inclusion_probability"].to_numpy()
rows = np.flatnonzero(frame["well_id"].isin(design.primary["well_id"]))
rng = generator_of(SEED, "notebook")
random = [voronoi_balance(p, places, np.flatnonzero(rng.random(p.size) < p)) for _ in range(200)]
given_back = (frame["energy_kwh"] / p).iloc[rows].groupby(frame["aquifer"]).sum() / frame.groupby("aquifer")[
    "energy_kwh"
].sum()
print(f"Voronoi: this sample {voronoi_balance(p, places, rows):.3f}, random ones {np.mean(random):.3f} on average")
pd.DataFrame({"energy by the weights / energy of the frame": given_back.round(3)})

# %% [markdown]
# **What goes to the field**: `field_sheet.xlsx` (list, protocol, a form for each well), `map.png`, `map.gpkg` for a
# GIS, and `report.html`, one page to print and sign.

# %%
[path.name for path in files]
