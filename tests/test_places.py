"""Places of wells: kilometres, gaps filled and said."""

import numpy as np
import pandas as pd
import pytest

from elec2water.design.places import places_of


def wells(longitude, latitude, township="东阳镇"):
    n = len(longitude)
    frame = pd.DataFrame({"well_id": [f"{i:02d}" for i in range(n)], "longitude": longitude, "latitude": latitude})
    return frame.assign(township=pd.Series([township] * n if isinstance(township, str) else township, dtype="str"))


def test_a_degree_is_111_km_north_and_less_east():
    got = places_of(wells([115.0, 116.0, 115.0], [38.0, 38.0, 39.0]), np.ones(3), seed=1)
    east, north = got.coordinates[1] - got.coordinates[0], got.coordinates[2] - got.coordinates[0]
    assert east == pytest.approx([87.6, 0.0], abs=0.3)
    assert north == pytest.approx([0.0, 111.2], abs=0.1)
    assert got.known.all()
    assert got.findings.count == 0


def test_wells_without_a_place_stand_in_the_middle_of_their_township_and_are_named():
    townships = ["东", "东", "东", "西", "北"]
    frame = wells([115.0, 115.2, np.nan, 116.0, np.nan], [38.0, 38.0, 38.1, 38.0, np.nan], townships)
    got = places_of(frame, np.ones(5), seed=1)
    assert got.known.tolist() == [True, True, False, True, False]
    assert got.coordinates[2] == pytest.approx(got.coordinates[:2].mean(axis=0))
    assert got.coordinates[4] == pytest.approx(np.median(got.coordinates[[0, 1, 3]], axis=0))
    found = got.findings.of(rule="DESIGN_COORDINATES_MISSING").frame
    assert found["well_id"].tolist() == ["02", "04"]
    assert "乡镇" in found["message"].iloc[0]


@pytest.mark.parametrize("column", ["none", "blank", "zero", "impossible"])
def test_without_any_place_townships_and_sizes_are_the_space(column):
    frame = wells([np.nan] * 6, [np.nan] * 6, ["东", "西"] * 3)
    if column == "none":
        frame = frame.drop(columns=["longitude", "latitude"])
    if column == "zero":
        frame = frame.assign(longitude=0.0, latitude=0.0)
    if column == "impossible":
        frame = frame.assign(longitude=4321.0, latitude=500.0)
    got = places_of(frame, np.arange(6.0), seed=1, lang="en")
    order = np.argsort(got.coordinates[:, 0])
    assert got.coordinates.shape == (6, 1)
    assert not got.known.any()
    assert len(set(frame["township"].to_numpy()[order[:3]])) == 1
    assert "townships" in got.findings.of(rule="DESIGN_NO_COORDINATES").frame["message"].iloc[0]
