"""The sample design: probabilities against brute force and closed forms; nothing depends on row order."""

import itertools
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.design import (
    Anticipated,
    Bounds,
    Budget,
    Network,
    allocate,
    constant,
    cv_bounds,
    design_sample,
    files,
    inclusion_probabilities,
    optimal_breaks,
    read_design,
    read_sample,
    smallest_sample,
    systematic_pps,
    write_design,
)
from elec2water.design.allocation import Curve
from elec2water.design.reserves import choose_reserves
from elec2water.design.selection import spread_order, uniform_of
from elec2water.errors import UsageError
from elec2water.joining import collapse, join_nearest
from elec2water.strata import classify, natural_breaks

SIZES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=40)


def county(n=300, seed=2):
    rng = np.random.default_rng(seed)
    wells = pd.DataFrame(
        {
            "well_id": [f"{i:04d}" for i in range(n)],
            "township": rng.choice(["东阳镇", "西河乡", "南庄镇"], n),
            "aquifer": rng.choice(["浅层", "深层"], n, p=[0.7, 0.3]),
            "pump_power_kw": rng.choice([5.5, 7.5, 11.0, 22.0], n),
            "pump_depth_m": np.exp(rng.normal(4.0, 0.4, n)),
            "power_source": rng.choice(["grid", "diesel", "solar"], n, p=[0.9, 0.06, 0.04]),
            "status": rng.choice(["in_use", "sealed", "abandoned"], n, p=[0.92, 0.05, 0.03]),
        }
    ).astype({"well_id": "str", "township": "str"})
    energy = np.exp(rng.normal(8.5, 0.9, n))
    energy[rng.random(n) < 0.05] = 0.0
    energy[rng.random(n) < 0.03] = np.nan
    return wells, energy


def drawn(n=40, **arguments):
    wells, energy = county()
    strata = classify(wells, ["aquifer", "pump_depth_m"], classes=2)
    return design_sample(wells, energy, strata, **{"n": n, "seed": 7} | arguments), wells, energy


@settings(max_examples=150, deadline=None)
@given(SIZES, st.data())
def test_probabilities_sum_to_n_and_are_proportional_to_size_below_one(sizes, data):
    size = np.array(sizes)
    n = data.draw(st.integers(1, size.size))
    p = inclusion_probabilities(size, n)
    assert p.sum() == pytest.approx(n, rel=1e-9)
    assert (p > 0).all()
    assert p.max() <= 1 + 1e-9
    below = p < 1
    if below.any():
        ratio = p[below] / size[below]
        assert ratio == pytest.approx(ratio[0], rel=1e-9)
        assert (size[~below] * ratio[0] >= 1 - 1e-6).all()


@settings(max_examples=150, deadline=None)
@given(SIZES, st.floats(0, 1, exclude_max=True), st.data())
def test_a_systematic_draw_has_n_distinct_units_and_all_that_are_certain(sizes, start, data):
    n = data.draw(st.integers(1, len(sizes)))
    p = inclusion_probabilities(np.array(sizes), n)
    hit = systematic_pps(p, start)
    assert np.unique(hit).size == hit.size == n
    assert set(np.flatnonzero(p >= 1)) <= set(hit)


def test_empirical_inclusion_probabilities_agree_with_the_stated_ones():
    """4,000 seeds: each frequency within 4.5 binomial standard errors of its probability, and χ² as it should be."""
    rng = np.random.default_rng(11)
    size = rng.gamma(0.8, 1.0, 30) + 0.05
    township = rng.choice(["a", "b", "c", "d"], size.size).tolist()
    p = inclusion_probabilities(size, 8)
    draws = 4_000
    count = np.zeros(size.size)
    for seed in range(draws):
        along = spread_order(township, size, seed)
        count[along[systematic_pps(p[along], uniform_of(seed, "start", "stratum"))]] += 1
    z = (count / draws - p)[p < 1] / np.sqrt(p * (1 - p) / draws)[p < 1]
    assert np.abs(z).max() < 4.5
    assert (z**2).mean() < 2.0
    assert (count[p >= 1] == draws).all()


def test_the_systematic_draw_is_exactly_unbiased_over_all_starts():
    """Oracle: integrate the draw over the start; the measure of the starts that hit a unit is its probability."""
    p = inclusion_probabilities(np.array([5.0, 1.0, 2.0, 9.0, 3.0, 0.5, 2.5]), 3)
    starts = (np.arange(20_000) + 0.5) / 20_000
    count = np.zeros(p.size)
    for start in starts:
        count[systematic_pps(p, start)] += 1
    assert count / starts.size == pytest.approx(p, abs=2e-4)


