"""Every case of bad input ends as stated: exit status, rule, row, no traceback, nothing half-written."""

import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bad_input_cases import CASES, CLEAN, TOML, Case
from county_kit import command, read_table
from elec2water import county
from elec2water.tables import read_tables
from office_cases import OFFICE
from ugly_cases import UGLY

ALL = [*CASES, *UGLY, *OFFICE]

SEVERITY = {"R": {"error"}, "F": {"warning"}, "W": {"warning", "info"}, "N": {"info", "warning"}, "ok": {"info"}}


def written(folder: Path, case: Case) -> Path:
    """Write the project of a case."""
    (folder / "inputs").mkdir(parents=True)
    (folder / "elec2water.toml").write_text(TOML + case.toml, encoding="utf-8")
    files = {} if callable(case.files) else case.files
    for name, data in {**CLEAN, **files}.items():
        if data is not None:
            (folder / "inputs" / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    if callable(case.files):
        case.files(folder)
    return folder


@contextmanager
def in_zone(zone: str):
    """Let the machine think that it stands in another time zone."""
    with pytest.MonkeyPatch.context() as patch:
        if zone:
            patch.setenv("TZ", zone)
            time.tzset()
        yield
    time.tzset()


def verdict(folder: Path, case: Case) -> str:
    """Check one project; say what is not as stated, "" if all is."""
    read = []
    with in_zone(case.zone), pytest.MonkeyPatch.context() as patch:
        patch.setattr(county, "read_tables", lambda *given: read.append(read_tables(*given)) or read[0])
        status, _, err = command("check", folder)
    if "Traceback" in err:
        return f"traceback: {err[-300:]}"
    if case.ends == "C":
        return "" if status == 2 and case.rule in err else f"exit status {status}: {err[-300:]}"
    if status != (1 if case.ends == "R" else 0):
        return f"exit status {status}: {err[-300:]}"
    found = read_table(folder / "findings.csv")
    there = {path.name for path in folder.iterdir()} - {"inputs", "real.csv", "数据 #1"}
    if there != {"elec2water.toml", "findings.csv"}:
        return f"left behind: {there}"
    if case.rule:
        hits = found[(found["rule"] == case.rule) & found["severity"].isin(SEVERITY[case.ends])]
        if hits.empty:
            return f"no {case.rule}: {found[['rule', 'severity', 'row']].to_numpy().tolist()}"
        if case.row is not None and str(case.row) not in set(hits["row"]):
            return f"{case.rule} in row {hits['row'].tolist()}, not {case.row}"
    if case.holds is not None and case.ends != "R":
        tables = read[0][0]
        if not case.holds(tables):
            return f"the tables do not hold what was meant: {tables.readings.iloc[:, :6].to_dict('list')}"
    return ""


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_it_ends_as_stated(tmp_path, case):
    assert verdict(written(tmp_path / "county", case), case) == ""
