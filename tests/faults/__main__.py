"""The fault suite: `python -m tests.faults [--quick] [--only NAME ...] [--resume]`, `make faults`.

Kills, freezes, cuts and starves real processes, and compares what was acknowledged with what is in
Redis. Writes build/faults.json and the table of docs/reliability.md; see tests/rows.py.
"""

import sys

from tests.rows import discover
from tests.suite import Suite, main

if __name__ == "__main__":
    sys.exit(main(Suite("faults", discover("tests.faults"), __doc__)))
