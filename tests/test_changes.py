"""Changes of wells: innovations are white, breaks and drifts are found and named, one wrong reading is none of them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from core_kit import small_case
from elec2water.coefficient import fit_coefficient, gaussian
from elec2water.coefficient.changes import find_changes
from elec2water.coefficient.equipment import FAULTS, METER_CHECKED, Equipment
from elec2water.coefficient.gaussian import Rows, WellVariances
from elec2water.coefficient.innovations import OWN_SLOPE_SD, Allowed, Limits, lone_outliers, scan
from elec2water.coefficient.state import from_dataset, to_dataset
from elec2water.coefficient.steady import SteadyLoads
from elec2water.watch import change_findings, meter_findings

VARIANCES = WellVariances(0.05, 0.002, 0.0025, 2.0)
LIMITS = Limits.of(1.0)


def rows_of(n_wells, n_pairs):
    """Wells read every month, with no shared effect at all."""
    n = n_wells * n_pairs
    return Rows(
        well=np.repeat(np.arange(n_wells), n_pairs),
        y=np.zeros(n),
        time=np.tile(np.arange(n_pairs) / 12.0, n_wells),
        pump=np.zeros(n, dtype=np.intp),
        unread=np.zeros(n),
        cell=np.zeros(n, dtype=np.intp),
        static=np.zeros((n_wells, 1)),
        moving=np.zeros((n, 0)),
        scale=np.ones(n),
        extra=np.zeros(n),
        level_scale=np.ones(n_wells),
        n_cells=1,
    )


def draw(rows, seed):
    """Draw the residuals of wells from the covariance that the model gives them."""
    rng = np.random.default_rng(seed)
    residual = np.empty(rows.y.size)
    for group in gaussian.group_wells(rows):
        L = np.linalg.cholesky(gaussian.well_covariance(group, rows, VARIANCES))
        residual[group.rows] = np.einsum("wij,wj->wi", L, rng.standard_normal(group.rows.shape))
    return residual


def allowed(rows, *own):
    return Allowed(rows, VARIANCES, np.zeros(rows.y.size), own)


def scanned(rows, residual):
    return scan(residual, allowed(rows), LIMITS)


def test_false_alarms_stay_below_the_rate_that_is_stated():
    """3,000 well-years without a change: at most one alarm in a hundred, by the binomial's 99.9 % bound."""
    rows = rows_of(1000, 36)
    alarms = scanned(rows, draw(rows, 1))
    n = int(((alarms.step_row >= 0) | (alarms.drift_row >= 0)).sum())
    assert n <= 30 + 3.1 * np.sqrt(30)


@pytest.mark.parametrize(("step", "least"), [(0.25, 0.85), (-0.25, 0.85), (0.4, 0.9)])
def test_a_step_is_found_at_its_second_reading(step, least):
    rows = rows_of(400, 24)
    residual = draw(rows, 2)
    changed = np.arange(0, 400, 10)
    for well in changed:
        residual[well * 24 + 15 : (well + 1) * 24] += step
    alarms = scanned(rows, residual)
    found = alarms.step_row[changed] == changed * 24 + 15
    assert found.mean() >= least
    np.testing.assert_array_equal(alarms.step_found[changed][found], changed[found] * 24 + 16)
    np.testing.assert_allclose(alarms.step[changed][found].mean(), step, atol=0.04)


def test_steps_are_found_as_often_as_two_readings_permit():
    """Against the best test at the same limit: Φ(step/s - limit), s of two readings from the model's own covariance."""
    rows, step = rows_of(1000, 16), 0.24
    residual = draw(rows, 5)
    changed = np.arange(0, 1000, 4)
    for well in changed:
        residual[well * 16 + 14 : (well + 1) * 16] += step
    alarms = scanned(rows, residual)
    S = gaussian.well_covariance(gaussian.group_wells(rows)[0], rows, VARIANCES)[0]
    gain = np.linalg.solve(S[:14, :14], S[:14, 14:]).T
    s = 1.0 / np.sqrt(np.linalg.inv(S[14:, 14:] - gain @ S[:14, 14:]).sum())
    attainable = special.ndtr(step / s - LIMITS.step)
    assert (alarms.step_row[changed] == changed * 16 + 14).mean() > attainable - 0.1


