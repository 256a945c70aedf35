"""The readers: CSV, xlsx and Parquet files → typed frames and findings."""

from elec2water.tables.reader import REQUIRED, Tables, read_tables

__all__ = ["REQUIRED", "Tables", "read_tables"]
