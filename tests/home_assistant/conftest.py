"""A real Home Assistant takes minutes to install: `make home-assistant` runs these tests."""

import os

if not os.environ.get("ROOMMOOD_TEST_HOME_ASSISTANT"):
    collect_ignore_glob = ["test_*.py"]
