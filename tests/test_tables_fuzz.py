"""Damaged copies of good files: whatever is done to them, reading ends in tables and findings."""

import numpy as np
import pytest

from bad_input_cases import CLEAN
from damage import damaged_member, seeds
from elec2water.config import Config
from elec2water.tables import read_tables
from tables_kit import read

SEEDS = seeds()
CONFIG = Config.model_validate({"project": {"name": "测试"}})


@pytest.mark.parametrize(("suffix", "count"), [("csv", 60), ("html", 30), ("parquet", 10), ("gz", 20), ("xlsx", 20)])
def test_damage_never_ends_in_a_traceback(tmp_path, suffix, count):
    rng = np.random.default_rng([2026, count])
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for name, text in CLEAN.items():
        if name != "readings.csv":
            (inputs / name).write_text(text, encoding="utf-8")
    target = inputs / "readings.csv"
    for i in range(count):
        target.write_bytes(damaged_member(SEEDS[suffix][i % len(SEEDS[suffix])], rng))
        tables, findings = read_tables(tmp_path, CONFIG)
        assert len(tables.readings) > 0 or findings.errors.count > 0


def test_a_damaged_registry_never_ends_in_a_traceback(tmp_path):
    rng = np.random.default_rng(7)
    wells = CLEAN["wells.csv"].encode()
    for codec in ("utf-8", "gb18030"):
        for _ in range(20):
            tables, findings = read(tmp_path, wells__csv=damaged_member(wells.decode().encode(codec), rng))
            assert len(tables.wells) > 0 or findings.errors.count > 0


def test_parquet_whose_columns_lost_rows_is_refused(tmp_path):
    rng = np.random.default_rng([11, 5656])
    kind = ["csv", "html", "parquet", "gz", "xlsx"][int(rng.choice(5, p=[0.70, 0.22, 0.03, 0.03, 0.02]))]
    data = damaged_member(SEEDS[kind][int(rng.integers(len(SEEDS[kind])))], rng)
    _, findings = read(tmp_path, readings__parquet=data)
    assert findings.errors.frame["rule"].tolist() == ["FILE_BROKEN"]
