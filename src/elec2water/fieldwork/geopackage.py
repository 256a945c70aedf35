"""GeoPackage: wells as points in CGCS2000, in one file that every GIS opens; the same wells give the same bytes.

OGC 12-128r18, GeoPackage Encoding Standard 1.3.1; requirement numbers are those of that document.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

CGCS2000 = 4490
_APPLICATION_ID = 0x47504B47
_VERSION = 10301
_STAMP = "1980-01-01T00:00:00.000Z"
_LITTLE_ENDIAN, _EMPTY = 1, 16

_CGCS2000_WKT = (
    'GEOGCS["China Geodetic Coordinate System 2000",DATUM["China_2000",SPHEROID["CGCS2000",6378137,298.257222101,'
    'AUTHORITY["EPSG","1024"]],AUTHORITY["EPSG","1043"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4490"]]'
)
_WGS84_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]]'
)
_SYSTEMS = (
    ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian coordinate reference system"),
    ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinate reference system"),
    ("WGS 84 geodetic", 4326, "EPSG", 4326, _WGS84_WKT, "longitude/latitude coordinates in decimal degrees"),
    ("CGCS2000", CGCS2000, "EPSG", CGCS2000, _CGCS2000_WKT, "longitude/latitude coordinates in decimal degrees"),
)
_TABLES = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
  description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
  geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
"""


@dataclass(frozen=True)
class Layer:
    """One layer of points.

    Attributes
    ----------
    name : str
        Of the table: letters, digits and underscores.
    title : str
        What a GIS shows.
    frame : DataFrame
        ``longitude, latitude`` in degrees, and whatever else is known of the points. A point without a place is kept,
        with no geometry.
    """

    name: str
    title: str
    frame: pd.DataFrame


def geopackage_bytes(layers: Sequence[Layer]) -> bytes:
    """Write layers of points as a GeoPackage.

    Parameters
    ----------
    layers : sequence of Layer

    Returns
    -------
    bytes
        Of an SQLite file. No clock is read: ``last_change`` is a fixed day.

    Raises
    ------
    UsageError
        If a layer has no longitude or latitude, or a name that is no table name.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA page_size = 4096")
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.executescript(_TABLES)
        _insert(database, "gpkg_spatial_ref_sys", _SYSTEMS)
        for layer in layers:
            _add(database, layer)
        database.commit()
        return database.serialize()


def _add(database: sqlite3.Connection, layer: Layer) -> None:
    missing = [name for name in ("longitude", "latitude") if name not in layer.frame.columns]
    if missing or not layer.name.isidentifier() or not layer.name.isascii():
        raise UsageError(f"GeoPackage layer {layer.name!r}: a plain table name and {missing or 'nothing'} are needed")
    places = layer.frame[["longitude", "latitude"]].to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(places).all(axis=1)
    bounds = [*places[known].min(axis=0), *places[known].max(axis=0)] if known.any() else [None] * 4
    columns = [_typed(layer.frame[name]) for name in layer.frame.columns]
    names = _distinct([str(name) for name in layer.frame.columns])
    fields = ", ".join(f"{_quoted(name)} {kind}" for name, (kind, _) in zip(names, columns, strict=True))
    database.execute(
        f"CREATE TABLE {layer.name} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom POINT, {fields})"
    )
    contents = (layer.name, "features", layer.title, "", _STAMP, *bounds, CGCS2000)
    _insert(database, "gpkg_contents", [contents])
    _insert(database, "gpkg_geometry_columns", [(layer.name, "geom", "POINT", CGCS2000, 0, 0)])
    points = [_point(x, y) if there else None for (x, y), there in zip(places.tolist(), known, strict=True)]
    cells = zip(*(cells for _, cells in columns), strict=True)
    _insert(
        database, layer.name, [(k, point, *row) for k, (point, row) in enumerate(zip(points, cells, strict=True), 1)]
    )


def _insert(database: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert whole rows; the table's name is one of ours, or a layer's that has been checked to be plain."""
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        database.executemany(" ".join(["INSERT INTO", table, f"VALUES ({marks})"]), rows)


def _point(x: float, y: float) -> bytes:
    """GeoPackage binary of a point: header of requirement 19 without an envelope, then well-known binary."""
    return struct.pack("<2sBBiBIdd", b"GP", 0, _LITTLE_ENDIAN, CGCS2000, _LITTLE_ENDIAN, 1, x, y)


def _typed(column: pd.Series) -> tuple[str, list[object]]:
    """Column type of requirement 5, and cells as SQLite takes them; missing is NULL."""
    missing = column.isna().to_numpy(dtype=bool)
    cells: list[object]
    if pd.api.types.is_bool_dtype(column):
        kind, cells = "BOOLEAN", column.astype("object").tolist()
    elif pd.api.types.is_integer_dtype(column):
        kind, cells = "INTEGER", column.astype("object").tolist()
    elif pd.api.types.is_float_dtype(column):
        kind, cells = "DOUBLE", column.tolist()
    elif pd.api.types.is_datetime64_any_dtype(column):
        kind, cells = (
            "DATE",
            [None if gone else value.date().isoformat() for value, gone in zip(column, missing, strict=True)],
        )
    else:
        kind, cells = "TEXT", [str(value) for value in column]
    return kind, [None if gone else cell for cell, gone in zip(cells, missing, strict=True)]


def _distinct(names: list[str]) -> list[str]:
    """Tell apart names that SQLite takes for one (`Depth`, `depth`), or for the two columns of its own."""
    taken = {"fid", "geom"}
    told_apart = []
    for name in names:
        other = name or "_"
        while other.casefold() in taken:
            other = f"{other}_"
        taken.add(other.casefold())
        told_apart.append(other)
    return told_apart


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
