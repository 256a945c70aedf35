"""The notebooks as scripts: they run, agree with the batch job, and stop politely without the field tests."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPARED = ("elec2water", "class mean", "log-linear, depth")


@pytest.fixture(autouse=True)
def no_window():
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def run_notebook(name, folder, **replaced):
    """Run a copy of a notebook with some texts replaced, and return its names."""
    text = (ROOT / "notebooks" / name).read_text(encoding="utf-8")
    for old, new in replaced.values():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / name).write_text(text, encoding="utf-8")
    return runpy.run_path(str(folder / name))


def benchmark():
    specification = importlib.util.spec_from_file_location("field_tests", ROOT / "benchmarks" / "field_tests.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_first_tour_has_ten_cells_and_gives_the_numbers_of_the_batch_job(tmp_path, capsys):
    text = (ROOT / "notebooks" / "first_tour.py").read_text(encoding="utf-8")
    assert len(re.findall(r"^# %%(?! \[markdown\])", text, flags=re.MULTILINE)) == 10
    names = run_notebook("first_tour.py", tmp_path, smaller=("wells=300", "wells=80"), fewer=("folds=5", "folds=2"))
    by_hand = names["volume"].table("township", names["county"].wells["township"]).set_index("key")
    batch = names["run"].totals.query("domain == 'township'").set_index("key")
    assert set(batch.index) == set(by_hand.index)
    for column in ("energy_kwh", "volume_m3", "lower_m3", "upper_m3"):
        difference = (batch[column] / by_hand.loc[batch.index, column] - 1).abs().max()
        assert difference < 1e-6, column
    assert str(names["run"].release.folder) in capsys.readouterr().out


def test_without_the_field_tests_the_notebook_says_where_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    run_notebook("field_tests.py", tmp_path, elsewhere=('TESTS = ""', f"TESTS = {str(tmp_path / 'none.csv')!r}"))
    said = capsys.readouterr().out
    assert "zhangyiningzhang/water-platform, commit 82ac5c5" in said
    assert "ELEC2WATER_FIELD_TESTS" in said


def test_the_variable_names_the_file(tmp_path, monkeypatch):
    module = benchmark()
    monkeypatch.setenv("ELEC2WATER_FIELD_TESTS", str(tmp_path / "mine.csv"))
    assert module.path_of_tests(None) == tmp_path / "mine.csv"
    assert module.path_of_tests("given.csv") == Path("given.csv")
    monkeypatch.delenv("ELEC2WATER_FIELD_TESTS")
    assert module.path_of_tests(None) == ROOT.parent / "shared" / "data" / "field_tests" / "baicheng.csv"


@pytest.fixture
def real_tests():
    module = benchmark()
    path = module.path_of_tests(None)
    if not path.exists():
        pytest.skip(module.absent(path))
    return module, module.read_tests(path), {n: m for n, m in module.METHODS.items() if n in COMPARED}


def test_real_wells_left_out_are_forecast_as_well_as_by_regression_with_intervals_that_hold(real_tests):
    """The full comparison is benchmarks/field_tests.py; the bounds are those the project set itself."""
    module, tests, methods = real_tests
    scores = module.scores(module.cross_validate(tests, methods, repeats=1)).set_index("method")
    error = scores["weighted_absolute_error"]
    assert error["elec2water"] <= 0.28
    assert error["elec2water"] <= error.drop("elec2water").min() + 0.005
    assert 0.86 <= scores.loc["elec2water", "coverage_0.9"] <= 0.94
    assert abs(scores.loc["elec2water", "bias"]) <= 0.02
    by_well = scores["mean_absolute_relative_error"]
    assert by_well["elec2water"] <= by_well["class mean"]
    assert by_well["elec2water"] <= by_well["log-linear, depth"] + 0.012


def test_from_ten_real_wells_the_model_beats_class_mean_and_regression(real_tests):
    module, tests, methods = real_tests
    scores = module.scores(module.few_wells(tests, methods, n=10, repeats=12)).set_index("method")
    error = scores["weighted_absolute_error"]
    assert error["elec2water"] < error["log-linear, depth"]
    assert error["elec2water"] < error["class mean"] - 0.05


def test_four_years_end_with_a_smaller_error_than_the_fixed_coefficient(tmp_path):
    names = run_notebook("four_years.py", tmp_path, smaller=("WELLS = 300", "WELLS = 150"))
    error = names["error"].iloc[-2:].abs().mean()
    assert error["updated"] < error["fixed"]
    assert names["after"].county.se_m3[0] < names["volume"].county.se_m3[0]
    compared = names["compared"]
    assert compared.loc["next", "cost"] == names["plan"].cost
    assert compared.loc["next", "cost_per_m3"] == compared["cost_per_m3"].min()
    assert set(compared.index) == {"next", "random 1", "random 2", "random 3", "oldest"}
