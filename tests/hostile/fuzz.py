"""`python -m tests.hostile.fuzz [--seconds N]`: both decoders under atheris, N seconds each.

atheris and what the decoders import go into build/fuzz-venv, corpora stay under build/fuzz, and
build/fuzz.json tells executions, coverage and findings. A finding is an input under
build/fuzz/NAME/found: it belongs, made small, into tests/golden/seeds/NAME with the fix, where it
is a test and the next run's seed. Coverage is of our Python; OpenCV's own code is run, not seen.
"""

import argparse
import json
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
BUILD: Final = ROOT / "build"
FOLDER: Final = BUILD / "fuzz"
PYTHON: Final = BUILD / "fuzz-venv" / "bin" / "python"
NEEDS: Final = ("atheris>=3", "msgpack>=1.1", "numpy>=1.26", "opencv-python-headless>=4.12,<5")
MAX_LENGTH: Final = {"wire": 65_536, "jpeg": 16_384}
# Bounds on one input: seconds, and MB of the whole process.
TIMEOUT_S: Final = 10
MEMORY_MB: Final = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("targets", nargs="*", default=list(MAX_LENGTH))
    asked = parser.parse_args()
    make_environment()
    write_seeds()
    reported = {name: fuzz(name, asked.seconds) for name in asked.targets}
    (BUILD / "fuzz.json").write_text(json.dumps(reported, indent=1) + "\n")
    sys.stdout.write(json.dumps(reported, indent=1) + "\n")
    sys.exit(any(value["findings"] for value in reported.values()))


def make_environment() -> None:
    if PYTHON.exists():
        return
    venv.create(PYTHON.parent.parent, with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "-q", *NEEDS], check=True)


def write_seeds() -> None:
    """The golden corpus; a wire target's first byte chooses the decoder."""
    seeds = {"wire": FOLDER / "wire" / "seeds", "jpeg": FOLDER / "jpeg" / "seeds"}
    for folder in seeds.values():
        folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(("hello", "credit", "frame", "report", "ack")):
        message = (ROOT / f"tests/golden/wire/{kind}-v1.bin").read_bytes()
        (seeds["wire"] / kind).write_bytes(bytes([number]) + message)
    for path in (ROOT / "tests/golden/jpeg").glob("*.jpg"):
        (seeds["jpeg"] / path.name).write_bytes(path.read_bytes())
    for name, folder in seeds.items():
        for path in (ROOT / "tests/golden/seeds" / name).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())


def fuzz(name: str, seconds: int) -> dict[str, object]:
    """Runs one target to its end; a finding ends it at once, and is kept."""
    corpus, crashes = FOLDER / name / "corpus", FOLDER / name / "found"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    flags: list[str | Path] = [
        f"-max_total_time={seconds}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={MAX_LENGTH[name]}", f"-artifact_prefix={crashes}/", "-print_final_stats=1",
        "-reduce_inputs=0",
    ]  # fmt: skip
    command = [PYTHON, "-m", "tests.hostile.fuzz_targets", name, *flags, corpus]
    log = FOLDER / f"{name}.log"
    with log.open("wb") as output:
        seeds = FOLDER / name / "seeds"
        subprocess.run([*command, seeds], cwd=ROOT, stdout=output, stderr=output, check=False)
    return told_by(log.read_text(errors="replace"), sorted(path.name for path in crashes.iterdir()))


def told_by(log: str, findings: list[str]) -> dict[str, object]:
    """What libFuzzer's own figures say."""
    last = {name: re.findall(rf"{name}:\s*(\d+)", log)[-1:] for name in ("cov", "ft", "rss")}
    runs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", log)
    numbers = {"executions": runs[-1:], "edges": last["cov"], "features": last["ft"]}
    return {name: int(n[0]) if n else 0 for name, n in numbers.items()} | {"findings": findings}


if __name__ == "__main__":
    main()