def test_one_wrong_reading_is_no_step_even_when_it_is_the_last():
    """A wrong last reading of ten standard deviations beside one of two: they lean the same way and do not agree."""
    rows = rows_of(400, 20)
    residual = draw(rows, 6)
    last = np.arange(19, 400 * 20, 20)
    residual[last] += 0.6
    residual[last - 1] += 0.06
    alarms = scanned(rows, residual)
    assert (alarms.step_found == last).mean() < 0.05


def test_a_well_that_swings_with_its_water_table_is_no_alarm_every_year():
    rows = rows_of(300, 36)
    level = 0.15 * np.sin(2 * np.pi * rows.time)
    swings = rows.well % 10 == 0
    residual = draw(rows, 7) - np.where(swings, 1.2 * level, 0.0)
    alone = scanned(rows, residual)
    told = scan(residual, allowed(rows, OWN_SLOPE_SD * level), LIMITS)
    counts = [int(((a.step_row >= 0) | (a.drift_row >= 0))[::10].sum()) for a in (alone, told)]
    assert counts[0] > 10
    assert counts[1] < 0.5 * counts[0]


def test_a_slow_fault_is_found_by_the_sums_before_a_year_is_over():
    rows = rows_of(300, 36)
    residual = draw(rows, 3)
    drifting = np.arange(0, 300, 10)
    for well in drifting:
        residual[well * 36 + 12 : (well + 1) * 36] += 0.03 * np.arange(24)
    alarms = scanned(rows, residual)
    found = (alarms.drift_row[drifting] >= 0) | (alarms.step_row[drifting] >= 0)
    assert found.mean() > 0.8
    others = np.setdiff1d(np.arange(300), drifting)
    assert (alarms.drift_row[others] >= 0).mean() < 0.05


def test_a_run_of_outlying_pairs_is_no_wrong_reading_but_its_last_one_may_be():
    rows = rows_of(1, 9)
    residual = np.array([0.0, 0.02, -2.3, -2.28, -2.33, -2.29, 0.01, 1.5, 0.0])
    lone = lone_outliers(rows, residual, np.abs(residual) > 1.0)
    np.testing.assert_array_equal(np.flatnonzero(lone), [5, 7])


def test_a_change_is_dated_from_where_the_readings_show_it():
    """The reading before leans its way by a little more than two standard deviations and agrees by chance."""
    rows = rows_of(400, 20)
    residual = draw(rows, 8)
    changed = np.arange(0, 400, 10)
    places = changed[:, None] * 20 + np.arange(14, 20)
    residual[places] += 0.45
    residual[places[:, 0] - 1] += 0.12
    alarms = scanned(rows, residual)
    assert (alarms.step_row[changed] == places[:, 0]).mean() > 0.85


def test_a_known_change_of_pump_is_no_alarm():
    rows = rows_of(200, 24)
    residual = draw(rows, 4)
    later = np.tile(np.arange(24) >= 12, 200)
    residual[later] += 0.3
    told = replace(rows, pump=later.astype(np.intp))
    assert (scanned(told, residual).step_row >= 0).sum() <= 4


@pytest.fixture(scope="module")
def case():
    return small_case(60, 14, 5, pair_months=24, last_pair=-1, missing=0.0)


def with_factor(pairs, well, since, factor, until="2100-01-01"):
    changed = pairs.copy()
    here = changed["well_id"].eq(well) & changed["start"].between(since, until, inclusive="left")
    changed.loc[here, "volume_m3"] *= factor
    return changed


@pytest.fixture(scope="module")
def early(case):
    """The coefficient of the months before anything in these tests changes."""
    return before_changes(case).fit()


def before_changes(case):
    return replace(case, pairs=case.pairs[case.pairs["start"] < "2025-10-01"])


def followed(early, case, pairs):
    return early.update(pairs, wells=case.wells, water_levels=case.water_levels, energy=case.energy, whole=True)


def busiest(case):
    late = case.pairs[case.pairs["start"] >= "2026-04-01"]
    return late["well_id"].value_counts().index[0]


@pytest.fixture(scope="module")
def usual(case):
    return case.fit()


@pytest.fixture(scope="module")
def fallen(case, early):
    """A well, the pairs in which it gives two fifths of its water from April on, and the coefficient after them."""
    well = busiest(case)
    pairs = with_factor(case.pairs, well, "2026-04-01", 0.4)
    return well, pairs, followed(early, case, pairs)


