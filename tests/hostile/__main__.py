"""The hostile suite: `python -m tests.hostile [--quick] [--only NAME ...] [--resume]`.

`make hostile` runs it. Attacks real workers and aggregators on loopback, within bounds of memory
and time that each row states, and looks if a good camera works after each. Writes
build/hostile.json and the table of docs/reliability.md; see tests/rows.py.
"""

import sys

from tests.rows import discover
from tests.suite import Suite, main

if __name__ == "__main__":
    sys.exit(main(Suite("hostile", discover("tests.hostile"), __doc__)))
