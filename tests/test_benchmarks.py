"""Benchmarks in small: that they still run on the code as it stands, and that what they time is the right answer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    """A copy, since they write their results beside themselves."""
    place = tmp_path_factory.mktemp("timed") / "benchmarks"
    shutil.copytree(ROOT / "benchmarks", place, ignore=shutil.ignore_patterns("results", "__pycache__"))
    (place / "results").mkdir()
    return place


def result(place, name, *words):
    """Run a benchmark as its page says and read what it writes."""
    subprocess.run([sys.executable, place / f"{name}.py", *words], check=True, capture_output=True, timeout=300)
    return json.loads((place / "results" / f"{name}.json").read_text("utf-8"))


def test_closed_form_totals_are_those_of_draws(benchmarks):
    found = result(benchmarks, "bench_totals", "--wells", "5000", "--townships", "50", "--strata", "6")
    assert found["median_sd_drawn_over_closed"] == pytest.approx(1.0, abs=0.1)


def test_a_quarter_is_taken_step_by_step(benchmarks):
    found = result(benchmarks, "bench_scale", "10000")
    for form in ("the quarter alone", "fifteen months"):
        steps = found[form]["10000"]
        parts = sum(seconds for step, seconds in steps.items() if step in ("electricity by well and month", "fit"))
        assert (
            0.0
            < parts
            <= steps["energy to totals, fault rules left out"]
            <= steps["whole run, processor and operating system"]
        )
