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
# # Four years of a county, quarter by quarter
#
# A synthetic county with known truth. Sixty wells are measured in the first year. After that there are only electricity
# bills, water levels and the registry: does the coefficient follow the wells? And what is it worth to test again?

# %% tags=["parameters"]
SEED = 2027
WELLS = 300
LANG = "en"  # labels of the figures: "zh" or "en"

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import elec2water as e2w
from elec2water.demo import measure_pairs, measure_tests, simulate_county
from elec2water.energy import MonthlyEnergy
from elec2water.waterfall import news as draw_news

county = simulate_county(WELLS, SEED, months=60, end_quarter="2026Q4")
kwh = np.where(county.electric[:, None], np.asarray(county.energy_kwh, dtype=float), np.nan)
energy = MonthlyEnergy(county.well_id, county.months, kwh, 0 * kwh, np.full(kwh.shape, "A"))
county

# %% [markdown]
# The first year: sixty wells drawn by the design, read every month.

# %%
first_year = energy.window(county.months[0], county.months[11])
annual = first_year.annual_kwh(county.months[11])
strata = e2w.classify(county.wells, e2w.FitOptions().strata_by)
design = e2w.design_sample(county.wells, annual, strata, n=60, seed=SEED, thin_strata="collapse")
chosen = design.primary["well_id"].to_numpy(dtype=object)
pairs = measure_pairs(county, chosen, first=county.months[0], last=county.months[11], seed=SEED)
known = {"wells": county.wells, "water_levels": county.water_levels}
fitted = e2w.fit_coefficient(pairs, *known.values(), energy=first_year)
fitted

# %% [markdown]
# Every quarter since, three ways: the coefficient of year one held for ever, the coefficient carried forward (water
# levels, wear, new pumps in the registry), and the truth.

# %%
kappa = pairs.groupby("well_id")[["volume_m3", "energy_kwh"]].sum()
held = kappa["volume_m3"].sum() / kappa["energy_kwh"].sum()
rows = []
coefficient = fitted
for quarter in [f"{year}Q{k}" for year in range(2023, 2027) for k in (2, 3)]:
    columns = county.months_of(quarter)
    last = county.months[columns[-1]]
    until_now = energy.window(county.months[0], last)
    coefficient = coefficient.update(energy=until_now, until=last, with_news=False, **known)
    total = e2w.estimate_volume(coefficient, until_now, quarter=quarter, **known).county
    rows.append(
        {
            "quarter": quarter,
            "truth": county.volume_m3[county.electric][:, columns].sum(),
            "fixed": held * np.nansum(kwh[:, columns]),
            "updated": total.volume_m3[0],
            "lower": total.lower_m3[0],
            "upper": total.upper_m3[0],
        }
    )
table = pd.DataFrame(rows).set_index("quarter")
error = 100 * (table[["fixed", "updated"]].div(table["truth"], axis=0) - 1)
error.round(1).assign(inside=table["truth"].between(table["lower"], table["upper"]))

# %%
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
relative = 100 * (table[["lower", "upper"]].div(table["truth"], axis=0) - 1)
ax.fill_between(range(len(table)), relative["lower"], relative["upper"], color="#d8d8d8", label="90 % interval")
ax.plot(error["updated"].to_numpy(), color="#1a1a1a", marker="o", label="updated")
ax.plot(error["fixed"].to_numpy(), color="#6b6b6b", marker="s", linestyle="--", label="fixed in year one")
ax.axhline(0, color="black", linewidth=0.8)
ax.set_xticks(range(len(table)), table.index, fontsize=8)
ax.set_ylabel("error of the county total (%)")
_ = ax.legend(frameon=False, fontsize=8)

# %% [markdown]
# What moved each class of wells since the fit: the steps add up to the last digit.

# %%
now = fitted.update(energy=energy, until=county.months[-1], **known)
now.news.round(3)

# %%
_ = draw_news(now.news, domain="stratum", lang=LANG)

# %% [markdown]
# Which wells to test next, as a set, and what each test is worth: its cost per m³ of standard error that it takes away.

# %%
volume = e2w.estimate_volume(coefficient, energy, quarter="2026Q3", **known)
plan = e2w.next_tests(coefficient, volume, county.wells, n=10, costs=e2w.Costs(well=300, visit=800))
columns = ["well_id", "cost", "se_before_m3", "se_after_m3", "cost_per_m3"]
plan.wells[columns].round(2)

# %% [markdown]
# Is the choice worth anything? Ten wells by `next`, ten at random (three times), and the ten sample wells tested
# longest ago: each set is tested, the coefficient updated, and its cost (300 a test, 800 a township visited) set
# against the standard error of the county's total that it takes away.

# %%
read = pairs.groupby("well_id")["end"].max().sort_values(kind="stable")
able = county.well_id[county.electric & (volume.wells.kwh > 0)]
rng = np.random.default_rng(SEED)
ways = {"next": plan.wells["well_id"].to_numpy(dtype=object)}
ways |= {f"random {k + 1}": rng.choice(able, 10, replace=False) for k in range(3)}
ways["oldest"] = read[read.index.isin(able)].index[:10].to_numpy(dtype=object)
before = volume.county.se_m3[0]


def worth(wells):
    """Cost of testing some wells, and the standard error of the county [m³] that it takes away."""
    found = measure_tests(county, wells, month=county.months[-4], seed=SEED)
    learned = coefficient.update(found, energy=energy, until=county.months[-1], with_news=False, **known)
    towns = county.wells.set_index("well_id").loc[wells, "township"].nunique()
    removed = before - e2w.estimate_volume(learned, energy, quarter="2026Q3", **known).county.se_m3[0]
    return {"cost": 300 * len(wells) + 800 * towns, "removed_m3": removed}


compared = pd.DataFrame({way: worth(wells) for way, wells in ways.items()}).T
compared["cost_per_m3"] = compared["cost"] / compared["removed_m3"].where(compared["removed_m3"] > 0)
compared.round(2)

# %% [markdown]
# The ten wells are tested; the coefficient learns, and the interval shrinks.

# %%
tests = measure_tests(county, plan.wells["well_id"].to_numpy(dtype=object), month=county.months[-4], seed=SEED)
tested = coefficient.update(tests, energy=energy, until=county.months[-1], **known)
after = e2w.estimate_volume(tested, energy, quarter="2026Q3", **known)
pd.DataFrame(
    {
        "volume_m3": [v.county.volume_m3[0] for v in (volume, after)],
        "se_m3": [v.county.se_m3[0] for v in (volume, after)],
        "truth_m3": table.loc["2026Q3", "truth"],
    },
    index=["before the tests", "after ten tests"],
).round(0)