def brute_force_allocation(energy, codes, n, minimum):
    groups = [np.sort(energy[codes == h]) for h in range(codes.max() + 1)]

    def variance(group, m):
        p = inclusion_probabilities(group, m)
        return (group**2 * (1 / p - 1)).sum()

    ranges = [range(min(minimum, g.size), g.size + 1) for g in groups]
    fits = [sizes for sizes in itertools.product(*ranges) if sum(sizes) == n]
    return min(sum(variance(g, m) for g, m in zip(groups, sizes, strict=True)) for sizes in fits)


@pytest.mark.parametrize("seed", range(6))
def test_the_allocation_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    codes = np.sort(np.concatenate([np.arange(3), rng.integers(0, 3, 15)]))
    energy = rng.lognormal(8, 1.2, codes.size)
    for n in (3, 7, 11, 17, 18):
        minimum = 2 if n > 6 else 1
        got = allocate(energy, codes, n=n, minimum=minimum)
        assert got.n_sample.sum() == n
        best = brute_force_allocation(energy, codes, n, minimum)
        assert got.variance.sum() / math.expm1(0.35**2) == pytest.approx(best, rel=1e-9, abs=1e-6 * energy.sum())


def test_large_strata_get_shares_of_neyman():
    """Cochran (1977) eq. 5.26: n_h ∝ W_h S_h; here S of κE under draws ∝ E is the sum of energy."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(3), 20_000)
    energy = rng.lognormal(0, 0.5, codes.size) * np.array([1.0, 2.0, 5.0])[codes]
    share = np.bincount(codes, weights=energy) / energy.sum()
    assert allocate(energy, codes, n=800).n_sample / 800 == pytest.approx(share, abs=2e-3)


def test_the_expected_cv_is_that_of_the_estimator_in_simulation():
    """Wells with κ of log-sd 0.35, drawn again and again: the HT total's CV is the one promised, within 10 %."""
    rng = np.random.default_rng(4)
    energy = rng.lognormal(8, 0.7, 200)
    promised = allocate(energy, np.zeros(200, dtype=np.int64), n=20, log_sd=0.35).total_cv
    p = inclusion_probabilities(energy, 20)
    errors = []
    for _ in range(3_000):
        volume = energy * rng.lognormal(0, 0.35, 200)
        shuffled = rng.permutation(200)
        hit = shuffled[systematic_pps(p[shuffled], rng.random())]
        errors.append((volume[hit] / p[hit]).sum() - volume.sum())
    mean = energy.sum() * math.exp(0.35**2 / 2)
    assert np.std(errors) / mean == pytest.approx(promised, rel=0.1)


def test_variance_is_convex_and_ends_at_zero():
    energy = np.random.default_rng(8).lognormal(8, 1.5, 25)
    falling = np.sort(energy)[::-1]
    curve = Curve(falling, falling)
    values = np.array([curve.variance(n) for n in range(1, 26)])
    assert values[-1] == 0.0
    assert (np.diff(values) < 1e-9).all()
    assert (np.diff(values, 2) > -1e-6 * values[0]).all()


def test_target_cv_takes_the_fewest_wells_that_reach_it():
    design, *_ = drawn(n=None, target_cv=0.05)
    n = len(design.primary)
    assert design.expected_cv <= 0.05
    assert drawn(n=n - 1)[0].expected_cv > 0.05
    pd.testing.assert_frame_equal(design.sample, drawn(n=n)[0].sample)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_draws_the_same_wells_whatever_the_order_of_rows(seed):
    wells, energy = county(150)
    order = np.random.default_rng(seed).permutation(len(wells))
    by = ["aquifer", "pump_depth_m"]
    straight = design_sample(wells, energy, classify(wells, by), n=30, seed=seed)
    mixed = wells.iloc[order]
    shuffled = design_sample(mixed, energy[order], classify(mixed, by), n=30, seed=seed)
    for name in ("sample", "allocation", "coverage", "excluded"):
        pd.testing.assert_frame_equal(getattr(straight, name), getattr(shuffled, name))
    assert not straight.sample.equals(design_sample(wells, energy, classify(wells, by), n=30, seed=seed + 1).sample)


def test_wells_that_cannot_be_sampled_are_reported_with_their_energy():
    design, wells, energy = drawn()
    out = wells["power_source"].ne("grid") | wells["status"].ne("in_use") | ~(energy > 0)
    assert sorted(design.excluded["well_id"]) == sorted(wells.loc[out, "well_id"])
    assert set(design.sample["well_id"]).isdisjoint(design.excluded["well_id"])
    assert design.coverage["n_wells"].sum() == len(wells)
    assert design.coverage["energy_kwh"].sum() == pytest.approx(np.nansum(energy))
    assert design.coverage["energy_share"].sum() == pytest.approx(1)
    assert design.allocation["n_wells"].sum() == (~out).sum()
    assert len(design.findings.of(rule="DESIGN_EXCLUDED")) == len(design.coverage) - 1


