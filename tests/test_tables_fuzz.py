"""Damaged copies of good files: whatever is done to them, reading ends in tables and findings."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tables_kit import WELLS, cells, read, workbook

INSERTS = [b",", b'"', b"\n", b"\x00", b";", b"\t", b"'", b"NaN", b"1e999", b"\xff\xfe"]
CHINESE = "取水口编号,乡镇,取水层位,水泵功率,水泵安装深度,水泵安装日期\n" + "".join(
    f"{i},东乡,浅层,７.5,4{i},2026-3-{i}\n" for i in range(1, 9)
)


def parquet() -> bytes:
    columns = {name: list(column) for name, *column in zip(*cells(WELLS), strict=True)}
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    content = bytearray(data)
    for _ in range(rng.integers(1, 7)):
        at = int(rng.integers(len(content)))
        change = rng.random()
        if change < 0.4:
            content[at] = int(rng.integers(256))
        elif change < 0.7 and len(content) > 60:
            del content[at : at + int(rng.integers(1, 21))]
        else:
            content[at:at] = INSERTS[rng.integers(len(INSERTS))]
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("wells__csv", WELLS.encode()),
        ("wells__csv", CHINESE.encode("gb18030")),
        ("wells__xlsx", workbook(S=cells(WELLS))),
        ("wells__parquet", parquet()),
    ],
)
def test_damage_never_ends_in_a_traceback(tmp_path, name, data):
    rng = np.random.default_rng(2026)
    for _ in range(20):
        tables, findings = read(tmp_path, **{name: damaged(data, rng)})
        assert len(tables.wells) > 0 or findings.errors.count > 0