class TestLoads:
    """Of what is weighed as a steady load the noise widens what readings may do, and wells that changed have none."""

    @pytest.mark.parametrize("noise", [0.0, 25.0])
    def test_what_is_uncertain_of_a_load_is_allowed_for(self, monkeypatch, fallen, noise):
        coefficient = fallen[2]
        rows = coefficient.posterior.rows
        unaware = replace(rows, extra=0.0 * rows.extra, pump=0 * rows.pump)
        posterior = replace(coefficient.posterior, rows=unaware)
        looked_at = []

        def weighed(residual, _allowed, _taken, wells):
            looked_at.extend(coefficient.sample_id[wells])
            certain, size = np.ones(wells.size), residual.size
            return SteadyLoads(wells, certain, 5.0 * certain, np.zeros(size), np.zeros(size), np.full(size, noise))

        monkeypatch.setattr("elec2water.coefficient.changes.steady_loads", weighed)
        found = find_changes(posterior, coefficient.measured, LIMITS)
        changed = set(coefficient.sample_id[found.changes.well])
        assert fallen[0] in looked_at
        assert (fallen[0] in changed) == (noise == 0.0)
        assert set(found.loads.table(coefficient.sample_id)["well_id"]) == set(looked_at) - changed


class TestCounty:
    def test_a_changed_well_is_named_and_does_not_drag_its_class(self, case, early, fallen):
        well, _, changed = fallen
        usual = followed(early, case, case.pairs)
        assert well in changed.changes["well_id"].tolist()
        row = changed.changes[changed.changes["well_id"] == well].iloc[0]
        assert row["step"] == pytest.approx(np.log(0.4), abs=0.2)
        assert row["candidate"] in {"water_meter", "multiplier"}
        moved = changed.summary["coefficient_m3_per_kwh"] / usual.summary["coefficient_m3_per_kwh"]
        np.testing.assert_allclose(moved, 1.0, atol=0.03)

    def test_a_known_fault_drags_no_class_when_the_variances_are_sought_anew(self, case, usual, fallen):
        """The fault lasts: neither a new fit nor an update of it, through a file, believes its pairs."""
        well, pairs, changed = fallen
        known = {"wells": case.wells, "water_levels": case.water_levels, "energy": case.energy}
        anew = fit_coefficient(pairs, **known, pumps=changed.equipment)
        n_faulty = (pairs["well_id"].eq(well) & pairs["start"].ge("2026-04-01")).sum()
        later = from_dataset(to_dataset(anew)).update(pairs, **known, whole=True)
        for fitted in (anew, later):
            assert (fitted.posterior.plain_rows.extra > 1.0).sum() == n_faulty
            moved = fitted.summary["coefficient_m3_per_kwh"] / usual.summary["coefficient_m3_per_kwh"]
            np.testing.assert_allclose(moved, 1.0, atol=0.03)
            assert fitted.posterior.variance["level"] < 1.15 * usual.posterior.variance["level"]

    def test_a_jammed_water_meter_stays_found_however_many_readings_follow(self, case, early):
        """A tenth of the water and the electricity as ever: no multiplier, and no outlier that hides the next."""
        well = busiest(case)
        for since in ("2026-01-01", "2026-04-01"):
            jammed = followed(early, case, with_factor(case.pairs, well, since, 0.1))
            row = jammed.changes.set_index("well_id").loc[[well]]
            assert row["candidate"].tolist() == ["water_meter"]
            assert row["step"].iloc[0] == pytest.approx(np.log(0.1), abs=0.2)
            here = jammed.measured.start[~jammed.believed_meters]
            assert here.min() >= np.datetime64(since)

    def test_a_multiplier_is_in_the_electricity_too(self, case):
        well = busiest(case)
        pairs = case.pairs.copy()
        lost = pairs["well_id"].eq(well) & pairs["start"].ge("2026-04-01")
        pairs.loc[lost, "energy_kwh"] /= 20.0
        place = int(np.flatnonzero(case.wells["well_id"] == well)[0])
        kwh = case.energy.kwh.copy()
        kwh[place, case.energy.months >= np.datetime64("2026-04")] /= 20.0
        slipped_case = replace(case, energy=replace(case.energy, kwh=kwh))
        slipped = followed(before_changes(slipped_case).fit(), slipped_case, pairs)
        assert slipped.changes.set_index("well_id").loc[[well], "candidate"].tolist() == ["multiplier"]

    def test_one_wrong_month_is_no_change(self, case, early):
        well = busiest(case)
        odd = followed(early, case, with_factor(case.pairs, well, "2026-05-01", 2.5, "2026-06-01"))
        assert well not in odd.changes["well_id"].tolist()

    def test_the_order_of_pairs_does_not_matter_when_wells_change(self, case, early, fallen):
        _, pairs, at_once = fallen
        known = {"wells": case.wells, "water_levels": case.water_levels, "energy": case.energy}
        step = early
        for _, month in pairs[pairs["start"] >= "2025-10-01"].groupby("start"):
            step = step.update(month, **known)
        np.testing.assert_allclose(step.posterior.means, at_once.posterior.means, rtol=0, atol=1e-8)
        np.testing.assert_array_equal(step.equipment.date, at_once.equipment.date)

    def test_what_is_found_is_told_once(self, fallen):
        well, _, changed = fallen
        assert changed.update(with_news=False).changes.empty
        assert (
            find_changes(changed.posterior, changed.measured, LIMITS).changes.well.size == 0
            or well not in changed.sample_id[find_changes(changed.posterior, changed.measured, LIMITS).changes.well]
        )


