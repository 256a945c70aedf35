"""Read damaged copies of good files until something other than a refusal comes out; the count is printed and kept.

Run: ``python benchmarks/fuzz_readers.py --count 100000 [--seed 0]``; a failure prints the bytes' seed and stops.
Workbooks take a child process each, so they are one in fifty.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from damage import damaged_member, seeds
from elec2water.config import Config
from elec2water.errors import DataRefusedError
from elec2water.tables.context import Context
from elec2water.tables.reader import read_one

RESULTS = Path(__file__).parent / "results" / "fuzz_readers.json"
MIX = {"csv": 0.70, "html": 0.22, "parquet": 0.03, "gz": 0.03, "xlsx": 0.02}


def attempt(path, config):
    """Read one file; say how it ended."""
    context = Context("readings", path.name)
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
    given = options.parse_args()
    warnings.simplefilter("error")
    files, config = seeds(), Config.model_validate({"project": {"name": "x"}})
    kinds, shares = list(MIX), np.array(list(MIX.values()))
    ends, by_kind, began = Counter(), Counter(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.csv"
        for number in range(given.count):
            rng = np.random.default_rng([given.seed, number])
            kind = kinds[int(rng.choice(len(kinds), p=shares))]
            path.write_bytes(damaged_member(files[kind][int(rng.integers(len(files[kind])))], rng))
            try:
                ends[attempt(path, config)] += 1
            except Exception:  # whatever it is, it is what the fuzzer looks for
                traceback.print_exc()
                (RESULTS.parent / "fuzz_failure.bin").write_bytes(path.read_bytes())
                sys.exit(f"file {number} of seed {given.seed} ({kind}) ended in a traceback")
            by_kind[kind] += 1
            if number % 5000 == 4999:
                print(f"{number + 1} files, {time.perf_counter() - began:.0f} s", flush=True)
    record = {
        "files": given.count,
        "tracebacks": 0,
        "seed": given.seed,
        "kinds": dict(by_kind),
        "ends": dict(ends.most_common()),
    }
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{given.count} damaged files read without a traceback: {dict(ends.most_common(8))}")


if __name__ == "__main__":
    main()