def test_probabilities_are_proportional_to_the_anticipated_spread_within_strata():
    """Capped at one, and not below a tenth of the mean: an idle well may be busy next year."""
    design, *_ = drawn()
    frame = design.frame
    assert frame["well_id"].is_monotonic_increasing
    for name, group in frame.groupby("stratum"):
        size = np.maximum(group["size"], 0.1 * group["size"].mean()).to_numpy()
        n = design.allocation.set_index("stratum").loc[name, "n_sample"]
        assert group["inclusion_probability"].to_numpy() == pytest.approx(inclusion_probabilities(size, n))
    volume = frame["energy_kwh"] * frame["coefficient_m3_per_kwh"]
    assert frame["size"].to_numpy() == pytest.approx(volume * np.sqrt(np.expm1(frame["log_sd"] ** 2)))
    stated = design.sample.merge(frame, on="well_id")
    assert stated["inclusion_probability_x"].to_numpy() == pytest.approx(stated["inclusion_probability_y"])


def test_wells_that_are_all_alike_weigh_up_to_the_energy_exactly():
    wells, energy = county()
    energy = np.clip(energy, 2_000.0, None)
    alike = constant(len(wells))
    design = design_sample(wells, energy, classify(wells, ["aquifer"]), n=40, seed=7, anticipated=alike)
    kwh = pd.Series(energy, index=wells["well_id"])
    primary = design.primary
    estimate = (primary["weight"] * kwh[primary["well_id"]].to_numpy()).sum()
    assert estimate == pytest.approx(design.coverage.set_index("reason").loc["in_frame", "energy_kwh"])
    assert design.allocation["n_sample"].sum() == len(primary) == 40
    assert design.allocation["n_sample"].min() >= 2


def test_reserves_resemble_the_primary_wells_in_turn():
    features = np.array([[0.0], [10.0], [0.2], [0.3], [10.1], [5.0]])
    chosen = choose_reserves(features, np.zeros(6, dtype=np.int64), np.array([1, 0]), np.array([3]))
    assert chosen.rows.tolist() == [4, 2, 5]
    design, *_ = drawn(reserve_ratio=0.5)
    per_stratum = design.reserves.groupby("stratum")["order"]
    assert (per_stratum.max() == per_stratum.size()).all()
    assert (per_stratum.size() == np.ceil(design.primary.groupby("stratum").size() / 2)).all()
    assert design.sample["well_id"].is_unique
    assert len(drawn(reserve_ratio=0.0)[0].reserves) == 0


AS_ROUNDED = {"rtol": 1e-9, "atol": 5.1e-9}  # energy, of three decimals in these counties, comes back whole


def test_the_files_of_a_design_round_as_decimal_arithmetic_does(tmp_path, monkeypatch):
    """Digits beyond what is meant are those of the machine: its sums would differ on another one."""
    wells, energy = county()
    energy = energy / 3.0
    design = design_sample(wells, energy, classify(wells, ["aquifer"]), n=60, seed=1)
    decimals = {"energy_kwh": 3, "inclusion_probability": 12, "weight": 9}
    for many in (files._MANY_ROWS, 10):
        monkeypatch.setattr(files, "_MANY_ROWS", many)
        write_design(design, tmp_path)
        for name in ("sample", "frame", "allocation", "coverage", "excluded", "precision", "curve", "merges"):
            table = getattr(design, name)
            text = pd.read_csv(tmp_path / f"{name}.csv", dtype=str, encoding="utf-8-sig", keep_default_na=False)
            for column in table.columns[table.dtypes == np.float64]:
                unit = Decimal(1).scaleb(-decimals.get(column, 8))
                for exact, written in zip(table[column], text[column], strict=True):
                    meant = "" if np.isnan(exact) else Decimal(exact).quantize(unit)
                    assert meant == (written and Decimal(written)), (name, column)
    sample = read_design(tmp_path).sample
    np.testing.assert_allclose(sample["weight"] * sample["inclusion_probability"], 1.0, rtol=1e-8)


def test_a_design_comes_back_as_it_was_written(tmp_path):
    wells, energy = county()
    energy = np.round(energy, 3)
    wells.loc[:1, "well_id"] = ["NA", "0012x"]
    strata = classify(wells, ["aquifer"])
    design = design_sample(wells, energy, strata, n=200, seed=1)
    write_design(design, tmp_path / "design")
    again = read_design(tmp_path / "design")
    for name in ("sample", "allocation", "coverage", "excluded", "precision", "curve"):
        pd.testing.assert_frame_equal(getattr(design, name), getattr(again, name), **AS_ROUNDED)
    assert (again.seed, again.policy) == (design.seed, design.policy)
    assert again.expected_cv == pytest.approx(design.expected_cv, abs=5e-9)
    assert (tmp_path / "design" / "sample.csv").read_bytes().startswith(b"\xef\xbb\xbfwell_id,")
    first = {path.name: path.read_bytes() for path in (tmp_path / "design").iterdir()}
    write_design(again, tmp_path / "design")
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "design").iterdir()}


