"""Figures: what is drawn is what was given, every character has a glyph, nothing overlaps."""

from __future__ import annotations

import io
import itertools
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from scipy import stats

from elec2water import plot
from elec2water.errors import UsageError
from elec2water.project import Run
from elec2water.validation import Validation

PRIVATE = "\U0010fffd"
TOWNSHIPS = ["城关镇", "大寨镇", "三庄镇", "石岭镇"]


@pytest.fixture(autouse=True)
def no_window():
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def drawn(ax) -> dict[str, tuple[float, float, float, str]]:
    """Centre, lower and upper bound and the number beside it of every row, by its name."""
    lines = next(c for c in ax.collections if isinstance(c, LineCollection))
    bounds = {s[0, 1]: (s[0, 0], s[1, 0]) for s in lines.get_segments() if len(s)}
    centres = {y: x for line in ax.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    counts = {t.get_position()[1]: t.get_text() for t in ax.texts if t.get_transform() == ax.get_yaxis_transform()}
    names = [t.get_text() for t in ax.get_yticklabels()]
    return {n: (centres[y], *bounds[y], counts[y]) for n, y in zip(names, ax.get_yticks(), strict=True)}


def saved_without_a_warning(ax) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


def class_frame(kappa, wells, *, months=("2026-09",), names=None) -> pd.DataFrame:
    kappa = np.asarray(kappa, dtype=np.float64)
    names = names or [f"浅层 | 功率{k} | 泵深{k}" for k in range(kappa.size)]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "stratum": names,
                    "month": month,
                    "coefficient_m3_per_kwh": kappa * (1 + m),
                    "lower": 0.8 * kappa * (1 + m),
                    "upper": 1.3 * kappa * (1 + m),
                    "confidence": 0.9,
                    "n_sample_wells": wells,
                }
            )
            for m, month in enumerate(months)
        ],
        ignore_index=True,
    )


def totals_frame(volume) -> pd.DataFrame:
    volume = np.asarray(volume, dtype=np.float64)
    keys = [TOWNSHIPS[k % 4] + str(k) for k in range(volume.size)]
    frame = pd.DataFrame({"domain": "township", "key": keys, "quarter": "2026Q3", "n_wells": range(volume.size)})
    frame = frame.assign(volume_m3=volume, lower_m3=0.9 * volume, upper_m3=1.2 * volume, confidence=0.9)
    county = frame.iloc[:1].assign(domain="county", key="示范县", volume_m3=volume.sum())
    return pd.concat([county, frame], ignore_index=True)


