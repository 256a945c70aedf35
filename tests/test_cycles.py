"""Meters that are read every few months are counted, and only what is odd for them is listed."""

import itertools

import numpy as np
import pytest

from elec2water.energy.intervals import Intervals
from elec2water.energy.reporter import Reporter
from elec2water.energy.screen.cycles import off_cycle
from elec2water.rules import RuleSettings

EDGES = np.cumsum([19_723, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
"""First days of the months of a year, and of the next."""


def read(*schedules: list[int]) -> Intervals:
    """A meter a schedule, read at the ends of these months; 100 kWh each."""
    parts = [(k, EDGES[a], EDGES[b]) for k, s in enumerate(schedules) for a, b in itertools.pairwise(s)]
    meter, start, end = (np.array(column, dtype=np.int64) for column in zip(*parts, strict=True))
    n = meter.size
    return Intervals(meter, start, end, np.full(n, 100.0), np.zeros(n, dtype=bool), np.arange(n))


def found(intervals: Intervals, lang: str = "zh") -> tuple[list[list[object]], list[str], object]:
    names = np.array([f"T{k}" for k in range(int(intervals.meter.max()) + 1)], dtype=object)
    findings = off_cycle(intervals, RuleSettings(), Reporter(names, "readings.csv", "meters.csv", lang))
    every, odd = findings.of(rule="READ_EVERY").frame, findings.of(rule="OFF_CYCLE").frame
    return [*map(list, every[["observed", "energy_kwh"]].to_numpy())], odd["meter_id"].tolist(), every["message"]


MONTHLY = list(range(13))
ODD, EVEN = list(range(0, 13, 2)), list(range(1, 13, 2))


def test_meters_read_every_month_are_not_spoken_of_but_for_a_read_that_was_skipped():
    assert found(read(MONTHLY, MONTHLY))[:2] == ([], [])
    assert found(read(MONTHLY, [*range(5), *range(6, 13)]))[:2] == ([], ["T1"])


@pytest.mark.parametrize("months", [2, 3, 6])
def test_a_county_read_every_few_months_has_one_sentence_and_no_list(months):
    schedule = list(range(0, 13, months))
    every, odd, message = found(read(*[schedule] * 40))
    assert every == [[str(months), 40 * (12 // months) * 100.0]]
    assert odd == []
    assert message.item().startswith(f"40 块电表通常每 {months} 个月抄表一次")


def test_in_a_county_of_two_cycles_each_has_its_sentence_and_what_is_odd_for_its_own_meter_is_listed():
    skipped = [0, 2, 4, 8, 10, 12]
    every, odd, _ = found(read(*[MONTHLY] * 10, *[ODD] * 5, *[EVEN] * 5, skipped, list(range(0, 13, 3))))
    assert [row[0] for row in every] == ["2", "3"]
    assert odd == ["T20"]


def test_a_meter_with_two_readings_has_the_cycle_of_the_county():
    assert found(read(*[ODD] * 10, [0, 2]))[1] == []
    assert found(read(*[MONTHLY] * 10, [0, 2]))[:2] == ([], ["T10"])


def test_the_sentence_in_english():
    assert found(read(*[ODD] * 3), "en")[2].item().startswith("3 meters are read every 2 months as a rule")