def test_a_large_design_is_read_as_a_small_one_and_its_faults_are_named(tmp_path, monkeypatch):
    wells, energy = county()
    wells.loc[:1, "well_id"] = ["NA", "0012x"]
    write_design(design_sample(wells, energy, classify(wells, ["aquifer"]), n=60, seed=1), tmp_path)
    small = read_design(tmp_path)
    monkeypatch.setattr(files, "_MANY_BYTES", 0)
    large = read_design(tmp_path)
    for name in ("sample", "allocation", "coverage", "excluded", "precision", "curve", "frame", "merges"):
        pd.testing.assert_frame_equal(getattr(small, name), getattr(large, name))
    whole = (tmp_path / "frame.csv").read_text("utf-8-sig")
    for damaged, text in (
        (whole.rsplit(",", 1)[0], r"frame\.csv, row \d+: expected 7 cells, found 6"),
        (whole.replace("log_sd", "sd"), "lacks the columns.*log_sd"),
        (whole.replace(whole.splitlines()[3].split(",")[2], "many", 1), "column energy_kwh"),
    ):
        (tmp_path / "frame.csv").write_text(damaged, encoding="utf-8")
        with pytest.raises(UsageError, match=text):
            read_design(tmp_path)


def test_a_write_that_fails_leaves_the_old_design(tmp_path, monkeypatch):
    design, *_ = drawn()
    write_design(design, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    calls = itertools.count()

    def full(descriptor):
        if next(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_design(drawn(n=60)[0], tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"sample\.csv"):
        read_design(tmp_path)
    write_design(drawn()[0], tmp_path)
    (tmp_path / "allocation.csv").write_text("stratum,n_wells\n", encoding="utf-8")
    with pytest.raises(UsageError, match="n_sample"):
        read_design(tmp_path)
    (tmp_path / "allocation.csv").write_text("stratum,n_wells,n_sample,expected_cv\na,1,x,0\n", encoding="utf-8")
    with pytest.raises(UsageError, match="n_sample"):
        read_design(tmp_path)


def test_a_well_that_is_listed_twice_is_named(tmp_path):
    write_design(drawn()[0], tmp_path)
    path = tmp_path / "sample.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[1]]))
    for read in (read_design, read_sample):
        with pytest.raises(UsageError, match=rf"row {len(lines) + 1}.*twice"):
            read(tmp_path)


def test_too_few_wells_relax_the_minimum_or_collapse_strata():
    wells, energy = county()
    strata = classify(wells, ["aquifer", "pump_depth_m"], classes=3)
    h = len(strata.cells)
    relaxed = design_sample(wells, energy, strata, n=h + 1, seed=1)
    assert relaxed.allocation["n_sample"].min() == 1
    assert len(relaxed.findings.of(rule="DESIGN_MINIMUM_RELAXED")) == (relaxed.allocation["n_sample"] < 2).sum()
    with pytest.raises(UsageError, match="number of strata"):
        design_sample(wells, energy, strata, n=h - 1, seed=1)
    collapsed = design_sample(wells, energy, strata, n=3, seed=1, thin_strata="collapse")
    assert collapsed.allocation["n_sample"].tolist() == [1, 1, 1]
    more = collapsed.allocation["stratum"].str.extract(r" \| \+(\d+)$")[0].fillna("0").astype(int)
    assert more.tolist() == [
        (collapsed.merges["merged_into"] == name).sum() for name in collapsed.allocation["stratum"]
    ]
    assert len(collapsed.findings.of(rule="DESIGN_STRATA_COLLAPSED")) == h - 3
    assert {name.split(" | ")[0] for name in collapsed.allocation["stratum"]} == {"浅层", "深层"}


def test_collapse_keeps_to_the_parent_until_none_is_left():
    assert collapse([5, 1, 1, 9], minimum=2, parent=["a", "a", "b", "b"]).tolist() == [0, 0, 1, 1]
    assert collapse([5, 0, 4, 9], minimum=2).tolist() == [0, 1, 1, 2]
    assert collapse([1, 1], minimum=5).tolist() == [0, 0]
    assert collapse([4, 3, 2, 1], at_most=2).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n": 10_000}, "larger than"),
        ({"target_cv": 0.05}, "not both"),
        ({"n": None}, "either n"),
        ({"n": None, "target_cv": -0.05}, "target_cv"),
        ({"anticipated_log_sd": 0.0}, "anticipated_log_sd"),
        ({"reserve_ratio": -1.0}, "reserve_ratio"),
    ],
)
def test_wrong_arguments_are_named(change, text):
    with pytest.raises(UsageError, match=text):
        drawn(**change)


