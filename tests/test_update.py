"""Updates: the order of pairs does not matter, corrections are as if always known, new pumps reset their wells."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_kit import small_case
from elec2water.coefficient.posterior import posterior_at
from elec2water.coefficient.water import level_movement
from elec2water.errors import UsageError
from elec2water.pairs import measurements, merge_pairs


@pytest.fixture(scope="module")
def case():
    return small_case(60, 12, 5, pair_months=24, last_pair=-1, outliers=0.03)


@pytest.fixture(scope="module")
def early(case):
    return replace(case, pairs=case.pairs[case.pairs["start"] < "2025-10-01"]).fit()


@pytest.fixture(scope="module")
def late(case):
    return case.pairs[case.pairs["start"] >= "2025-10-01"]


def known(case):
    return {"wells": case.wells, "water_levels": case.water_levels, "energy": case.energy}


def assert_same(one, other, tolerance=1e-8):
    for name in ("means", "covariances"):
        a, b = getattr(one.posterior, name), getattr(other.posterior, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    np.testing.assert_allclose(one.posterior.rows.scale, other.posterior.rows.scale, rtol=tolerance)
    np.testing.assert_allclose(
        one.summary["coefficient_m3_per_kwh"], other.summary["coefficient_m3_per_kwh"], rtol=tolerance
    )


@pytest.fixture(scope="module")
def at_once(case, early, late):
    return early.update(late, **known(case))


@given(st.data())
@settings(max_examples=4)
def test_any_order_and_any_parts_agree_with_all_at_once(case, early, late, at_once, data):
    order = data.draw(st.permutations(range(len(late))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(late) - 1), max_size=4)))
    coefficient = early
    for part in np.split(np.array(order), cuts):
        coefficient = coefficient.update(late.iloc[part], **known(case))
    assert_same(coefficient, at_once)


def test_pair_by_pair_and_month_by_month_agree_with_all_at_once(case, early, late, at_once):
    by_month = early
    for _, month in late.groupby("start"):
        by_month = by_month.update(month, **known(case))
    assert_same(by_month, at_once)
    some = late.iloc[:12]
    by_pair = early
    for k in range(len(some)):
        by_pair = by_pair.update(some.iloc[[k]], **known(case))
    assert_same(by_pair, early.update(some, **known(case)))


def test_what_comes_after_a_gap_counts_the_same_in_any_parts(case):
    """Half of the wells are not read for fourteen months: month by month, all at once and the whole table agree."""
    rested = case.pairs["well_id"].isin(case.pairs["well_id"].unique()[::2])
    gap = rested & (case.pairs["start"] >= "2024-11-01") & (case.pairs["start"] < "2026-01-01")
    pairs = case.pairs[~gap]
    early, late = pairs[pairs["start"] < "2025-10-01"], pairs[pairs["start"] >= "2025-10-01"]
    start = replace(case, pairs=early).fit()
    at_once, by_month = start.update(late, **known(case)), start
    for _, month in late.groupby("start"):
        by_month = by_month.update(month, **known(case))
    assert_same(by_month, at_once)
    assert_same(start.update(pairs, **known(case), whole=True), at_once)
    assert at_once.posterior.rows.unread.max() > 1.1
    assert start.posterior.rows.unread.max() < 1.0


def test_the_posterior_is_that_of_a_fit_at_the_same_variances(case, early, late, at_once):
    """The whole table given to a fit, its search for variances left out, is the same rows and the same answer."""
    whole = early.update(case.pairs, **known(case), whole=True)
    assert_same(whole, at_once)
    np.testing.assert_array_equal(whole.posterior.rows.static, at_once.posterior.rows.static)


def test_nothing_new_changes_nothing(case, early):
    anew = replace(early, posterior=replace(early.posterior, told_by=""))
    updates = [anew.update(), anew.update(**known(case)), early.update(early_pairs(case), **known(case))]
    assert early.update().posterior.means is early.posterior.means
    for again in updates:
        np.testing.assert_allclose(again.posterior.means, early.posterior.means, rtol=0, atol=1e-12)
        np.testing.assert_allclose(again.posterior.covariances, early.posterior.covariances, rtol=0, atol=1e-12)


def early_pairs(case):
    return case.pairs[case.pairs["start"] < "2025-10-01"]


def test_the_coefficient_that_is_updated_stays_as_it_was(case, early, late):
    before = early.posterior.mean.copy(), early.measured.well.size, early.summary.copy()
    early.update(late, **known(case))
    np.testing.assert_array_equal(early.posterior.mean, before[0])
    assert early.measured.well.size == before[1]
    pd.testing.assert_frame_equal(early.summary, before[2])


def test_news_are_the_same_whether_the_old_posterior_is_at_hand_or_worked_out_again(early, late):
    anew = replace(early, posterior=replace(early.posterior, told_by=""))
    news = early.update(late).news
    pd.testing.assert_frame_equal(news, anew.update(late).news, rtol=0, atol=2e-6)
    assert (news["new_pairs"] != 0).any()


def test_a_correction_is_as_if_it_had_always_been_known(case, early, late):
    wrong = early_pairs(case).copy()
    wrong.iloc[3, wrong.columns.get_loc("volume_m3")] *= 1.3
    started = replace(case, pairs=wrong).fit()
    right = started.update(early_pairs(case).iloc[[3]], **known(case))
    assert_same(right, started.update(early_pairs(case), **known(case), whole=True))
    assert right.measured.well.size == started.measured.well.size


def test_a_state_none_of_whose_pairs_stand_any_more_forgets_them(case):
    """The whole table is of other wells: the answer is that of its pairs alone, whatever the state held before."""
    some = case.pairs["well_id"].isin(case.pairs["well_id"].unique()[:6])
    start = replace(case, pairs=case.pairs[some]).fit()
    moved = start.update(case.pairs[~some], **known(case), whole=True)
    assert (moved.record.withdrawn.well.size, moved.record.new.well.size) == (some.sum(), (~some).sum())
    both = start.update(case.pairs, **known(case), whole=True).update(case.pairs[~some], **known(case), whole=True)
    assert_same(moved, both)
    level = replace(moved.posterior.plain_rows, level_scale=np.ones(moved.sample_id.size))
    alone = posterior_at(
        level,
        moved.posterior.layout,
        moved.posterior.sample,
        psi=np.log(start.posterior.sd),
        weight=start.posterior.weight,
        student_df=start.options.student_df,
    )
    np.testing.assert_allclose(moved.posterior.means, alone.means, rtol=0, atol=1e-10)


def test_without_the_registry_known_wells_are_updated_and_others_are_named(case, early, late):
    alone = early.update(late)
    assert alone.measured.well.size == early.measured.well.size + len(late)
    full = early.update(late, **known(case))
    ratio = alone.summary["coefficient_m3_per_kwh"] / full.summary["coefficient_m3_per_kwh"]
    assert ratio.between(0.93, 1.07).all()
    stranger = late.iloc[:1].assign(well_id="nobody")
    with pytest.raises(UsageError, match="nobody"):
        early.update(stranger)


def test_with_no_news_the_mean_wears_and_the_interval_widens(early):
    """As fast as it should: the variance of ln κ is quadratic in time, with the variance of the wear of a year."""
    tables = [early.update(until=np.datetime64(f"{year}-09", "M")).summary for year in (2025, 2027, 2029)]
    means = np.array([t["coefficient_m3_per_kwh"] for t in tables])
    relative = np.array([t["se"] / t["coefficient_m3_per_kwh"] for t in tables])
    years = early.posterior.layout.names.index("years")
    np.testing.assert_allclose(np.log(means[2] / means[1]), 2 * early.posterior.mean[years], atol=0.01)
    variance = np.log1p(relative**2)
    assert (np.diff(variance, axis=0) > 0).all()
    bend = np.diff(variance, n=2, axis=0)[0]
    np.testing.assert_allclose(bend, 2 * 2.0**2 * early.posterior.covariance[years, years], rtol=0.05)


def test_falling_water_moves_every_well_by_its_head(case, early):
    """Water 20 % deeper from the last quarter on: sampled or not, κ falls by the slope times the bent rise of head."""
    deeper = case.water_levels.copy()
    since = deeper["month"] >= np.datetime64("2026-07-01")
    deeper.loc[since, "depth_m"] *= 1.2
    usual, lower = (case.volume(early, water_levels=levels) for levels in (case.water_levels, deeper))
    slope = early.posterior.mean[early.posterior.layout.names.index("level")]
    months = np.arange("2026-07", "2026-10", dtype="datetime64[M]")
    window = early.windows.level
    stood, fallen = (
        early.spec.bent(level_movement(case.wells, w, months, window, early.spec.beyond(case.wells))[0])
        for w in (case.water_levels, deeper)
    )
    rise = np.nanmean(fallen - stood, axis=1)
    fell = np.log(lower.idle_coefficient / usual.idle_coefficient)
    pumped = usual.wells.converted_m3.sum(axis=1) > 0
    others = pumped & ~usual.wells.sampled
    assert np.ptp(rise[others]) > 0.03
    np.testing.assert_allclose(fell[others], slope * rise[others], atol=0.01)
    sampled = pumped & usual.wells.sampled
    assert (fell[sampled] / (slope * rise[sampled])).min() > 0.5


def test_without_water_levels_the_interval_widens_faster(case):
    """What the water table does in a year is then unknown: 2 % a year, beside the 0.6 % of wear."""
    grown = []
    for levels in (case.water_levels, None):
        fitted = replace(case, pairs=early_pairs(case), water_levels=levels).fit()
        table = fitted.update(until=np.datetime64("2030-09", "M")).summary
        before, after = (t["se"] / t["coefficient_m3_per_kwh"] for t in (fitted.summary, table))
        grown.append(float(np.sqrt(np.log1p(after**2) - np.log1p(before**2)).mean()))
    assert grown[1] > 1.5 * grown[0]


class TestPumps:
    def test_a_date_added_after_the_fit_resets_a_sample_well(self, case, early):
        """An old date of installation stands in the registry; a later one is another pump, not a correction."""
        old = case.wells.assign(pump_installed_on=pd.Series(np.datetime64("2019-05-01"), index=case.wells.index))
        before = replace(case, pairs=early_pairs(case), wells=old).fit()
        well = before.sample_id[0]
        renewed = old.copy()
        renewed.loc[renewed["well_id"] == well, "pump_installed_on"] = np.datetime64("2026-05-01")
        usual, reset = before.placed(old["well_id"].to_numpy(object)), case.volume(before, wells=renewed)
        plain = case.volume(usual, wells=old)
        place = int(np.flatnonzero(old["well_id"] == well)[0])
        wider = reset.wells.se_m3[place] / reset.wells.volume_m3[place]
        assert wider > 1.5 * plain.wells.se_m3[place] / plain.wells.volume_m3[place]
        others = plain.wells.sampled & (np.arange(len(old)) != place)
        np.testing.assert_allclose(reset.wells.volume_m3[others], plain.wells.volume_m3[others], rtol=1e-12)

    def test_wear_of_unsampled_wells_starts_anew_with_the_pump(self, case, early):
        old = case.wells.assign(pump_installed_on=pd.Series(np.datetime64("2019-05-01"), index=case.wells.index))
        before = replace(case, pairs=early_pairs(case), wells=old).fit()
        free = np.flatnonzero(~np.isin(old["well_id"], before.sample_id))[0]
        renewed = old.copy()
        renewed.loc[renewed.index[free], "pump_installed_on"] = np.datetime64("2026-07-01")
        kappa = [case.volume(before, wells=w).idle_coefficient[free] for w in (old, renewed)]
        slope = before.posterior.mean[before.posterior.layout.names.index("years")]
        years = (2026 + 7.5 / 12) - before.spec.reference_year
        assert slope < 0
        np.testing.assert_allclose(np.log(kappa[1] / kappa[0]), -slope * (years - 1.5 / 12), rtol=0.2, atol=0.03)


def test_merging_pairs_knows_new_corrected_repeated_and_withdrawn():
    ids = np.array(["a", "b"], dtype=object)

    def table(*rows):
        frame = pd.DataFrame(rows, columns=["well_id", "start", "end", "energy_kwh", "volume_m3"])
        for name in ("start", "end"):
            frame[name] = frame[name].to_numpy(dtype="datetime64[s]")
        return measurements(frame, ids)

    first = table(("a", "2025-05-01", "2025-06-01", 10, 30), ("a", "2025-06-01", "2025-07-01", 11, 33),
                  ("b", "2025-06-01", "2025-07-01", 9, 20), ("b", None, None, 5, 10))  # fmt: skip
    same = merge_pairs(first, first)
    assert (same.origin >= 0).all()
    assert not same.withdrawn.size
    given = table(("a", "2025-06-03", "2025-07-02", 11, 34), ("b", "2025-06-01", "2025-07-01", 9, 20),
                  ("b", None, None, 5, 11), ("b", "2025-07-01", "2025-08-01", 8, 16))  # fmt: skip
    merged = merge_pairs(first, given)
    assert merged.corrected.sum() == 1
    assert merged.pairs.volume_m3[merged.corrected].tolist() == [34]
    assert sorted(merged.pairs.volume_m3[merged.new]) == [11, 16]
    assert not merged.withdrawn.size
    whole = merge_pairs(first, given, whole=True)
    assert sorted(whole.pairs.volume_m3) == [11, 16, 20, 30, 34]  # May is older than the table: it stands
    assert whole.withdrawn.tolist() == [3]


def electricity_until(case, month):
    return case.energy.window(case.energy.months[0], np.datetime64(month, "M"))


def test_wells_first_measured_later_agree_month_by_month_with_all_at_once(case):
    """The year by which a well is known is that of its first pair, whenever the pair comes in."""
    first = case.pairs["well_id"].isin(case.pairs["well_id"].unique()[:7])
    start = replace(case, pairs=case.pairs[first & (case.pairs["start"] < "2025-10-01")])
    start = replace(start, energy=electricity_until(case, "2025-09")).fit()
    late = case.pairs[case.pairs["start"] >= "2025-10-01"]
    by_month = start
    for moment, month in late.groupby("start"):
        now = known(case) | {"energy": electricity_until(case, moment)}
        by_month = by_month.update(month, **now)
    assert_same(by_month, start.update(late, **known(case)))
    backwards = start
    for _, month in reversed(list(late.groupby("start"))):
        backwards = backwards.update(month, **known(case))
    assert_same(backwards, by_month)


@pytest.fixture(scope="module")
def a_year_ago(case):
    """A coefficient of a year ago, and wells of today with their energy features, by the electricity given."""
    fitted = replace(case, pairs=early_pairs(case), energy=electricity_until(case, "2025-09")).fit()
    names = [feature.name for feature in fitted.spec.numeric]

    def features_of(kwh):
        energy = replace(case.energy, kwh=kwh)
        dense = fitted.context(case.wells, case.water_levels, energy, energy.months[-1:]).static.dense
        return dense[:, 1 + names.index("log_energy")]

    return fitted, features_of


def test_wells_without_pairs_are_known_by_the_electricity_of_their_latest_year(case, a_year_ago):
    fitted, features_of = a_year_ago
    usual = features_of(case.energy.kwh)
    rest = np.setdiff1d(np.arange(len(case.wells)), fitted.posterior.sample)
    light = rest[np.argsort(np.nan_to_num(case.energy.kwh[rest, -12:]).sum(axis=1))[10]]
    doubled = case.energy.kwh.copy()
    doubled[light, -12:] *= 2.0
    moved = features_of(doubled) - usual
    assert moved[light] == pytest.approx(np.log(2.0), abs=0.03)
    assert np.abs(np.delete(moved, light)).max() < 0.03
    sampled = case.energy.kwh.copy()
    sampled[fitted.posterior.sample, -12:] *= 2.0
    np.testing.assert_array_equal(features_of(sampled)[fitted.posterior.sample], usual[fitted.posterior.sample])


def test_what_the_whole_county_uses_more_is_the_weather(case, a_year_ago):
    _, features_of = a_year_ago
    dry = case.energy.kwh.copy()
    dry[:, -12:] *= 1.4
    np.testing.assert_allclose(features_of(dry), features_of(case.energy.kwh), atol=1e-9)


def test_without_a_table_the_water_stands_where_it_was_last_known(case, early, late):
    """It fell by 5 m after the fit and the table was lost: it is remembered, in any order of updates."""
    deeper = case.water_levels.copy()
    fell = deeper["month"] > early.windows.level[-1].astype("datetime64[s]")
    deeper.loc[fell, "depth_m"] += 5.0
    then = late["start"] < "2026-06-01"
    fallen = early.update(late[then], case.wells, deeper, energy=case.energy)
    rest, last = late[~then], fallen.posterior.layout.months[-1]
    blind = fallen.context(case.wells, None, case.energy, np.arange(last, last + 3)).level
    seen = fallen.context(case.wells, deeper, case.energy, np.arange(last, last + 3)).level
    assert blind.mean() > 0.05
    np.testing.assert_array_equal(blind, seen)
    lost = {"wells": case.wells, "energy": case.energy}
    by_month = fallen
    for _, some in rest.groupby("start"):
        by_month = by_month.update(some, **lost)
    assert_same(by_month, fallen.update(rest, **lost))
    before = fallen.context(case.wells, None, case.energy, early.windows.level[-2:]).level
    np.testing.assert_array_equal(
        before, fallen.context(case.wells, deeper, case.energy, early.windows.level[-2:]).level
    )


def test_a_pump_of_which_the_registry_tells_late_is_no_news_of_the_pairs(case, early):
    """The same pairs, and three sample wells that got a pump half a year ago: a step of the registry alone."""
    known_before = early.update(early_pairs(case), **known(case))
    wells = case.wells.copy()
    wells["pump_installed_on"] = np.where(
        wells["well_id"].isin(early.sample_id[:3]), np.datetime64("2025-03-10", "s"), np.datetime64("2015-01-01", "s")
    )
    usual = wells.assign(pump_installed_on=np.datetime64("2015-01-01", "s"))
    last = known_before.update(None, usual, case.water_levels, energy=case.energy)
    news = last.update(None, wells, case.water_levels, energy=case.energy).news
    assert news["energy_and_registry"].abs().max() > 1e-3
    np.testing.assert_allclose(news["new_pairs"], 0.0, atol=2e-6)


def test_before_a_pump_was_put_in_its_age_is_that_of_a_pump_not_known(case, early):
    months = np.arange(np.datetime64("2025-07"), np.datetime64("2025-10"))
    dated = case.wells.assign(pump_installed_on=np.datetime64("2012-01-01", "s"))
    fitted = replace(case, wells=dated.assign(pump_installed_on=dates_of(len(dated)))).fit()
    later, blank = dated.copy(), dated.copy()
    later.loc[later.index[5], "pump_installed_on"] = np.datetime64("2025-10-02", "s")
    blank.loc[blank.index[5], "pump_installed_on"] = np.datetime64("NaT", "s")
    static = [fitted.context(some, case.water_levels, case.energy, months).static for some in (later, blank, dated)]
    np.testing.assert_array_equal(static[0].dense, static[1].dense)
    np.testing.assert_array_equal(static[0].blank, static[1].blank)
    assert not np.array_equal(static[0].dense, static[2].dense)


def dates_of(n):
    """Dates of installation over twenty years."""
    return np.datetime64("2003-01-01", "s") + np.arange(n) * np.timedelta64(7300 // n, "D")
