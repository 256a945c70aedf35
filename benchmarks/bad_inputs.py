"""How many cases of bad input end as stated: prints every case and the count.

Run: ``python benchmarks/bad_inputs.py``.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from test_bad_input_cases import ALL, verdict, written


def main():
    """Print a line for each case and the count for each section."""
    good, all_ = Counter(), Counter()
    for case in ALL:
        with tempfile.TemporaryDirectory() as folder:
            said = verdict(written(Path(folder) / "county", case), case)
        good[case.name[0]] += not said
        all_[case.name[0]] += 1
        print(f"{case.name:<18} {case.ends:<2} {case.rule:<20} {said or 'as stated'}")
    for section in sorted(all_):
        print(f"section {section}: {good[section]} of {all_[section]} end as stated")
    print(f"{good.total()} of {all_.total()} end as stated")


if __name__ == "__main__":
    main()
