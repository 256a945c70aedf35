"""Read damaged copies of good files until something other than a refusal comes out; the count is printed and kept.

Run: ``python benchmarks/fuzz_readers.py [--files 100000] [--seed 0]``; a failure prints the bytes' seed and stops. The
record is written after every thousand files and a run goes on where the last one with its seed ended.
Workbooks take a child process each, so they are one in fifty; findings are written out in full for one file in forty.
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
FAILURE = Path(tempfile.gettempdir()) / "fuzz_failure.bin"
BLOCK = 1000
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


def block(first, size, seed, path):
    """Read some damaged files; count how they ended and what they were."""
    files, config = seeds(), Config.model_validate({"project": {"name": "x"}})
    kinds, shares = list(MIX), np.array(list(MIX.values()))
    ends, by_kind = Counter(), Counter()
    for number in range(first, first + size):
        rng = np.random.default_rng([seed, number])
        kind = kinds[int(rng.choice(len(kinds), p=shares))]
        path.write_bytes(damaged_member(files[kind][int(rng.integers(len(files[kind])))], rng))
        try:
            ends[attempt(path, config, full=number % 40 == 0)] += 1
        except Exception:  # whatever it is, it is what the fuzzer looks for
            traceback.print_exc()
            FAILURE.write_bytes(path.read_bytes())
            sys.exit(f"file {number} of seed {seed} ({kind}) ended in a traceback; it is kept as {FAILURE}")
        by_kind[kind] += 1
    return ends, by_kind


def main():
    """Fuzz and count."""
    options = argparse.ArgumentParser()
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--minutes", type=float, default=np.inf, help="stop after so long; run again to go on")
    given = options.parse_args()
    warnings.simplefilter("error")
    old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    old = old if old.get("seed") == given.seed else {}
    ends, by_kind, began = Counter(old.get("ends", {})), Counter(old.get("kinds", {})), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        while by_kind.total() < given.files and time.perf_counter() - began < 60 * given.minutes:
            done = by_kind.total()
            more = block(done, min(BLOCK, given.files - done), given.seed, Path(folder) / "readings.csv")
            ends, by_kind = ends + more[0], by_kind + more[1]
            record = {"files": by_kind.total(), "tracebacks": 0, "seed": given.seed, "kinds": dict(by_kind)}
            record["ends"] = dict(ends.most_common())
            RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{by_kind.total()} files, {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{by_kind.total()} damaged files read without a traceback: {dict(ends.most_common(8))}")


if __name__ == "__main__":
    main()
