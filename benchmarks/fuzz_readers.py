"""Read damaged copies of good files until something other than a refusal comes out; the count is printed and kept.

Run: ``python benchmarks/fuzz_readers.py --count 100000 [--seed 0]``; a failure prints the bytes' seed and stops.
Workbooks take a child process each, so they are one in fifty; findings are written out in full for one file in ten.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from damage import damaged_member, seeds
from elec2water.config import Config
from elec2water.errors import DataRefusedError
from elec2water.findings import COLUMNS, Findings
from elec2water.rules import rules
from elec2water.tables.context import Context
from elec2water.tables.reader import read_one

RESULTS = Path(__file__).parent / "results" / "fuzz_readers.json"
MIX = {"csv": 0.70, "html": 0.22, "parquet": 0.03, "gz": 0.03, "xlsx": 0.02}


@cache
def stand_in(rule):
    """Make one finding of a rule, once: the frames of findings take most of the time and are not what is fuzzed."""
    return Findings(pd.DataFrame({name: [0 if name == "row" else ""] for name in COLUMNS}).assign(
        rule=rule, severity=rules()[rule].severity, energy_kwh=0.0))  # fmt: skip


class LightContext(Context):
    """Reports one ready finding for whatever there is to report."""

    def finding(self, rule, **values):
        """Give the stand-in, or nothing where the lists are empty."""
        sizes = [len(value) for value in values.values() if isinstance(value, (list, np.ndarray))]
        return Findings.empty() if sizes and min(sizes) == 0 else stand_in(rule)


REAL = Findings.__dict__["concat"], Findings.__dict__["errors"]


def gravest(_, parts):
    """Keep one stand-in for many: an error where there is one."""
    some = [part for part in parts if part.count]
    return next((part for part in some if part.errors.count), some[0]) if some else Findings.empty()


@cache
def refuses(rule):
    """Whether a rule refuses data."""
    return rules()[rule].severity == "error"


def errors_of(found):
    """Give the stand-in itself if it is an error."""
    return found if found.count and refuses(found._frame["rule"].iloc[0]) else Findings.empty()


def set_light(*, light):
    """Write findings out in full, or let one stand for all."""
    Findings.concat, Findings.errors = (classmethod(gravest), property(errors_of)) if light else REAL


def attempt(path, config, *, full):
    """Read one file; say how it ended."""
    set_light(light=not full)
    context = (Context if full else LightContext)("readings", path.name)
    try:
        table, _ = read_one(path, context, config)
    except DataRefusedError as refused:
        return refused.findings.errors.frame["rule"].iloc[0]
    return "read" if len(table) else "no row"


def main():
    """Fuzz and count."""
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--first", type=int, default=0, help="number of the first file: a long run may be cut into pieces"
    )
    given = options.parse_args()
    warnings.simplefilter("error")
    files, config = seeds(), Config.model_validate({"project": {"name": "x"}})
    kinds, shares = list(MIX), np.array(list(MIX.values()))
    ends, by_kind, began = Counter(), Counter(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.csv"
        for number in range(given.first, given.first + given.count):
            rng = np.random.default_rng([given.seed, number])
            kind = kinds[int(rng.choice(len(kinds), p=shares))]
            path.write_bytes(damaged_member(files[kind][int(rng.integers(len(files[kind])))], rng))
            try:
                ends[attempt(path, config, full=number % 10 == 0)] += 1
            except Exception:  # whatever it is, it is what the fuzzer looks for
                traceback.print_exc()
                (RESULTS.parent / "fuzz_failure.bin").write_bytes(path.read_bytes())
                sys.exit(f"file {number} of seed {given.seed} ({kind}) ended in a traceback")
            by_kind[kind] += 1
            if number % 5000 == 4999:
                print(f"{number + 1} files, {time.perf_counter() - began:.0f} s", flush=True)
    record = json.loads(RESULTS.read_text(encoding="utf-8")) if given.first and RESULTS.exists() else {}
    ends += Counter(record.get("ends", {}))
    by_kind += Counter(record.get("kinds", {}))
    record = {"files": by_kind.total(), "tracebacks": 0, "seed": given.seed, "kinds": dict(by_kind)}
    record["ends"] = dict(ends.most_common())
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{given.count} damaged files read without a traceback: {dict(ends.most_common(8))}")


if __name__ == "__main__":
    main()
