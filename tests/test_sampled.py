"""The design travels into the estimators: weights, strata, reserves and the policy for single wells."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from elec2water.design import Anticipated, design_sample, read_design, write_design
from elec2water.errors import UsageError
from elec2water.sampled import OUTSIDE, sampled_wells
from elec2water.strata import classify
from elec2water.survey import SampleDesign, design_totals, greg_totals


@dataclass
class Folder:
    """What `sampled_wells` needs of a county."""

    folder: object
    wells: pd.DataFrame
    strata: object


@pytest.fixture
def county(tmp_path):
    rng = np.random.default_rng(5)
    n = 200
    wells = pd.DataFrame(
        {
            "well_id": [f"w{i:03d}" for i in range(n)],
            "township": rng.choice(["a", "b"], n),
            "aquifer": rng.choice(["浅层", "深层"], n),
        }
    ).astype("str")
    energy = rng.lognormal(8, 0.6, n)
    strata = classify(wells, ["aquifer"])
    design = design_sample(wells, energy, strata, n=20, seed=1, lonely="certainty")
    write_design(design, tmp_path / "design")
    return Folder(tmp_path, wells, strata), design, energy


def rows(county, ids):
    return county.wells.index[county.wells["well_id"].isin(ids)].to_numpy()


def test_weights_strata_and_policy_are_those_of_the_design(county):
    folder, design, _ = county
    primary = design.primary.sort_values("well_id")
    drawn = sampled_wells(folder, rows(folder, primary["well_id"]))
    assert drawn.weights == pytest.approx(primary["weight"].to_numpy())
    assert drawn.strata.tolist() == primary["stratum"].tolist()
    assert drawn.lonely == "certainty"
    assert read_design(folder.folder / "design").policy["lonely"] == "certainty"


def test_a_measured_reserve_takes_the_place_of_the_well_it_stands_for(county):
    folder, design, _ = county
    reserve = design.reserves.iloc[0]
    ids = [
        *design.primary["well_id"].drop(design.primary.index[design.primary["well_id"] == reserve["stands_for"]]),
        reserve["well_id"],
    ]
    place = rows(folder, ids)
    drawn = sampled_wells(folder, place)
    by_id = dict(zip(folder.wells["well_id"].iloc[place], drawn.weights, strict=True))
    here = design.primary.loc[design.primary["stratum"] == reserve["stratum"]]
    before = here.loc[here["well_id"] != reserve["stands_for"], "weight"].sum() + reserve["weight"]
    assert by_id[reserve["well_id"]] == pytest.approx(reserve["weight"])
    assert sum(by_id[w] for w in here["well_id"] if w in by_id) + by_id[reserve["well_id"]] == pytest.approx(before)


def test_a_refusal_is_made_up_for_in_its_stratum_and_a_chosen_well_speaks_for_itself(county):
    folder, design, _ = county
    lost = design.primary["well_id"].iloc[0]
    stray = folder.wells.loc[~folder.wells["well_id"].isin(design.sample["well_id"]), "well_id"].iloc[0]
    place = rows(folder, [*design.primary["well_id"].iloc[1:], stray])
    drawn = sampled_wells(folder, place)
    ids = folder.wells["well_id"].iloc[place].to_numpy()
    assert drawn.weights[ids == stray].tolist() == [1.0]
    assert drawn.strata[ids == stray].tolist() == [OUTSIDE]
    assert drawn.weights[ids != stray].sum() == pytest.approx(design.primary["weight"].sum())
    assert lost not in ids


def test_without_a_design_wells_weigh_what_their_class_does(county, tmp_path):
    folder, *_ = county
    bare = Folder(tmp_path / "none", folder.wells, folder.strata)
    drawn = sampled_wells(bare, np.arange(10))
    assert drawn.weights.sum() == pytest.approx(len(folder.wells))
    assert drawn.lonely == "adjust"


def test_an_unknown_policy_is_refused(county):
    folder, design, _ = county
    path = folder.folder / "design" / "design.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts["policy"]["lonely"] = "drop"
    path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(UsageError, match="drop"):
        sampled_wells(folder, rows(folder, design.primary["well_id"]))


def test_the_strata_of_the_draw_form_the_standard_error(county):
    """Oracle: the GREG of the survey room on the sample described by the design's own strata and policy."""
    folder, design, energy = county
    place = rows(folder, design.primary["well_id"])
    sample = design.primary.set_index("well_id").loc[folder.wells["well_id"].iloc[place]]
    volume = energy[place] * np.random.default_rng(2).lognormal(1, 0.3, place.size)
    half = np.where(np.arange(place.size) % 2, "x", "y").astype(object)
    half[0] = "alone"
    everyone = {"county": np.full(len(energy), "c", dtype=object)}
    given = {
        "sample": place, "volume_m3": volume, "energy_kwh": energy, "weights": sample["weight"].to_numpy(),
        "strata": folder.strata, "domains": everyone,
    }  # fmt: skip
    for lonely in ("adjust", "certainty"):
        se = design_totals(**given, sample_strata=half, lonely=lonely).total("county").loc["c", "se_m3"]
        described = SampleDesign.of(
            given["weights"], half.astype(str), fraction=1 / np.maximum(given["weights"], 1), lonely=lonely
        )
        x = energy[:, None]
        known = x.sum(axis=0)[None]
        direct = greg_totals(described, volume, x[place], known, q=1 / energy[place], leverage=True)
        assert se == pytest.approx(float(np.ravel(direct.se)[0]), rel=1e-9)


