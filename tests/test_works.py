"""Works that were converted to another irrigation method: what pumps lifted before, in pairs, quarters and updates."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_kit import small_case
from elec2water.coefficient.delivery import HEAD_BEYOND_M, PUMP_BELOW_WATER_M, USUAL_LIFT_M
from elec2water.coefficient.equipment import METER_CHECKED, NEVER, NEW_PUMP, WATER_METER, WORKS, Equipment
from elec2water.coefficient.works import Works
from elec2water.watch import change_findings

DRIP_M = 15.0
MONTHS = np.arange("2026-01", "2026-07", dtype="datetime64[M]")


def converted(case, since, seed=0, share=0.5):
    """A share of the border wells changed to drip on a day, in truth; the registry says so, then with the day too."""
    wells, rng = case.wells, np.random.default_rng(seed)
    method = wells["irrigation_method"].astype(object).fillna("").to_numpy()
    who = (method == "border") & (rng.random(len(wells)) < share)
    depth = wells["pump_depth_m"].to_numpy(dtype=float, na_value=np.nan) - PUMP_BELOW_WATER_M
    head = np.where(np.isfinite(depth), np.maximum(depth, 5.0), USUAL_LIFT_M) + HEAD_BEYOND_M
    less = np.where(who, head / (head + DRIP_M), 1.0)
    at = np.datetime64(since, "M")
    kwh = case.energy.kwh / np.where(case.energy.months >= at, less[:, None], 1.0)
    place = pd.Index(wells["well_id"]).get_indexer(case.pairs["well_id"])
    late = case.pairs["start"].to_numpy("datetime64[M]") >= at
    pairs = case.pairs.assign(energy_kwh=case.pairs["energy_kwh"] / np.where(late, less[place], 1.0))
    named = wells.assign(irrigation_method=pd.array(np.where(who, "drip", method), dtype="str"))
    day = np.where(who, np.datetime64(since, "s"), np.datetime64("NaT", "s"))
    real = replace(case, pairs=pairs, energy=replace(case.energy, kwh=kwh))
    return real, replace(real, wells=named), replace(real, wells=named.assign(irrigation_method_since=day)), who


@pytest.fixture(scope="module")
def case():
    return small_case(300, 40, seed=21)


def in_quarter(case, wells, quarter="2026Q3"):
    first = {"2026Q3": "2026-07", "2025Q3": "2025-07"}[quarter]
    months = np.isin(case.energy.months, np.datetime64(first, "M") + np.arange(3))
    return case.truth_m3[wells][:, months].sum()


def test_the_month_of_the_change_has_its_days_before_and_after():
    since = np.array(["2026-03-11", "2026-05-01", "9999-01-01", "2020-01-01"], dtype="datetime64[s]")
    works = Works.of(since, np.array([0.3, 0.2, 0.4, np.nan]))
    expected = np.zeros((4, 6))
    expected[0] = [-0.3, -0.3, -0.3 * 10 / 31, 0.0, 0.0, 0.0]
    expected[1, :4] = -0.2
    np.testing.assert_allclose(works.movement(MONTHS), expected, atol=1e-12)
    assert works.since[3] == NEVER


@given(
    st.lists(st.integers(-400, 400), min_size=1, max_size=6), st.floats(0.0, 1.0), st.sampled_from([np.nan, 0.0, 0.1])
)
def test_works_only_lower_the_head_and_only_before(days, raised, level):
    since = np.datetime64("2026-01-01", "s") + np.array(days) * np.timedelta64(1, "D")
    works = Works.of(since, np.full(len(days), raised))
    moved = works.movement(MONTHS)
    assert (moved <= 0.0).all()
    assert (np.diff(moved, axis=1) >= 0.0).all()
    assert not moved[(MONTHS.astype("datetime64[s]") >= since[:, None])].any()
    total = works.added_to(np.full(moved.shape, level), MONTHS)
    same = moved == 0.0
    np.testing.assert_array_equal(total[same], np.full(moved.shape, level)[same])
    np.testing.assert_allclose(total[~same], np.nan_to_num(level) + moved[~same])


def test_pairs_before_the_change_were_measured_at_the_lower_head(case):
    _, named, dated, who = converted(case, "2025-12-01")
    rows = [
        c.fit().context(c.wells, c.water_levels, c.energy, np.arange("2025-08", "2026-07", dtype="datetime64[M]"))
        for c in (named, dated)
    ]
    before = rows[0].months < np.datetime64("2025-12")
    moved = rows[1].level - rows[0].level
    raised = rows[1].works.raised
    assert (raised[who] > 0.1).all()
    assert not raised[~who].any()
    np.testing.assert_allclose(moved[:, before], np.repeat(-raised[:, None], before.sum(), axis=1), atol=1e-12)
    assert not moved[:, ~before].any()
    water = rows[1].water(np.arange(len(who)))
    np.testing.assert_allclose(water, rows[0].level, atol=1e-12)


@pytest.mark.parametrize("with_levels", [True, False])
@pytest.mark.parametrize("since", ["2025-12-01", "2026-07-01"])
def test_with_its_day_a_conversion_is_no_error(case, since, with_levels):
    """Within the year of pairs and after the last of them; without the day converted wells read a quarter high."""
    told = case if with_levels else replace(case, water_levels=None)
    real, named, dated, who = converted(told, since)
    found = {}
    for name, some in {"named": named, "dated": dated}.items():
        volume = some.volume()
        found[name] = volume.wells.volume_m3[who].sum() / in_quarter(real, who) - 1.0
        if name == "dated":
            total, truth = volume.county, in_quarter(real, slice(None))
            assert abs(total.volume_m3[0] - truth) < 2.0 * total.se_m3[0]
    assert abs(found["dated"]) < 0.5 * found["named"]
    assert found["named"] > 0.1


def test_a_quarter_before_the_change_stays_as_it_was(case):
    real, named, dated, who = converted(case, "2025-12-01")
    fitted = dated.fit()
    before = {name: c.volume(fitted, quarter="2025Q3") for name, c in {"named": named, "dated": dated}.items()}
    truth = in_quarter(real, who, "2025Q3")
    errors = {name: volume.wells.volume_m3[who].sum() / truth - 1.0 for name, volume in before.items()}
    assert abs(errors["dated"]) < 0.1
    assert errors["named"] < errors["dated"] - 0.15


@pytest.mark.parametrize("with_levels", [True, False])
def test_a_day_told_late_gives_what_it_would_have_given_at_once(case, with_levels):
    told = case if with_levels else replace(case, water_levels=None)
    real, _, dated, _ = converted(told, "2025-12-01")
    early = replace(real, pairs=real.pairs[real.pairs["end"] <= "2025-12-01"])
    fitted = early.fit()
    known = {"water_levels": real.water_levels, "energy": real.energy, "with_news": False}
    once = fitted.update(real.pairs, dated.wells, **known)
    late = fitted.update(real.pairs, real.wells, **known).update(None, dated.wells, **known)
    np.testing.assert_allclose(late.posterior.mean, once.posterior.mean, atol=1e-8)
    np.testing.assert_allclose(late.posterior.covariance, once.posterior.covariance, atol=1e-8)
    volumes = [dated.volume(coefficient).wells.volume_m3 for coefficient in (late, once)]
    np.testing.assert_allclose(*volumes, rtol=1e-8)


def test_news_of_a_conversion_is_of_the_registry(case):
    real, _, dated, _ = converted(case, "2026-07-01")
    known = {"water_levels": real.water_levels, "energy": real.energy}
    last = real.fit().update(None, real.wells, **known)
    news = last.update(None, dated.wells, **known).news
    moved = news["energy_and_registry"].abs().max()
    assert moved > 0.01
    # Drip asks for head, of which the same fall of the water is a smaller part.
    assert news["water_level"].abs().max() < 0.05 * moved
    np.testing.assert_allclose(news["new_pairs"], 0.0, atol=2e-6)


def test_a_method_changed_without_its_day_is_named_once(case):
    real, named, dated, who = converted(case, "2026-07-01")
    known = {"water_levels": real.water_levels, "energy": real.energy, "with_news": False}
    fitted = real.fit()
    sampled = sorted(set(real.wells["well_id"][who]) & set(fitted.sample_id))
    updated = fitted.update(None, named.wells, **known)
    found = change_findings(updated).of(rule="METHOD_CHANGED").frame
    assert sorted(found["well_id"]) == sampled
    assert sampled
    assert "上次发布时为畦灌，现为滴灌" in found["message"].iloc[0]
    english = change_findings(updated, lang="en").of(rule="METHOD_CHANGED").frame
    assert "was border at the release before and is drip now" in english["message"].iloc[0]
    for later in (updated.update(None, named.wells, **known), fitted.update(None, dated.wells, **known)):
        assert later.record.methods.empty
    blank = real.wells.assign(irrigation_method=pd.array([None] * len(real.wells), dtype="str"))
    assert fitted.update(None, blank, **known).record.methods.empty


def test_other_works_make_another_well_but_no_new_pump_and_mend_no_meter():
    ids, day = np.array(["a"], dtype=object), np.array(["2026-03-01"], dtype="datetime64[s]")
    faulty = Equipment.of(ids, day - np.timedelta64(90, "D"), cause=WATER_METER)
    pump = Equipment.of(ids, day - np.timedelta64(400, "D"), cause=NEW_PUMP)
    history = pump.adding(faulty).adding(Equipment.of(ids, day, cause=WORKS)).history(ids)
    well, when = np.zeros(1, dtype=np.intp), day + np.timedelta64(30, "D")
    assert history.number(well, when) == 3
    assert history.since(well, when)[0] == day[0] - np.timedelta64(90, "D")
    assert history.under((WATER_METER,), well, when).all()
    same_day = Equipment.of(ids, day, cause=WORKS).adding(Equipment.of(ids, day, cause=METER_CHECKED))
    assert not faulty.adding(same_day).history(ids).under((WATER_METER,), well, when).any()
    mended = pump.adding(faulty).adding(Equipment.of(ids, day, cause=METER_CHECKED)).history(ids)
    assert not mended.under((WATER_METER,), well, when).any()
    assert mended.number(well, when) == 2