def test_frames_that_cannot_be_sampled_are_refused():
    wells, energy = county()
    strata = classify(wells, ["aquifer"])
    with pytest.raises(UsageError, match="no well can be sampled"):
        design_sample(wells, np.zeros(len(wells)), strata, n=10, seed=1)
    with pytest.raises(UsageError, match="shape"):
        design_sample(wells, energy[:-1], strata, n=10, seed=1)
    with pytest.raises(UsageError, match="township"):
        design_sample(wells.drop(columns="township"), energy, strata, n=10, seed=1)
    wells.loc[3, "well_id"] = "0001"
    with pytest.raises(UsageError, match="0001"):
        design_sample(wells, energy, strata, n=10, seed=1)


def brute_force_bounds(bounds, upper):
    best = None
    for n in itertools.product(*(range(1, u + 1) for u in upper)):
        sizes = np.array(n, dtype=float)
        if all((bound.load(sizes) <= bound.limit * (1 + 1e-9)).all() for bound in bounds):
            best = sum(n) if best is None else min(best, sum(n))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_many_targets_at_once_take_hardly_more_wells_than_the_best_of_all(seed):
    """Oracle: every allocation of four strata in two kinds of domains, counted out."""
    rng = np.random.default_rng(seed)
    upper = rng.integers(4, 9, 4)
    numerator = rng.lognormal(3, 0.7, (2, 4))
    one, two = np.array([0, 0, 1, 1]), np.zeros(4, dtype=np.int64)
    bounds = [
        Bounds(codes, a, np.bincount(codes, a / upper) * rng.uniform(1.2, 2.5))
        for codes, a in ((one, numerator[0]), (two, numerator[1]))
    ]
    n, real = smallest_sample(bounds, lower=np.ones(4, dtype=np.int64), upper=upper)
    assert all((bound.load(n.astype(float)) <= bound.limit * (1 + 1e-9)).all() for bound in bounds)
    best = brute_force_bounds(bounds, upper)
    assert real.sum() <= best + 1e-3 * best
    assert best <= n.sum() <= best + 1
    worse = [Bounds(bound.domain, bound.numerator, 0.5 * bound.load(upper.astype(float))) for bound in bounds]
    with pytest.raises(UsageError, match="cannot be reached"):
        smallest_sample(worse, lower=np.ones(4, dtype=np.int64), upper=upper)


def test_one_target_is_cochrans_allocation():
    """Cochran (1977) section 5.8: n_h ∝ N_h S_h, n = (Σ N S)² / (V + Σ N S²) for a given variance V of the total."""
    size, sd = np.array([400, 300, 300]), np.array([3.0, 5.0, 9.0])
    total, cv = np.array([20_000.0]), np.array([0.02])
    bounds = cv_bounds(np.zeros(3, dtype=np.int64), size, sd**2, total, cv)
    n, real = smallest_sample([bounds], lower=np.ones(3, dtype=np.int64), upper=size)
    wanted = (size * sd).sum() ** 2 / ((0.02 * 20_000) ** 2 + (size * sd**2).sum())
    assert real == pytest.approx(wanted * size * sd / (size * sd).sum(), rel=1e-4)
    assert n.sum() == math.ceil(wanted)