def test_what_the_design_anticipated_of_every_well_goes_into_the_estimates(county):
    folder, design, _ = county
    known = design.frame.set_index("well_id")["coefficient_m3_per_kwh"]
    place = rows(folder, design.primary["well_id"])
    anticipated = sampled_wells(folder, place).anticipated
    assert anticipated == pytest.approx(known.reindex(folder.wells["well_id"]).to_numpy(), nan_ok=True)
    (folder.folder / "design" / "frame.csv").unlink()
    assert sampled_wells(folder, place).anticipated is None


def test_regression_on_the_anticipated_volumes_is_as_precise_as_the_design_said():
    """κ falls with depth as was anticipated, wells about it with 0.27: expected CV, stated and realised error agree."""
    rng = np.random.default_rng(3)
    n = 500
    depth = rng.uniform(20, 90, n)
    wells = pd.DataFrame({"well_id": [f"w{i:03d}" for i in range(n)], "township": "镇", "pump_depth_m": depth})
    wells = wells.astype({"well_id": "str", "township": "str"})
    energy = rng.lognormal(8, 0.7, n)
    kappa = 5 * (depth / 40) ** -0.8
    anticipated = Anticipated(kappa, np.full(n, 0.27), "simulated")
    strata = classify(wells.assign(aquifer="浅层"), ["aquifer"])
    errors, stated = {True: [], False: []}, {True: [], False: []}
    for seed in range(50):
        volume = energy * kappa * np.exp(0.27 * rng.standard_normal(n) - 0.27**2 / 2)
        design = design_sample(wells, energy, strata, n=40, seed=seed, anticipated=anticipated, method="random")
        primary = design.primary.set_index("well_id")
        place = np.flatnonzero(wells["well_id"].isin(primary.index))
        weights = primary["weight"].reindex(wells["well_id"].iloc[place]).to_numpy()
        for known, wrong in errors.items():
            total = design_totals(
                sample=place,
                volume_m3=volume[place],
                energy_kwh=energy,
                weights=weights,
                strata=strata,
                prediction=energy * kappa if known else None,
                domains={"county": np.full(n, "county")},
            ).total("county")
            wrong.append(total["volume_m3"].iloc[0] / volume.sum() - 1)
            stated[known].append(total["se_m3"].iloc[0] / volume.sum())
    rmse = {known: np.sqrt(np.mean(np.square(e))) for known, e in errors.items()}
    assert rmse[True] < 0.85 * rmse[False]
    assert rmse[True] == pytest.approx(design.expected_cv, rel=0.3)
    assert np.mean(stated[True]) == pytest.approx(rmse[True], rel=0.3)