@pytest.fixture(scope="module")
def renewed(case):
    """A well that gives 1.45 times its water from October on, as a first fit finds it."""
    well = busiest(case)
    return well, replace(case, pairs=with_factor(case.pairs, well, "2025-10-01", 1.45)).fit()


class TestFirstFit:
    """What changed within the months of a first fit: the well starts anew there, as it would in an update."""

    def test_a_well_that_changed_is_predicted_from_after_the_change(self, case, usual, renewed):
        well, changed = renewed
        assert usual.equipment.detected.sum() == 0
        assert changed.equipment.well_id[changed.equipment.detected].tolist() == [well]
        assert changed.changes["candidate"].tolist() == ["new_pump"]
        place = int(np.flatnonzero(case.wells["well_id"] == well)[0])
        then = replace(case, energy=case.energy.carried(np.datetime64("2027-09")))
        wells = [then.volume(fitted, "2027Q3").wells for fitted in (usual, changed)]
        kappa = [w.converted_m3[place].sum() / w.kwh[place] for w in wells]
        # The readings since the change say 1.45; those before would have drawn it towards 1.2.
        assert kappa[1] / kappa[0] == pytest.approx(1.45, rel=0.07)
        assert changed.posterior.variance["drift"] < 1.3 * usual.posterior.variance["drift"]

    def test_an_update_keeps_what_the_fit_found(self, case, renewed):
        _, changed = renewed
        known = {"wells": case.wells, "water_levels": case.water_levels, "energy": case.energy}
        again = from_dataset(to_dataset(changed)).update(**known)
        np.testing.assert_allclose(again.posterior.means, changed.posterior.means, rtol=0, atol=1e-8)
        assert again.changes.empty

    def test_few_wells_that_did_not_change_are_reset(self):
        """Three counties, 150 sample wells for a year: at most the false alarms that a year of them may have."""
        reset = sum(
            int(small_case(80, 50, seed, pair_months=12, last_pair=-1).fit().equipment.detected.sum())
            for seed in (11, 12, 13)
        )
        assert reset <= 5


class TestEndOfCurve:
    """A pump that gives far less where its water stands lower than ever has no faulty meter."""

    @pytest.mark.parametrize(("deeper", "candidate"), [(1.35, "low_water"), (1.0, "water_meter")])
    def test_the_water_says_which_it_is(self, case, deeper, candidate):
        well = busiest(case)
        levels = case.water_levels.copy()
        late = levels["month"] >= "2026-04-01"
        levels.loc[late, "depth_m"] *= deeper
        fallen = case.pairs["start"] >= "2026-04-01"
        pairs = case.pairs.assign(volume_m3=case.pairs["volume_m3"].where(~fallen, case.pairs["volume_m3"] / deeper))
        changed = replace(case, pairs=with_factor(pairs, well, "2026-04-01", 0.42), water_levels=levels).fit()
        assert changed.changes.set_index("well_id").loc[[well], "candidate"].tolist() == [candidate]
        assert changed.believed_meters.all() == (candidate == "low_water")


@pytest.fixture(scope="module")
def faulty(case, early):
    well = busiest(case)
    pairs = with_factor(case.pairs, well, "2026-02-01", 0.42)
    return well, pairs, followed(early, case, pairs)


