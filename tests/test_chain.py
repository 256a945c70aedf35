"""Quarters in a chain: each starts from the release before, says what moved, and leaves what was published alone."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import elec2water as e2w
from county_kit import command, county, write
from elec2water.chain import load_coefficient
from elec2water.coefficient import state
from elec2water.coefficient.news import LAST, STEPS, THIS
from elec2water.errors import ReleaseError
from elec2water.news import read_news, while_pumping
from elec2water.version import source_digest
from elec2water.waterfall import news as draw_news
from elec2water.waterfall import news_png

TOML = '[project]\nname = "链县"\n'
QUARTERS = (("2026Q1", "2026-04-10"), ("2026Q2", "2026-07-10"))


def frames_with_levels():
    """Make a county whose water tables fall by 2 m a year, by township and aquifer."""
    frames = county(n=24, sample=10, first="2025-01")
    wells = frames["wells"]
    month = np.arange(np.datetime64("2025-01"), np.datetime64("2026-10"))
    places = wells[["township", "aquifer"]].drop_duplicates()
    fall = 2.0 * np.arange(month.size) / 12
    levels = pd.concat(
        [
            pd.DataFrame({"month": month.astype(str), "township": t, "aquifer": a,
                          "depth_m": np.round((50.0 if a == "深层" else 15.0) + fall, 2)})
            for t, a in places.itertuples(index=False)
        ]
    )  # fmt: skip
    return frames | {"water_levels": levels}


@pytest.fixture(scope="module")
def frames():
    return frames_with_levels()


def in_chain(folder, frames, toml=TOML):
    root = write(folder, frames, toml=toml)
    for quarter, day in QUARTERS:
        e2w.run(root, quarter=quarter, as_of=day)
    return root


@pytest.fixture(scope="module")
def two_quarters(frames, tmp_path_factory):
    return in_chain(tmp_path_factory.mktemp("two") / "county", frames)


@pytest.fixture
def begun(two_quarters, tmp_path):
    """A county of its own with the two quarters released."""
    return Path(shutil.copytree(two_quarters, tmp_path / "county"))


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).iterdir()) if p.is_file()}


@pytest.fixture(scope="module")
def chain(frames, tmp_path_factory):
    """Two quarters as they came, then the third with a corrected, a late and a deleted pair."""
    kept = frames["pairs"]
    late = kept["start"].eq("2026-02-01") & kept["well_id"].eq(kept["well_id"].iloc[0])
    root = in_chain(tmp_path_factory.mktemp("chain") / "county", frames | {"pairs": kept[~late]})
    before = digests(root / "releases" / "2026Q1" / "r1")
    table = kept.copy()
    table.iloc[3, table.columns.get_loc("volume_m3")] *= 1.15
    table = table.drop(index=table.index[45])
    write(root, frames | {"pairs": table}, toml=TOML)
    return root, e2w.run(root, quarter="2026Q3"), before


def test_each_quarter_starts_from_the_release_before(chain):
    root, third, _ = chain
    versions = [
        json.loads((root / "releases" / q / "r1" / "manifest.json").read_text("utf-8"))["coefficient_version"]
        for q in ("2026Q1", "2026Q2")
    ]
    assert versions[0] == "fit"
    assert versions[1].startswith("update of 2026Q1 r1 ")
    assert str(third.release.manifest["coefficient_version"]).startswith("update of 2026Q2 r1 ")


def test_news_add_up_exactly_from_what_was_published_to_what_is_published(chain):
    root, third, _ = chain
    news = third.news
    assert set(news["domain"]) == {"county", "township", "stratum"}
    np.testing.assert_allclose(news[LAST] + news[list(STEPS)].sum(axis=1), news[THIS], rtol=0, atol=1e-12)
    published = pd.read_csv(root / "releases" / "2026Q2" / "r1" / "totals.csv", dtype={"key": str})
    for frame, column in ((published, LAST), (third.totals, THIS)):
        totals = frame.set_index(["domain", "key"])
        for row in news.to_dict("records"):
            expected = totals.loc[(row["domain"], row["key"])]
            assert row[column] == pytest.approx(expected["volume_m3"] / expected["energy_kwh"], abs=2e-6)


def test_falling_water_and_wear_lower_the_coefficient_in_the_news(chain):
    row = chain[1].news.iloc[0]
    assert row["water_level"] < 0
    assert row["corrected_pairs"] != 0
    assert row["new_pairs"] != 0
    assert row["refit"] == 0


def test_the_sentence_is_printed_and_is_the_same_when_the_release_is_read_again(chain):
    root, third, _ = chain
    said = third.summary["news"]
    assert "全县平均折算系数由 2026Q2" in said
    assert "水位变化" in said
    status, out, _ = command("run", root, "--quarter", "2026Q3")
    assert status == 0
    assert said in out
    assert "未变：同样的输入已有此发布" in out


def test_past_quarters_that_late_or_corrected_data_touch_are_listed_and_left_as_they_were(chain):
    root, third, before = chain
    assert digests(root / "releases" / "2026Q1" / "r1") == before
    table = pd.read_csv(third.release.folder / "revisions.csv", dtype={"key": str})
    first = table[(table["quarter"] == "2026Q1") & (table["domain"] == "county")].iloc[0]
    assert first["late_pairs"] == 1
    published = pd.read_csv(root / "releases" / "2026Q1" / "r1" / "totals.csv")
    assert first["published_m3"] == pytest.approx(published["volume_m3"].iloc[0], abs=2e-3)
    assert first["change_m3"] == pytest.approx(first["now_m3"] - first["published_m3"], abs=2e-3)
    found = third.findings.frame
    assert found.loc[found["rule"].eq("PAST_QUARTER_REVISED"), "period"].tolist()[0] == "2026Q1"
    assert found["rule"].eq("PAIRS_CORRECTED").sum() == 1
    assert found["rule"].eq("PAIRS_WITHDRAWN").sum() == 1


def test_the_released_state_is_that_of_all_pairs_at_once(chain, frames):
    """The coefficient of the third release equals the first one updated with the table of today."""
    root = chain[0]
    first, last = (e2w.from_dataset(e2w_dataset(root / "releases" / q / "r1")) for q in ("2026Q1", "2026Q3"))
    today = e2w.read_project(root)
    energy, _ = today.energy(np.datetime64("2026-09", "M"))
    again = first.update(today.pairs, today.wells, today.water_levels, energy=energy, whole=True)
    np.testing.assert_allclose(again.posterior.mean, last.posterior.mean, rtol=0, atol=1e-8)
    np.testing.assert_allclose(again.posterior.covariance, last.posterior.covariance, rtol=0, atol=1e-8)


def e2w_dataset(folder):
    return xr.open_dataset(io.BytesIO((folder / "coefficients.nc").read_bytes()), engine="h5netcdf").load()


def test_pairs_of_a_table_started_anew_are_kept_from_the_release(begun, frames, tmp_path):
    root = begun
    recent = frames["pairs"][frames["pairs"]["start"] >= "2026-07-01"]
    write(root, frames | {"pairs": recent}, toml=TOML)
    done = e2w.run(root, quarter="2026Q3")
    found = done.findings.frame
    assert found["rule"].eq("PAIRS_FROM_RELEASE").any()
    assert not found["rule"].eq("PAIRS_WITHDRAWN").any()
    coefficient = e2w.from_dataset(e2w_dataset(done.release.folder))
    assert coefficient.measured.well.size == len(frames["pairs"])


def test_a_quarter_without_new_pairs_still_has_its_volumes_and_a_wider_interval(begun, frames, tmp_path):
    root = begun
    (root / "inputs" / "pairs.csv").unlink()
    done = e2w.run(root, quarter="2026Q3")
    row = done.totals.iloc[0]
    assert row["volume_m3"] > 0
    assert done.news.iloc[0]["new_pairs"] == 0


@pytest.mark.parametrize(
    ("toml", "reason"),
    [(TOML + '[model]\nrefit = "always"\n', "asked"), (TOML + "[model]\nwear_sd_per_year = 0.02\n", "configuration")],
)
def test_variances_are_sought_anew_when_asked_or_when_the_model_is_another(begun, frames, tmp_path, toml, reason):
    root = begun
    (root / "elec2water.toml").write_text(toml, encoding="utf-8")
    done = e2w.run(root, quarter="2026Q3")
    assert str(done.release.manifest["coefficient_version"]).startswith(f"refit ({reason}) of 2026Q2 r1 ")
    assert done.findings.frame["rule"].eq("VARIANCES_REFITTED").any()
    assert done.news.iloc[0]["refit"] != 0


def test_the_approved_release_counts_not_the_latest(frames, tmp_path):
    root = write(tmp_path / "county", frames, toml=TOML)
    e2w.run(root, quarter="2026Q2", as_of="2026-07-10")
    e2w.run(root, quarter="2026Q2", as_of="2026-07-20")
    status, _, err = command("approve", root, "--quarter", "2026Q2", "--release", "r1", "--by", "某人")
    assert status == 0, err
    done = e2w.run(root, quarter="2026Q3")
    assert "of 2026Q2 r1 " in str(done.release.manifest["coefficient_version"])


def test_a_release_of_a_newer_version_asks_for_that_version(chain, monkeypatch):
    monkeypatch.setattr(state, "FORMAT", 1)
    with pytest.raises(ReleaseError, match=r"coefficients\.nc: .*update elec2water") as told:
        load_coefficient(chain[1].release)
    assert "Restore" not in str(told.value)


def test_a_draft_that_stands_before_an_approved_release_is_said_and_the_releases_are_listed(frames, tmp_path):
    """r1 of the first quarter approved, the second a draft: the third starts from the draft, and says both names."""
    root = write(tmp_path / "county", frames, toml=TOML)
    assert e2w.releases(root).empty
    assert not (root / "ledger.sqlite").exists()
    for quarter, day in QUARTERS:
        before = e2w.run(root, quarter=quarter, as_of=day)
    assert not before.findings.frame["rule"].eq("STARTED_FROM_DRAFT").any()
    assert command("approve", root, "--quarter", QUARTERS[0][0], "--release", "r1", "--by", "某人")[0] == 0
    done = e2w.run(root, quarter="2026Q3")
    said = done.findings.frame.set_index("rule").loc["STARTED_FROM_DRAFT"]
    assert (said["severity"], said["observed"], said["limit"]) == ("info", "2026Q2 r1", "2026Q1 r1")
    e2w.run(root, quarter="2026Q2", as_of="2026-07-20")
    listed = e2w.releases(root).set_index(["quarter", "release"])
    assert listed.index.tolist() == [("2026Q1", "r1"), ("2026Q2", "r1"), ("2026Q2", "r2"), ("2026Q3", "r1")]
    assert listed["state"].tolist() == ["approved", "draft", "draft", "draft"]
    assert listed["approved_by"].tolist() == ["某人", "", "", ""]
    assert listed["counts"].tolist() == [True, False, True, True]
    assert listed["replaces"].tolist() == ["", "", "r1", ""]
    assert listed["started_from"].iloc[0] == "fit"
    assert listed["started_from"].iloc[3].startswith("update of 2026Q2 r1 ")
    assert listed.loc[("2026Q3", "r1"), "volume_m3"] == done.totals.loc[0, "volume_m3"]
    assert set(listed["package_source"]) == {source_digest()}
    status, out, _ = command("releases", root)
    assert status == 0
    assert out.splitlines()[4].split()[:3] == ["2026Q3", "r1", "未批准"]
    assert "由 2026Q2 r1（" in out.splitlines()[4]
    assert command("approve", root, "--quarter", "2026Q2", "--release", "r1", "--by", "某人")[0] == 0
    assert e2w.releases(root)["counts"].tolist() == [True, True, False, True]
    later = e2w.run(root, quarter="2026Q3", as_of="2026-10-05")
    assert not later.findings.frame["rule"].eq("STARTED_FROM_DRAFT").any()
    shutil.rmtree(root / "releases" / "2026Q2" / "r2")
    gone = e2w.releases(root).set_index(["quarter", "release"]).loc[("2026Q2", "r2")]
    assert gone["state"] == "gone"
    assert np.isnan(gone["volume_m3"])


def test_of_two_approved_releases_the_later_counts(frames, tmp_path):
    root = write(tmp_path / "county", frames, toml=TOML)
    for day in ("2026-07-10", "2026-07-20", "2026-07-25"):
        e2w.run(root, quarter="2026Q2", as_of=day)
    for release in ("r1", "r2"):
        status, _, err = command("approve", root, "--quarter", "2026Q2", "--release", release, "--by", "某人")
        assert status == 0, err
    done = e2w.run(root, quarter="2026Q3")
    assert "of 2026Q2 r2 " in str(done.release.manifest["coefficient_version"])


def test_a_release_of_another_county_is_not_built_upon(frames, tmp_path):
    coded = TOML + 'county_code = "130430"\n'
    root = write(tmp_path / "county", frames, toml=coded)
    e2w.run(root, quarter="2026Q2", as_of="2026-07-10")
    (root / "elec2water.toml").write_text(coded.replace("130430", "130431"), encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"of county 130431 .*, found one of 130430"):
        e2w.run(root, quarter="2026Q3")


def test_news_add_up_when_everything_changes_at_once(frames, tmp_path):
    """A refit, a corrected pair, a well moved to another township, one gone, one new, and a pump replaced."""
    root = write(tmp_path / "county", frames, toml=TOML)
    e2w.run(root, quarter="2026Q2", as_of="2026-07-10")
    published = pd.read_csv(root / "releases" / "2026Q2" / "r1" / "totals.csv", dtype={"key": str})
    wells, pairs = frames["wells"].copy(), frames["pairs"].copy()
    sampled = pairs["well_id"].unique()
    other = wells["well_id"][~wells["well_id"].isin(sampled)].tolist()
    moved = wells["well_id"].eq(sampled[0])
    here = wells.loc[moved, "township"].iloc[0]
    wells.loc[moved, "township"] = next(t for t in wells["township"].unique() if t != here)
    wells["pump_installed_on"] = np.where(wells["well_id"].eq(sampled[1]), "2026-07-15", "")
    wells.loc[wells["well_id"].eq(other[0]), "well_id"] = "9999"
    pairs.iloc[3, pairs.columns.get_loc("volume_m3")] *= 1.2
    toml = TOML + '[model]\nrefit = "always"\n'
    write(root, frames | {"wells": wells, "pairs": pairs}, toml=toml)
    done = e2w.run(root, quarter="2026Q3")
    news = done.news
    np.testing.assert_allclose(news[LAST] + news[list(STEPS)].sum(axis=1), news[THIS], rtol=0, atol=1e-12)
    for frame, column in ((published, LAST), (done.totals, THIS)):
        totals = frame.set_index(["domain", "key"])
        both = [row for row in news.to_dict("records") if (row["domain"], row["key"]) in totals.index]
        assert len(both) > 4
        for row in both:
            expected = totals.loc[(row["domain"], row["key"])]
            assert row[column] == pytest.approx(expected["volume_m3"] / expected["energy_kwh"], abs=2e-6)
    county = news.iloc[0]
    assert all(county[name] != 0 for name in ("corrected_pairs", "new_pairs", "refit", "energy_and_registry"))


def test_a_damaged_release_is_not_built_upon(begun, frames, tmp_path):
    root = begun
    path = root / "releases" / "2026Q2" / "r1" / "coefficients.nc"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ReleaseError, match=r"coefficients\.nc"):
        e2w.run(root, quarter="2026Q3")


def test_a_release_holds_the_waterfall_of_its_county(chain):
    """The first of a chain has no news; the others the same bytes that anyone draws from their news.csv."""
    root, third, _ = chain
    assert not (root / "releases" / "2026Q1" / "r1" / "news.png").exists()
    drawn = (third.release.folder / "news.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert news_png(read_news(third.release.folder)) == drawn
    labels = [tick.get_text() for tick in draw_news(third.news).get_xticklabels()]
    assert (labels[0], labels[-1]) == ("上次\n2026Q2", "本次\n2026Q3")


def test_the_waterfall_ends_where_the_news_end(chain):
    """Bars: last and this from the floor up, between them the steps, each beginning where the one before ended."""
    row = chain[1].news.iloc[0]
    ax = draw_news(chain[1].news)
    bars = [bar for bar in ax.patches if bar.get_height() != 0]
    tops = [bar.get_y() + bar.get_height() for bar in bars]
    assert tops[0] == pytest.approx(row[LAST])
    assert tops[1] == pytest.approx(row[THIS])
    moves = [row[name] for name in STEPS if name != "refit"]
    heights = [bar.get_height() for bar in ax.patches[2:]]
    np.testing.assert_allclose(heights, np.abs(moves))


def test_a_quarter_before_those_released_is_estimated_from_all_and_leaves_them_alone(begun, frames, tmp_path):
    """Run after two later quarters: their releases stand, it says so, and the next quarter still follows the last."""
    root = begun
    before = {q: digests(root / "releases" / q / "r1") for q, _ in QUARTERS}
    done = e2w.run(root, quarter="2025Q4")
    assert done.release.manifest["coefficient_version"] == "fit"
    said = done.findings.frame.set_index("rule").loc["RELEASED_LATER"]
    assert said["observed"] == "2026Q1 r1, 2026Q2 r1"
    assert {q: digests(root / "releases" / q / "r1") for q, _ in QUARTERS} == before
    first = write(tmp_path / "alone", frames, toml=TOML)
    alone = e2w.run(first, quarter="2025Q4")
    pd.testing.assert_frame_equal(done.totals, alone.totals)
    assert not alone.findings.frame["rule"].eq("RELEASED_LATER").any()
    third = e2w.run(root, quarter="2026Q3")
    assert "of 2026Q2 r1 " in str(third.release.manifest["coefficient_version"])


def test_a_missing_release_in_between_is_stepped_over(begun, frames, tmp_path):
    """The third quarter after the first alone: its state is that of the whole chain, and the news say since when."""
    root = write(tmp_path / "other", frames, toml=TOML)
    e2w.run(root, quarter=QUARTERS[0][0], as_of=QUARTERS[0][1])
    done = e2w.run(root, quarter="2026Q3")
    assert "of 2026Q1 r1 " in str(done.release.manifest["coefficient_version"])
    assert set(done.news["last_quarter"]) == {"2026Q1"}
    np.testing.assert_allclose(done.news[LAST] + done.news[list(STEPS)].sum(axis=1), done.news[THIS], atol=1e-12)
    whole = e2w.run(begun, quarter="2026Q3")
    np.testing.assert_allclose(done.totals["volume_m3"], whole.totals["volume_m3"], rtol=1e-9)


def test_a_table_of_other_wells_alone_withdraws_all_and_still_adds_up(begun, frames, tmp_path):
    """Not one pair of the last release is in the table any more: withdrawn and named, the news add up all the same."""
    root = begun
    pairs, every = frames["pairs"], frames["wells"]["well_id"]
    sampled = pairs["well_id"].unique()
    others = dict(zip(sampled, every[~every.isin(sampled)], strict=False))
    write(root, frames | {"pairs": pairs.assign(well_id=pairs["well_id"].map(others))}, toml=TOML)
    done = e2w.run(root, quarter="2026Q3")
    until = pairs["start"] < "2026-07-01"
    assert done.findings.frame["rule"].eq("PAIRS_WITHDRAWN").sum() == until.sum()
    np.testing.assert_allclose(done.news[LAST] + done.news[list(STEPS)].sum(axis=1), done.news[THIS], atol=1e-12)
    assert set(e2w.from_dataset(e2w_dataset(done.release.folder)).sample_id) == set(others.values())


def informed_county(rise):
    """Give a county whose farmers need the same water whatever their pump; in its last year some of the wells that are
    not measured use ``rise`` times the electricity and the others as much less.
    """
    frames = county(n=60, sample=24, first="2024-07", last="2026-06", seed=3)
    rng = np.random.default_rng(8)
    wells, months = frames["wells"], np.arange(np.datetime64("2024-07"), np.datetime64("2026-07"))
    efficiency = rng.lognormal(np.log(0.5), 0.25, len(wells))
    kappa = 367.1 * efficiency / (wells["pump_depth_m"].to_numpy() - 2.0)
    season = np.array([0.3, 0.3, 1.0, 1.5, 1.5, 1.0, 0.8, 1.0, 0.7, 0.5, 0.3, 0.3])[months.astype(int) % 12]
    water = 40.0 * wells["irrigated_area_mu"].to_numpy()[:, None] * season * rng.lognormal(0, 0.1, (60, 24)) / 9.2
    measured = wells["well_id"].isin(frames["pairs"]["well_id"]).to_numpy()
    kwh = water / kappa[:, None]
    ids = wells["well_id"].to_numpy()
    place = {"well": np.repeat(np.arange(60), 24), "month": np.tile(np.arange(24), 60)}
    span = {
        "start": months.astype("datetime64[D]").astype(str),
        "end": (months + 1).astype("datetime64[D]").astype(str),
    }
    dates = {name: values[place["month"]] for name, values in span.items()}
    noisy = water * rng.lognormal(0, 0.04, water.shape)
    pairs = pd.DataFrame({"well_id": ids[place["well"]], **dates, "energy_kwh": kwh.ravel().round(2),
                          "volume_m3": noisy.ravel().round(1)})  # fmt: skip
    pairs = pairs[np.repeat(measured, 24) & (pairs["start"] < "2025-07")]
    changed = np.flatnonzero(~measured)
    used = kwh.copy()
    used[changed[::2], 12:] *= rise
    used[changed[1::2], 12:] /= rise
    readings = pd.DataFrame({"meter_id": ids[place["well"]], **dates, "energy_kwh": used.ravel().round(2)})
    return {"wells": wells, "readings": readings, "pairs": pairs}


@pytest.fixture(scope="module")
def informed_news(tmp_path_factory):
    """News of a quarter a year later: of a county that used its electricity as before, and of one that did not."""
    found = {}
    begun = write(tmp_path_factory.mktemp("informed") / "county", informed_county(1.0), toml=TOML)
    e2w.run(begun, quarter="2025Q2", as_of="2025-07-10")
    for rise in (1.0, 1.6):
        root = Path(shutil.copytree(begun, begun.parent / f"county {rise}"))
        write(root, informed_county(rise), toml=TOML)
        found[rise] = e2w.run(root, quarter="2026Q2", as_of="2026-07-10").news.set_index(["domain", "key"])
    return found


def test_what_a_later_year_of_electricity_tells_is_news_of_energy_and_not_of_wear(informed_news):
    """Wells that use 60 % more are taken for worse, others for better; time has gone by for all alike."""
    steady, moved = informed_news[1.0], informed_news[1.6]
    usual = steady[LAST].abs()
    assert (steady["energy_and_registry"].abs() < 0.02 * usual).all()
    assert ((moved["wear_and_time"] - steady["wear_and_time"]).abs() < 0.004 * usual).all()
    assert (moved["energy_and_registry"].abs() > 0.03 * usual).any()
    assert steady.loc[("county", "链县"), "wear_and_time"] < 0


def test_a_lost_release_keeps_its_name_and_is_missed(begun):
    """Lost with the ledger kept: run again from the same it is the same; from another start it is the next release."""
    third = e2w.run(begun, quarter="2026Q3")
    before = digests(third.release.folder)
    shutil.rmtree(third.release.folder)
    again = e2w.run(begun, quarter="2026Q3")
    assert again.release.release == "r1"
    assert digests(again.release.folder) == before
    for lost in (again.release.folder, begun / "releases" / "2026Q2" / "r1"):
        shutil.rmtree(lost)
    other = e2w.run(begun, quarter="2026Q3")
    assert other.release.release == "r2"
    said = other.findings.frame.set_index("rule").loc[["RELEASE_MISSING"]]
    assert said["period"].tolist() == ["2026Q2"]
    assert said["observed"].tolist() == ["r1"]
    listed = e2w.list_releases(e2w.open_ledger(begun / "ledger.sqlite"))
    assert listed["release"].tolist()[-2:] == ["r1", "r2"]


def test_pairs_of_a_well_that_are_all_withdrawn_name_it(begun):
    path = begun / "inputs" / "pairs.csv"
    pairs = pd.read_csv(path, dtype=str)
    gone = pairs["well_id"].iloc[-1]
    pairs[pairs["well_id"] != gone].to_csv(path, index=False)
    found = e2w.run(begun, quarter="2026Q3").findings.frame
    assert set(found.loc[found["rule"].eq("PAIRS_WITHDRAWN"), "well_id"]) == {gone}


def test_the_total_of_the_county_comes_out_of_the_files_without_the_package(two_quarters):
    """Oracle: electricity x coefficient by class and month, plain pandas; its error but for terms of second order."""
    folder = two_quarters / "releases" / "2026Q2" / "r1"
    state = xr.open_dataset(folder / "coefficients.nc")
    energy = pd.read_parquet(folder / "energy.parquet")
    kwh = energy.pivot_table(index="stratum", columns="month", values="energy_kwh", aggfunc="sum", observed=True)
    kappa = state["coefficient"].to_pandas()
    kwh = kwh.reindex(index=kappa.index, columns=kappa.columns).fillna(0.0)
    totals = pd.read_csv(folder / "totals.csv").set_index("domain").loc["county"]
    assert (kwh * kappa.fillna(0.0)).to_numpy().sum() == pytest.approx(totals["volume_m3"], rel=1e-6)
    loading = kwh.to_numpy().ravel()
    joint = np.nan_to_num(state["coefficient_covariance"].to_numpy()).reshape(loading.size, loading.size)
    assert np.sqrt(loading @ joint @ loading) == pytest.approx(totals["se_m3"], rel=0.08)


def blind_rows(root):
    """Depths that the release before was told of, as any NetCDF reader finds them."""
    return xr.open_dataset(root / "releases" / "2026Q2" / "r1" / "coefficients.nc").sizes["depth"]


def test_a_quarter_whose_water_levels_are_missing_stands_where_the_water_was_last_known(begun):
    """Without its table the county does not go back to the water of the fit, and the auditor is told."""
    whole = e2w.run(begun, quarter="2026Q3")
    assert not {"LEVELS_FORETOLD", "LEVELS_FROM_RELEASE"} & set(whole.findings.frame["rule"])
    (begun / "inputs" / "water_levels.csv").unlink()
    blind = e2w.run(begun, quarter="2026Q3")
    said = blind.findings.frame.set_index("rule")
    assert int(said.loc["LEVELS_FROM_RELEASE", "observed"]) == blind_rows(begun)
    volumes = [run.totals["volume_m3"].iloc[0] for run in (whole, blind)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.03)


def turns_county():
    """Give a county whose wells pump every other quarter, stand by with 3 kWh in the next; nothing else changes."""
    frames = county(n=80, sample=30, first="2024-07", last="2025-12", seed=5)
    rng = np.random.default_rng(4)
    wells, months = frames["wells"], np.arange(np.datetime64("2024-07"), np.datetime64("2026-01"))
    turn = (rng.permutation(80)[:, None] + np.arange(18) // 3) % 2 == 0
    kappa = 367.1 * rng.lognormal(np.log(0.5), 0.2, 80)[:, None] / np.full(18, 42.0)
    kwh = np.where(turn, rng.lognormal(6.5, 0.5, (80, 18)), 3.0)
    well, month = (k.ravel() for k in np.indices(kwh.shape))
    dates = {
        "start": months.astype("datetime64[D]").astype(str),
        "end": (months + 1).astype("datetime64[D]").astype(str),
    }
    rows = pd.DataFrame({name: values[month] for name, values in dates.items()} | {"energy_kwh": kwh.ravel().round(2)})
    ids = wells["well_id"].to_numpy()[well]
    volume = (kwh * kappa * rng.lognormal(0, 0.02, kwh.shape)).ravel().round(2)
    measured = np.isin(ids, frames["pairs"]["well_id"]) & turn.ravel() & (month < 12)
    return {
        "wells": wells, "readings": rows.assign(meter_id=ids),
        "pairs": rows.assign(well_id=ids, volume_m3=volume)[measured],
    }  # fmt: skip


def test_turns_of_pumping_are_not_taken_for_wear(tmp_path):
    """A well that rests where it pumped a quarter ago is not a better one: its turns are news of the energy."""
    root = write(tmp_path / "county", turns_county(), toml=TOML)
    e2w.run(root, quarter="2025Q1", as_of="2025-04-10")
    news = e2w.run(root, quarter="2025Q2", as_of="2025-07-10").news.set_index("domain").loc["county"]
    assert abs(news["wear_and_time"] / news[LAST]) < 0.015


def test_the_water_of_a_quarter_is_that_of_the_months_a_well_pumped_in():
    level = np.array([[0.0, 0.1, 0.4], [0.0, 0.1, 0.4], [np.nan, 0.1, 0.4], [0.3, np.nan, 0.0]])
    kwh = np.array([[0.0, 0.0, 50.0], [30.0, 10.0, 0.0], [20.0, np.nan, 20.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(while_pumping(level, kwh), [0.4, 0.025, 0.2, 0.1], rtol=1e-12)