def test_domains_keep_their_promises_with_fewer_wells_than_the_worst_of_them_alone():
    wells, energy = county(900, seed=5)
    targets = {"county": 0.04, "township": 0.09, "aquifer": 0.06}
    design = design_sample(wells, energy, targets=targets, seed=3)
    promised = design.precision.dropna(subset="target_cv")
    assert set(promised["domain"]) == {"county", "township", "aquifer"}
    assert (promised["expected_cv"] <= promised["target_cv"]).all()
    tight = promised.groupby("domain").apply(lambda rows: (rows["expected_cv"] / rows["target_cv"]).max())
    assert tight.max() > 0.97
    alone = design_sample(wells, energy, target_cv=0.01, seed=3)
    assert len(design.primary) < len(alone.primary)
    relaxed = design_sample(wells, energy, n=len(design.primary) // 2, targets=targets, seed=3)
    assert len(relaxed.primary) == len(design.primary) // 2
    assert len(relaxed.findings.of(rule="DESIGN_TARGETS_RELAXED")) == 1


def test_losses_come_on_top_and_may_put_a_target_out_of_reach():
    wells, energy = county(600, seed=8)
    plain = design_sample(wells, energy, target_cv=0.03, seed=1)
    lossy = design_sample(wells, energy, target_cv=0.03, refusal_rate=0.1, dead_meter_rate=0.1, seed=1)
    assert lossy.expected_cv <= 0.03
    assert len(lossy.primary) == pytest.approx(len(plain.primary) / 0.81, rel=0.05)
    with pytest.raises(UsageError, match="no number of wells reaches"):
        design_sample(wells, energy, target_cv=0.001, refusal_rate=0.1, seed=1)
    census = design_sample(wells, energy, target_cv=1e-6, seed=1)
    assert len(census.primary) == len(census.frame)
    assert len(census.findings.of(rule="DESIGN_CENSUS")) == 1


def test_a_budget_is_never_overspent():
    wells, energy = county(400, seed=9)
    for total in (2_000, 5_300, 40_000):
        design = design_sample(wells, energy, budget=Budget(total, 500, 1_000), seed=1)
        assert design.policy["cost"] <= total
    assert design.policy["cost"] > total - 500
    with pytest.raises(UsageError, match="does not pay for one well"):
        design_sample(wells, energy, budget=Budget(100, 500), seed=1)


def test_the_biggest_users_are_all_taken():
    wells, energy = county(400, seed=9)
    least = float(np.nanquantile(energy, 0.99))
    design = design_sample(wells, energy, n=40, take_all_kwh=least, seed=1)
    big = design.frame.loc[design.frame["energy_kwh"] >= least]
    assert len(big) > 2
    assert (big["inclusion_probability"] == 1).all()
    assert set(big["well_id"]) <= set(design.primary["well_id"])
    assert len(design.primary) == 40


def test_thin_cells_join_the_nearest_anticipated_coefficient_and_are_written_out():
    wells, energy = county(300, seed=4)
    design = design_sample(wells, energy, n=16, seed=1)
    merges = design.merges
    assert len(merges) == len(design.findings.of(rule="DESIGN_STRATA_COLLAPSED")) > 0
    assert len(design.allocation) <= 4
    assert set(merges["merged_into"]) <= set(design.allocation["stratum"])
    assert merges["coefficient_gap"].between(0, 1).all()
    assert join_nearest([5, 1, 5], [0.0, 0.2, 1.0], minimum=2).tolist() == [0, 0, 1]
    assert join_nearest([5, 1, 5], [1.0, 0.2, 0.0], minimum=2).tolist() == [0, 1, 1]


def test_optimal_limits_are_the_best_of_all():
    """Oracle: every pair of limits on the wells' own values."""
    rng = np.random.default_rng(1)
    x = rng.choice(np.arange(10.0, 90.0, 5.0), 400)
    energy, log_sd = rng.lognormal(8, 0.8, 400), np.full(400, 0.25)
    kappa = 60.0 / (x + 10) * np.where(x > 60, 0.5, 1.0)
    anticipated = Anticipated(kappa, log_sd, "test")

    def spread(limits):
        codes = np.searchsorted(limits, x)
        s = np.bincount(codes, energy)
        q = (
            np.bincount(codes, energy * kappa**2 * (1 + np.expm1(0.25**2)))
            - np.bincount(codes, energy * kappa) ** 2 / s
        )
        return np.sqrt(s * q).sum()

    best = min(spread(pair) for pair in itertools.combinations(np.unique(x)[:-1], 2))
    found = optimal_breaks(x, energy, anticipated, classes=3, min_wells=1)
    assert spread(found) == pytest.approx(best)
    assert spread(found) < spread(natural_breaks(x, classes=3, weight=energy))
    assert optimal_breaks(np.full(400, 3.0), energy, anticipated) == ()


def test_the_frame_names_wells_without_a_meter_and_counts_blank_cells():
    wells, energy = county()
    wells.loc[:9, ["status", "power_source"]] = [np.nan, "grid"]
    energy[:10] = 100.0
    energy[10:13] = np.nan
    wells.loc[10:12, ["status", "power_source"]] = ["in_use", "grid"]
    wells.loc[13, ["status", "power_source"]] = ["standby", "grid"]
    linked = np.ones(len(wells), dtype=bool)
    linked[10:12] = False
    design = design_sample(wells, energy, n=20, seed=1, linked=linked)
    reason = design.excluded.set_index("well_id")["reason"]
    assert reason[["0010", "0011", "0012", "0013"]].tolist() == ["no_meter_link"] * 2 + ["energy_unknown", "standby"]
    blank = design.findings.of(rule="DESIGN_BLANK_TAKEN_AS").frame
    assert blank["energy_kwh"].tolist() == [1000]


def test_the_cell_of_the_readme_works_without_energy_or_strata():
    """Rated power stands for the energy, and a finding says so."""
    wells, _ = county()
    design = design_sample(wells, n=60, seed=2026)
    assert len(design.primary) == 60
    assert len(design.findings.of(rule="DESIGN_SIZE_FROM_POWER")) == 1
    with pytest.raises(UsageError, match="energy_kwh"):
        design_sample(wells.drop(columns="pump_power_kw"), n=60, seed=2026)


def test_optimal_allocation_leaves_less_variance_than_neyman_and_proportional():
    wells, energy = county(800, seed=3)
    cv = {
        rule: design_sample(wells, energy, n=50, allocation=rule, seed=1).expected_cv
        for rule in ("optimal", "neyman", "proportional")
    }
    assert cv["optimal"] <= cv["neyman"] <= cv["proportional"]
    assert cv["optimal"] < cv["proportional"]


def test_the_curve_falls_and_is_marked():
    wells, energy = county(500, seed=3)
    design = design_sample(wells, energy, n=40, seed=1)
    curve = design.curve
    assert set(curve["mark"]) == {"", "rule", "n-10", "n", "n+10", "n+50"}
    assert (np.diff(curve["expected_cv"]) < 0).all()
    marked = curve.set_index("mark")
    assert marked.loc["rule", "n"] == 5
    assert marked.loc["n", "expected_cv"] == design.expected_cv


def test_a_target_takes_no_more_wells_than_it_needs_for_all_the_strata():
    """Twenty-odd strata at two wells each are far more than 10 % asks for: they are joined, and said to be."""
    wells, energy = county()
    design = design_sample(wells, energy, target_cv=0.10, seed=1)
    n = len(design.primary)
    frame = design.frame
    volume = frame["energy_kwh"] * frame["coefficient_m3_per_kwh"]
    spread = volume * np.sqrt(np.expm1(frame["log_sd"] ** 2))
    assert design.expected_cv <= 0.10
    assert n <= np.ceil((spread.sum() / (0.10 * volume.sum())) ** 2) + 2
    assert (design.allocation["n_sample"] >= 2).all()
    assert len(design.merges) > 0
    assert design_sample(wells, energy, n=n - 1, seed=1).expected_cv > 0.10
    assert design.precision.set_index("domain").loc["county", "target_cv"] == 0.10


def test_minima_that_make_the_sample_larger_than_the_promises_do_are_said():
    wells, energy = county()
    strata = classify(wells, ["township", "aquifer", "pump_depth_m"], classes=4)
    many = design_sample(wells, energy, strata, targets={"county": 0.12, "township": 0.3}, seed=1)
    note = many.findings.of(rule="DESIGN_MINIMA_DRIVE").frame.iloc[0]
    assert int(note["observed"]) == len(many.primary)
    few = design_sample(wells, energy, classify(wells, ["aquifer"]), targets={"county": 0.12, "township": 0.3}, seed=1)
    assert few.findings.of(rule="DESIGN_MINIMA_DRIVE").frame.empty
    assert abs(len(few.primary) - int(note["limit"])) <= 2


def test_the_curve_of_promised_precision_keeps_the_strata():
    """Ten wells more, shared as the others are: a little better, not what another design without strata would be."""
    wells, energy = county()
    strata = classify(wells, ["township", "aquifer"])
    design = design_sample(wells, energy, strata, targets={"county": 0.08, "township": 0.2}, seed=1)
    marked = design.curve.set_index("mark")
    n, cv = int(marked.loc["n", "n"]), marked["expected_cv"]
    assert cv["n+10"] < cv["n"] <= cv["n-10"]
    assert cv["n+10"] == pytest.approx(cv["n"] * np.sqrt(n / (n + 10)), rel=0.1)


@pytest.mark.parametrize("options", [{}, {"network": True}, {"allocation": "proportional"}], ids=str)
def test_the_curve_is_what_designs_of_those_sizes_state_and_never_rises(options):
    wells, energy = county()
    strata = classify(wells, ["aquifer", "pump_depth_m"], classes=2)
    known = {"thin_strata": "coefficient", **options}
    if options.get("network"):
        known["network"] = Network.of(design_sample(wells, energy, strata, n=25, seed=3, thin_strata="coefficient"))
    curve = design_sample(wells, energy, strata, n=40, seed=1, **known).curve
    assert (np.diff(curve["expected_cv"]) <= 0).all()
    for mark in ("n-10", "n+10", "n+50"):
        n, stated = curve.set_index("mark").loc[mark, ["n", "expected_cv"]]
        again = design_sample(wells, energy, strata, n=int(n), seed=1, **known)
        assert stated == pytest.approx(again.expected_cv, rel=0.02)


def test_a_number_with_two_marks_keeps_both():
    curve = drawn(n=15)[0].curve
    assert set(curve.loc[curve["n"] == 5, "mark"]) == {"rule", "n-10"}


def test_fewer_wells_than_strata_join_them_and_say_so():
    few = drawn(n=3, thin_strata="coefficient")[0]
    assert few.findings.of(rule="DESIGN_FEWER_THAN_STRATA").frame["observed"].tolist() == ["3"]
    assert len(drawn(n=40, thin_strata="coefficient")[0].findings.of(rule="DESIGN_FEWER_THAN_STRATA")) == 0


def test_a_network_larger_than_asked_for_is_a_warning_with_the_share_to_rotate():
    wells, energy = county()
    strata = classify(wells, ["aquifer", "pump_depth_m"], classes=2)
    before = design_sample(wells, energy, strata, n=40, seed=3, thin_strata="coefficient")
    network = Network.of(before)
    more = design_sample(wells, energy, strata, n=20, seed=1, network=network, thin_strata="coefficient")
    message = more.findings.of(rule="DESIGN_NETWORK_ABOVE_N").warnings.frame["message"].iloc[0]
    assert set(before.primary["well_id"]) <= set(more.primary["well_id"])
    assert "20" in message
    assert "--rotate 0.5" in message
    assert len(more.findings.of(rule="DESIGN_MINIMUM_RELAXED")) == 0


def test_strata_read_as_officials_do_and_so_do_the_reasons():
    wells, energy = county()
    wells = wells.assign(irrigation_method=np.where(np.arange(len(wells)) % 2, "border", "pipe"), status="in_use")
    wells.loc[:4, "status"] = "sealed"
    design = design_sample(wells, energy, n=40, seed=1)
    assert design.sample["stratum"].str.contains("畦灌|管灌").all()
    assert design.findings.of(rule="DESIGN_EXCLUDED").frame["message"].str.contains("封存").any()


def test_an_extended_network_keeps_its_wells_and_states_the_probabilities_of_both_draws():
    """Over 50 pairs of draws a well is in the second network as often as is stated, binomially."""
    wells, energy = county(60, seed=3)
    wells = wells.assign(power_source="grid", status="in_use")
    energy = np.where(energy > 0, energy, 3_000.0)
    strata = classify(wells, ["aquifer"])
    counts, stated = np.zeros(len(wells)), np.zeros(len(wells))
    repeats = 50
    for seed in range(repeats):
        first = design_sample(wells, energy, strata, n=12, seed=seed, reserve_ratio=0.0)
        second = design_sample(
            wells, energy, strata, n=24, seed=seed + 1_000, reserve_ratio=0.0, network=Network.of(first)
        )
        assert set(first.primary["well_id"]) <= set(second.primary["well_id"])
        counts += wells["well_id"].isin(second.primary["well_id"]).to_numpy()
        stated += second.frame["inclusion_probability"].to_numpy()
    p = stated / repeats
    z = (counts / repeats - p) / np.sqrt(np.maximum(p * (1 - p), 1e-9) / repeats)
    assert np.abs(z[p < 1]).max() < 4.5
    assert (z[p < 1] ** 2).mean() < 1.6
    assert (second.primary["network"] == "kept").sum() == 12
    assert p.sum() == pytest.approx(24, rel=0.02)


def test_a_chosen_network_speaks_for_itself_alone_and_a_share_may_rotate_out():
    wells, energy = county(200, seed=3)
    usable = design_sample(wells, energy, n=20, seed=1).frame["well_id"]
    network = tuple(usable[:10])
    kept = design_sample(wells, energy, n=40, seed=2, network=Network.chosen(network))
    assert set(network) <= set(kept.primary["well_id"])
    assert (kept.primary.set_index("well_id").loc[list(network), "weight"] == 1).all()
    rotated = design_sample(wells, energy, n=40, seed=2, network=Network.chosen(network, rotate=0.5))
    assert len(set(network) & set(rotated.primary["well_id"])) == 5
    with pytest.raises(UsageError, match="rotates"):
        design_sample(wells, energy, n=40, seed=2, network=Network.chosen(network, rotate=1.5))


def test_a_province_comes_back_as_it_was_written(tmp_path, monkeypatch):
    """Large tables go another way to the disk; what is read is the same."""
    wells, energy = county()
    design = design_sample(wells, np.round(energy, 3), classify(wells, ["aquifer"]), n=60, seed=1)
    monkeypatch.setattr(files, "_MANY_ROWS", 10)
    write_design(design, tmp_path)
    again = read_design(tmp_path)
    for name in ("sample", "frame", "allocation", "excluded"):
        pd.testing.assert_frame_equal(getattr(design, name), getattr(again, name), **AS_ROUNDED)
