"""Builds in a folder of its own each time, so that what an older build left in `build/` gets into
no wheel. All else stands in pyproject.toml."""

import atexit
import shutil
import sys
import tempfile

from setuptools import setup
from setuptools.command.build import build


class FreshBuild(build):
    def initialize_options(self) -> None:
        super().initialize_options()
        self.build_base = tempfile.mkdtemp(prefix="roommood-build-")
        atexit.register(shutil.rmtree, self.build_base, ignore_errors=True)


if sys.maxsize < 2**32:
    sys.exit("error: roommood needs a Python of 64 bits: flash Raspberry Pi OS (64-bit)")

if sys.platform == "win32":
    sys.exit("error: roommood runs on Linux and macOS: on Windows install it in WSL 2")

setup(cmdclass={"build": FreshBuild})
