"""Telemetered wells followed month by month: known truth, dense algebra, months added, readings that do not fit."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import elec2water as e2w
from elec2water.recursion import PathPrior, filter_levels
from elec2water.telemetry import LevelVariances, MonthlyCoefficients, follow_panel, monthly_coefficients

MONTHS = np.datetime64("2024-01") + np.arange(24)
V = LevelVariances(level=0.25**2, movement=0.012**2, reading=0.05**2, path_step=0.03**2, centre=1.0)


def made(n: int, seed: int, classes: int = 3):
    """Wells around paths of their classes, with the truth."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, classes, n)
    T = MONTHS.size
    path = 1.0 + rng.normal(0, 0.3, (classes, 1)) + np.cumsum(rng.normal(0, 0.03, (classes, T)), axis=1)
    own = rng.normal(0, 0.25, (n, 1)) + np.cumsum(rng.normal(0, 0.012, (n, T)), axis=1)
    y = path[code] + own + rng.normal(0, 0.05, (n, T))
    y[rng.random((n, T)) < 0.2] = np.nan
    y[: n // 5, :12] = np.nan  # came in a year later
    y[:, -1] = np.where(np.isnan(y).all(axis=1), 1.0, y[:, -1])
    return code, path, path[code] + own, y


def panel(y) -> MonthlyCoefficients:
    names = np.array([f"{k:05d}" for k in range(len(y))], dtype=object)
    return MonthlyCoefficients(names, MONTHS[: y.shape[1]], y, np.ones(y.shape), np.ones(len(y)))


def names(classes: int):
    return np.array([f"类{k}" for k in range(classes)], dtype=object)


def tables(y, code):
    """The same readings as tables of the contract."""
    well, month = np.nonzero(np.isfinite(y))
    energy = 100.0 + 10.0 * (well % 7)
    wells = pd.DataFrame({"well_id": [f"{k:05d}" for k in range(len(y))], "aquifer": [f"类{c}" for c in code]})
    pairs = pd.DataFrame(
        {
            "well_id": wells["well_id"].to_numpy()[well],
            "start": MONTHS[month].astype("datetime64[s]"),
            "end": (MONTHS[month] + 1).astype("datetime64[s]"),
            "energy_kwh": energy,
            "volume_m3": energy * np.exp(y[well, month]),
            "kind": "meter",
        }
    )
    return pairs.astype({"well_id": "str"}), wells.astype({"well_id": "str", "aquifer": "str"})


def test_paths_and_levels_are_covered():
    """90 % intervals of paths and wells hold 90 % of the time, within four standard errors of that count."""
    code, path, level, y = made(4000, 1)
    followed = follow_panel(panel(y), code, class_names=names(3), variances=V)
    sd = np.sqrt(np.diagonal(followed.paths.covariance, axis1=1, axis2=2))
    assert np.abs((followed.paths.mean - path) / sd).max() < 4.5
    mean, variance = followed.levels()
    inside = np.abs(level[:, -1] - mean) < 1.6449 * np.sqrt(variance)
    assert inside.mean() == pytest.approx(0.90, abs=4 * np.sqrt(0.09 / 4000))
    table = followed.well_table()
    assert (table["lower"] < table["coefficient_m3_per_kwh"]).all()
    assert followed.class_table()["n_wells"].iloc[0] == (code == 0).sum()


def test_variances_are_found_again():
    code, _, _, y = made(1500, 2)
    found = follow_panel(panel(y), code, class_names=names(3)).variances
    for name in ("level", "movement", "reading"):
        assert getattr(found, name) ** 0.5 == pytest.approx(getattr(V, name) ** 0.5, rel=0.12)


def test_the_figure_shows_every_class():
    code, _, _, y = made(60, 3)
    followed = follow_panel(panel(y), code, class_names=names(3), variances=V)
    ax = followed.plot(lang="en")
    assert [text.get_text() for text in ax.texts] == ["类0", "类1", "类2"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.exp(followed.paths.mean[1]))
    plt.close(ax.figure)


def test_tables_and_arrays_say_the_same():
    code, _, _, y = made(60, 3)
    pairs, wells = tables(y, code)
    laid = monthly_coefficients(pairs.sample(frac=1.0, random_state=1), wells)
    np.testing.assert_allclose(laid.log_kappa, y, atol=1e-12)
    a = e2w.follow_levels(pairs, wells, variances=V)
    b = follow_panel(laid, code, class_names=names(3), variances=V)
    np.testing.assert_allclose(a.levels()[0], b.levels()[0], atol=1e-10)


def test_a_month_added_reads_only_its_own_rows():
    """The levels after months added one by one are those of all months at once; the rows before are not needed."""
    code, _, _, y = made(80, 4)
    pairs, wells = tables(y, code)
    first = pairs.loc[pairs["start"] < np.datetime64("2025-10-01")]
    followed = e2w.follow_levels(first, wells, variances=V)
    held = followed.information.weights.copy()
    later = followed
    for month in ("2025-10", "2025-11", "2025-12"):
        later = later.append(pairs.loc[pairs["start"] == np.datetime64(f"{month}-01", "s")])
    whole = e2w.follow_levels(pairs, wells, variances=V)
    place = pd.Index(whole.well_id).get_indexer(pd.Index(later.well_id))
    np.testing.assert_allclose(later.levels()[0], whole.levels()[0][place], atol=2e-3)
    np.testing.assert_allclose(later.levels()[1], whole.levels()[1][place], rtol=0.05)
    np.testing.assert_array_equal(followed.information.weights, held)
    at_once = followed.append(pairs.loc[pairs["start"] >= np.datetime64("2025-10-01")])
    np.testing.assert_allclose(at_once.levels()[0], later.levels()[0], atol=1e-12)
    with pytest.raises(e2w.UsageError, match="expected months after 2025-12"):
        at_once.append(pairs.tail(1).assign(start=np.datetime64("2025-11-01"), end=np.datetime64("2025-12-01")))


def test_one_absurd_reading_hardly_counts_and_a_new_pump_is_followed():
    code, _, _, y = made(300, 5, classes=1)
    y[:] = np.where(np.isnan(y), np.nanmean(y, axis=1, keepdims=True), y)
    clean = follow_panel(panel(y), code, class_names=names(1), variances=V)
    bad = y.copy()
    bad[7, 15] += 2.0
    shifted = follow_panel(panel(bad), code, class_names=names(1), variances=V)
    assert shifted.n_doubtful >= clean.n_doubtful + 1
    assert np.abs(shifted.levels()[0][7] - clean.levels()[0][7]) < 0.02
    assert np.isnat(shifted.changed[7])
    renewed = y.copy()
    renewed[9, 16:] += 0.5
    followed = follow_panel(panel(renewed), code, class_names=names(1), variances=V)
    assert followed.changed[9] == MONTHS[16]
    assert np.abs(followed.levels()[0][9] - clean.levels()[0][9] - 0.5) < 0.08
    assert np.isnat(np.delete(followed.changed, 9)).mean() > 0.99


def test_a_new_pump_is_followed_when_months_are_added():
    code, _, _, y = made(60, 6, classes=1)
    y[:] = np.where(np.isnan(y), np.nanmean(y, axis=1, keepdims=True), y)
    y[4, 20:] += 0.6
    pairs, wells = tables(y, code)
    followed = e2w.follow_levels(pairs.loc[pairs["start"] < np.datetime64("2025-09-01")], wells, variances=V)
    followed = followed.append(pairs.loc[pairs["start"] >= np.datetime64("2025-09-01")])
    assert followed.changed[4] == np.datetime64("2025-10")
    assert np.abs(followed.levels()[0][4] - y[4, 20:].mean()) < 0.1


def test_with_one_well_a_class_it_is_the_plain_filter():
    """A path that does not move and starts at a known value leaves the filter of one series."""
    _, _, _, y = made(30, 7)
    still = LevelVariances(0.3**2, 0.02**2, 0.05**2, path_step=1e-14, path_start=1e-14, centre=1.0)
    y = 1.0 + 0.2 * (y - np.nanmean(y, axis=1, keepdims=True))
    followed = follow_panel(panel(y), np.arange(30), class_names=names(30), variances=still)
    alone = filter_levels(y - 1.0, 0.02**2, 0.05**2, variance=0.3**2)
    assert followed.n_doubtful == 0
    np.testing.assert_allclose(followed.levels()[0] - 1.0, alone.state.mean, atol=1e-6)
    np.testing.assert_allclose(followed.levels()[1], alone.state.variance, rtol=1e-6)
    assert PathPrior(1.0, 0.5).covariance(2).tolist() == [[1.0, 1.0], [1.0, 1.5]]


def test_what_cannot_be_followed_is_refused():
    code, _, _, y = made(10, 8)
    pairs, wells = tables(y, code)
    with pytest.raises(e2w.UsageError, match=r"expected columns of wells, found \['zone'\]"):
        e2w.follow_levels(pairs, wells, by=("zone",))
    with pytest.raises(e2w.UsageError, match="expected monthly pairs"):
        e2w.follow_levels(pairs.assign(kind="test"), wells)