class TestWaterMeter:
    """A water meter with a fault is not what a well reports, until the registry says that it was checked."""

    def test_its_readings_are_converted_instead(self, case, faulty):
        well, pairs, fitted = faulty
        place = int(np.flatnonzero(case.wells["well_id"] == well)[0])
        assert fitted.changes.loc[fitted.changes["well_id"] == well, "candidate"].tolist() == ["water_meter"]
        volume = case.volume(fitted)
        assert volume.wells.method[place] == "converted"
        truth = case.truth_m3[place, -3:].sum()
        assert volume.wells.lower_m3[place] < truth < volume.wells.upper_m3[place]
        read = pairs[pairs["well_id"].eq(well) & pairs["start"].ge("2026-07-01")]["volume_m3"].sum()
        findings = meter_findings(fitted, "2026Q3", lang="en").frame
        assert findings["well_id"].tolist() == [well]
        assert f"{read:.0f} m³ it showed in 2026Q3 are not used" in findings["message"].item()
        assert meter_findings(fitted, "2025Q4").frame.empty
        others = np.flatnonzero(volume.wells.sampled & (np.arange(len(case.wells)) != place))
        assert (volume.wells.method[others] == "measured").mean() > 0.5

    def test_a_meter_that_was_checked_is_believed_again(self, case, faulty):
        well, pairs, _ = faulty
        repaired = with_factor(pairs, well, "2026-07-01", 1.0 / 0.42)
        when = np.full(len(case.wells), np.datetime64("NaT", "s"))
        when[case.wells["well_id"] == well] = np.datetime64("2026-07-01", "s")
        wells = case.wells.assign(water_meter_checked_on=when)
        known = {"wells": wells, "water_levels": case.water_levels, "energy": case.energy}
        start = replace(case, pairs=repaired[repaired["start"] < "2025-10-01"]).fit()
        updated = start.update(repaired, **known, whole=True)
        volume = replace(case, wells=wells).volume(updated)
        place = int(np.flatnonzero(case.wells["well_id"] == well)[0])
        assert volume.wells.method[place] == "measured"
        assert meter_findings(updated, "2026Q3").frame.empty
        assert meter_findings(updated, "2026Q2").frame["well_id"].tolist() == [well]
        same = from_dataset(to_dataset(updated))
        np.testing.assert_array_equal(same.equipment.cause, updated.equipment.cause)
        np.testing.assert_array_equal(same.believed_meters, updated.believed_meters)

    def test_a_check_is_no_change_of_the_well(self):
        well, when = np.zeros(4, dtype=np.intp), np.array(["2020", "2021-07", "2022-07", "2023-07"], "datetime64[s]")
        fault = Equipment(np.array(["a"], object), np.array(["2021-01"], "datetime64[s]"), np.array([True]),
            np.array(["water_meter"], object))  # fmt: skip
        check = Equipment.of(np.array(["a"], object), np.array(["2022-01"], "datetime64[s]"), cause=METER_CHECKED)
        pumps = fault.adding(check).history(np.array(["a"], object))
        np.testing.assert_array_equal(pumps.number(well, when), [0, 1, 1, 1])
        np.testing.assert_array_equal(pumps.under(FAULTS, well, when), [False, True, False, False])
        assert pumps.since(well, when)[-1] == np.datetime64("2021-01")

    @pytest.mark.parametrize("place", [0, 1, 3])
    def test_what_follows_a_fault_is_seen_again(self, case, place):
        """The water meter mended and nobody told: the well is believed again from the month on in which it was back."""
        well = case.pairs["well_id"].value_counts().index[place]
        begin, end = np.sort(case.pairs.loc[case.pairs["well_id"] == well, "start"].to_numpy())[[5, 10]]
        fitted = replace(case, pairs=with_factor(case.pairs, well, begin, 0.42, end)).fit()
        named = fitted.changes[fitted.changes["well_id"] == well]
        assert named["candidate"].tolist()[1:] == ["fault_over"]
        told = change_findings(fitted, lang="en").frame["message"]
        assert told.str.contains("fault found before is over").sum() == 1
        assert named["since"].tolist() == [str(day)[:7] for day in (begin, end)]
        mine = case.wells["well_id"].to_numpy(dtype=object)[fitted.measured.well] == well
        believed = fitted.believed_meters[mine]
        assert believed[10:].all()
        assert not believed[5:10].any() or named["candidate"].iloc[0] != "water_meter"
