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
# # Extending a network of sample wells, and rotating it
#
# A county has sample wells that were drawn some time ago. It can pay for more, wells have been sealed since, and some
# should make room for others every year. The wells it has are kept, and every well of the county still has a known
# probability, so that the weights stay right. `elec2water design FOLDER --n 80 --extend`, or `--rotate 0.25`, does
# the same.

# %% tags=["parameters"]
FOLDER = ""
MORE = 20
ROTATE = 0.25
SEED = 2027
LANG = "en"

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import elec2water as e2w
from elec2water.design import Network
from elec2water.design.coordination import coordinate
from elec2water.fieldwork.visits import visits_of
from elec2water.planning import plan_sample
from elec2water.plot_design import sample_map

folder = Path(FOLDER) if FOLDER else e2w.demo(Path(tempfile.mkdtemp()) / "county", wells=500, seed=2026)
county = e2w.read_project(folder)
before = e2w.read_design(folder / "design")
before

# %% [markdown]
# Two of the sample wells are sealed in the meantime (in the synthetic county: we say so in the registry).

# %%
if not FOLDER:
    path = folder / "inputs" / "wells.csv"
    text = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    heading = next(name for name in text.columns if name in ("status", "运行状态"))
    key = next(name for name in text.columns if name in ("well_id", "取水口编号"))
    text.loc[text[key].isin(before.primary["well_id"].iloc[:2]), heading] = "封存"
    text.to_csv(path, index=False, encoding="utf-8-sig")
    county = e2w.read_project(folder)

# %% [markdown]
# **Extended**: all that are left are kept, and wells are added where they help most.

# %%
extended = plan_sample(county, n=len(before.primary) + MORE, extend=True, seed=SEED)
kept = extended.primary["well_id"].isin(before.primary["well_id"])
print(f"{len(before.primary)} before; {kept.sum()} kept, {(~kept).sum()} new: {len(extended.primary)} now")
afresh = plan_sample(county, n=len(before.primary), seed=SEED)  # the same anticipation: what the pairs at hand say
print(
    f"expected CV of the county's volume: {afresh.expected_cv:.1%} as large as before, {extended.expected_cv:.1%} now"
)
extended.findings.of(rule="DESIGN_SAMPLED_NOW_OUT").frame[["well_id", "observed", "message"]]

# %%
visits = visits_of(extended.sample, county.wells, meters=county.tables.meters)
visits["aquifer"] = np.where(visits["well_id"].isin(before.primary["well_id"]), "kept", "new")
_ = sample_map(visits, county.wells, lang=LANG)

# %% [markdown]
# **Rotated**: a quarter of the network makes room for others. A well that is certain stays, and so do some large ones.

# %%
rotated = plan_sample(county, n=len(before.primary), rotate=ROTATE, seed=SEED)
stay = rotated.primary["well_id"].isin(before.primary["well_id"])
print(f"{stay.sum()} of {len(before.primary)} stay, {(~stay).sum()} are new")
rotated

# %% [markdown]
# **Why the weights are right.** With π¹ the probability of a well under the old design and π under the new one, a well
# of the network stays with r = 1 − ρ and another enters with (π − π¹ r)/(1 − π¹); over both draws the probability is
# π, whatever design drew the old network. Here for every well of the frame, without any simulation:

# %%
old = (
    before.frame.set_index("well_id")["inclusion_probability"].reindex(rotated.frame["well_id"]).fillna(0.0).to_numpy()
)
new = rotated.frame["inclusion_probability"].to_numpy()
one = np.zeros(new.size, dtype=np.int64)
inside = coordinate(new, one, old > 0, old, rotate=ROTATE)
outside = coordinate(new, one, np.zeros(new.size, dtype=bool), old, rotate=ROTATE)
overall = old * np.where(old > 0, inside.conditional, 0.0) + (1 - old) * outside.conditional
print("largest difference from the stated probability:", float(np.abs(overall - new).max()))

# %% [markdown]
# **A network that was chosen, not drawn** (typical wells): nobody knows its probabilities. Its wells then speak for
# themselves alone, with weight one, and the wells drawn beside them estimate the others without bias.

# %%
annual = county.energy()[0].annual_kwh(county.energy()[0].months[-1])
typical = Network.chosen(county.wells.loc[county.wells["status"] == "in_use", "well_id"].head(5).tolist())
mixed = e2w.design_sample(county.wells, annual, county.strata, n=40, seed=SEED, network=typical, thin_strata="collapse")
mixed.primary.loc[mixed.primary["well_id"].isin(typical.well_id), ["well_id", "inclusion_probability", "weight"]]