def forecast_frame(n, seed=0, spread=0.3) -> pd.DataFrame:
    """Wells whose κ really comes from their forecast distributions."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.uniform(1, 8, n), np.full(n, spread)
    observed = mean * np.exp(-0.5 * sd**2 + sd * rng.standard_normal(n))
    frame = pd.DataFrame({"held_out": "wells", "observed": observed, "model": mean, "log_variance": sd**2})
    for level in (0.5, 0.9, 0.95):
        lognormal = stats.lognorm(s=sd, scale=mean * np.exp(-0.5 * sd**2))
        frame[f"lower_{level:g}"], frame[f"upper_{level:g}"] = lognormal.interval(level)
    return frame


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 99)), min_size=1, max_size=12))
def test_a_stratum_stands_where_its_coefficient_is_the_highest_first(rows):
    kappa, wells = zip(*rows, strict=True)
    ax = plot.coefficients(class_frame(kappa, wells))
    found = drawn(ax)
    for k, (value, count) in enumerate(rows):
        name = f"浅层 | 功率{k} | 泵深{k}"
        np.testing.assert_allclose(found[name][:3], (value, 0.8 * value, 1.3 * value))
        assert found[name][3] == str(count)
    in_order = [centre for centre, *_ in found.values()]
    assert in_order == sorted(in_order, reverse=True)
    assert ax.yaxis_inverted()
    plt.close(ax.figure)


def test_a_stratum_without_sample_wells_has_an_open_mark():
    ax = plot.coefficients(class_frame([1.0, 2.0, 3.0], [4, 0, 7]))
    open_marks = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert [x for line in open_marks for x in line.get_xdata()] == [2.0]


def test_the_last_month_is_drawn_unless_another_is_asked_for():
    frame = class_frame([2.0, 3.0], [1, 1], months=("2026-07", "2026-08"))
    assert [row[0] for row in drawn(plot.coefficients(frame)).values()] == [6.0, 4.0]
    ax = plot.coefficients(frame, month="2026-07")
    assert [row[0] for row in drawn(ax).values()] == [3.0, 2.0]
    assert ax.get_title("left").endswith("2026-07")
    with pytest.raises(UsageError, match="expected one of 2026-07, 2026-08, found '2026-10'"):
        plot.coefficients(frame, month="2026-10")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=12))
def test_totals_are_drawn_in_10_000_m3_the_greatest_first(volume):
    ax = plot.totals(totals_frame(volume))
    found = drawn(ax)
    for k, value in enumerate(volume):
        row = found[TOWNSHIPS[k % 4] + str(k)]
        np.testing.assert_allclose(row[:3], np.array([1.0, 0.9, 1.2]) * value / 1e4)
        assert row[3] == str(k)
    assert ax.get_xlim()[0] == 0.0
    assert "万m³" in ax.get_xlabel()
    plt.close(ax.figure)


def test_of_many_keys_the_largest_are_drawn_and_the_title_says_so():
    ax = plot.totals(totals_frame(np.arange(1, 101) * 1e4), largest=7)
    assert [row[0] for row in drawn(ax).values()] == [100, 99, 98, 97, 96, 95, 94]
    assert "前 7 个，共 100 个" in ax.get_title("left")


def test_long_names_are_inside_the_figure_and_do_not_overlap():
    names = [f"第四系松散岩类孔隙水浅层 | 功率{k}–{k + 1} | 泵深36–62 | 灌溉方式pipe" for k in range(30)]
    ax = plot.coefficients(class_frame(np.arange(1, 31), range(30), names=names))
    saved_without_a_warning(ax)
    boxes = [t.get_window_extent() for t in ax.get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))
    right = max(t.get_window_extent().x1 for t in ax.texts)
    assert right <= ax.figure.bbox.x1


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_figure_is_drawn_without_a_missing_glyph(lang):
    names = ["浅层≤7.5", f"{PRIVATE}层 −3"]
    calibration = pd.DataFrame({"held_out": "wells", "level": [0.5, 0.9], "coverage": [0.52, 0.88], "n_wells": 50})
    figures = [
        plot.coefficients(class_frame([1, 2], [3, 0], names=names), lang=lang),
        plot.totals(totals_frame([1e5, 2e5]), lang=lang),
        plot.observed_predicted(forecast_frame(30), lang=lang),
        plot.coverage(calibration, lang=lang),
        plot.pit(forecast_frame(30), lang=lang),
    ]
    for ax in figures:
        saved_without_a_warning(ax)
        labels = ax.get_title("left") + ax.get_xlabel()
        assert any("\u4e00" <= c <= "\u9fff" for c in labels) == (lang == "zh")
    assert [t.get_text() for t in figures[0].get_yticklabels()] == ["〓层 −3", "浅层≤7.5"]


def test_titles_say_of_which_months_and_what_was_held_out():
    season = forecast_frame(20).assign(held_out="season")
    assert plot.totals(totals_frame([1e5])).get_title("left").startswith("2026Q3（7–9 月）取水量")
    assert "(months 7–9)" in plot.totals(totals_frame([1e5]), lang="en").get_title("left")
    assert plot.pit(season, held_out="season").get_title("left") == "预测分布校准(PIT)：留出最近一季，20 眼井"
    assert plot.observed_predicted(forecast_frame(20)).get_title("left").startswith("留出样本井检验：20 眼井")
    assert (
        plot.observed_predicted(season, held_out="season", lang="en").get_title("left").startswith("Last season held")
    )


def test_held_out_wells_stand_at_their_forecast_and_their_measurement():
    frame = forecast_frame(40, seed=2)
    ax = plot.observed_predicted(frame)
    points = sorted((x, y) for line in ax.lines[1:] for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True))
    np.testing.assert_allclose(points, sorted(zip(frame["model"], frame["observed"], strict=True)))
    segments = np.array([(s[0, 1], s[0, 0], s[1, 0]) for s in ax.collections[0].get_segments()])
    np.testing.assert_allclose(segments, frame[["observed", "lower_0.9", "upper_0.9"]].to_numpy())
    outside = next(line for line in ax.lines[1:] if line.get_markerfacecolor() == "white").get_ydata()
    expected = frame.loc[
        (frame["observed"] < frame["lower_0.9"]) | (frame["observed"] > frame["upper_0.9"]), "observed"
    ]
    assert sorted(outside) == sorted(expected)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlim() == ax.get_ylim()


def test_the_pit_is_the_distribution_function_of_the_forecast():
    """scipy's lognormal is the oracle; exact forecasts give a flat histogram (Kolmogorov-Smirnov)."""
    frame = forecast_frame(400, seed=5)
    s = np.sqrt(frame["log_variance"])
    place = stats.lognorm.cdf(frame["observed"], s=s, scale=frame["model"] * np.exp(-0.5 * s**2))
    heights = [bar.get_height() for bar in plot.pit(frame).patches if bar.get_width() < 0.2]
    assert heights == np.histogram(place, bins=10, range=(0, 1))[0].tolist()
    assert stats.kstest(place, "uniform").pvalue > 0.01


