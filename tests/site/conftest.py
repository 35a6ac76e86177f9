"""Real machines take minutes: `make site` runs these tests, `make test` leaves them out."""

import os

if not os.environ.get("ROOMMOOD_TEST_SITE"):
    collect_ignore_glob = ["test_*.py"]