def test_the_range_of_chance_is_binomial():
    calibration = pd.DataFrame({"held_out": "wells", "level": [0.5, 0.9], "coverage": [0.5, 0.96], "n_wells": 100})
    ax = plot.coverage(calibration)
    ranges = [(s[0, 0], s[0, 1], s[1, 1]) for s in ax.collections[0].get_segments()]
    np.testing.assert_allclose(ranges, [(0.5, 0.42, 0.58), (0.9, 0.85, 0.95)])  # qbinom(c(.05, .95), 100, p) in R
    assert ax.lines[1].get_ydata().tolist() == [0.5, 0.96]


def test_a_figure_of_the_caller_is_drawn_into():
    figure, axes = plt.subplots(1, 2)
    assert plot.totals(totals_frame([1.0]), ax=axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match=r"totals: expected columns .*; missing are upper_m3, found domain"):
        plot.totals(totals_frame([1.0]).drop(columns="upper_m3"))
    with pytest.raises(UsageError, match="domain: expected one of county, township, found 'village'"):
        plot.totals(totals_frame([1.0]), domain="village")
    with pytest.raises(UsageError, match="held_out: expected one of wells, found 'season'"):
        plot.pit(forecast_frame(5), held_out="season")
    with pytest.raises(UsageError, match="lang: expected one of zh, en, found 'fr'"):
        plot.totals(totals_frame([1.0]), lang="fr")


def test_results_hand_over_to_the_figures():
    totals, forecasts = totals_frame([1e4, 3e4]), forecast_frame(20)
    calibration = pd.DataFrame({"held_out": "wells", "level": [0.9], "coverage": [0.9], "n_wells": 20})
    assert drawn(Run(None, totals, None, {}, pd.DataFrame()).plot(lang="en")) == drawn(plot.totals(totals))
    validation = Validation(pd.DataFrame(), calibration, forecasts)
    for kind, frame in (("observed_predicted", forecasts), ("coverage", calibration), ("pit", forecasts)):
        same = getattr(plot, kind)(frame, lang="en")
        assert saved_without_a_warning(validation.plot(kind, lang="en")) == saved_without_a_warning(same)
