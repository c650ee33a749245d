"""Run every test that trains with other seeds, precisions, threads and instruction sets; print how
far each stays from its bound.

    python tools/learning_margins.py --seeds 0,1,2,3,4 --precisions fp32,bf16 --threads 1,2

A test counts if it takes the fixture `learning` (tests/learning.py). Exit code 1 where any fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
CAPPED = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
CAPS: dict[str, dict[str, str]] = {"as it is": {}, "capped at AVX2": CAPPED}


def test_files() -> list[str]:
    """Return the test files with a test that takes the fixture."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file) for file in files if "learning)" in file.read_text()]


def run(
    files: list[str], *, seeds: str, precisions: str, threads: str, cap: dict[str, str]
) -> list[tuple[str, str, bool]]:
    """Return (test and value, "value < bound", passed) of one pytest process."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n0", f"--junitxml={report}", *files]
        command += ["-k", "seed", f"--torch-threads={threads}"]
        command += [f"--learning-seeds={seeds}", f"--learning-precisions={precisions}"]
        subprocess.run(command, cwd=ROOT, env=os.environ | cap, stdout=subprocess.DEVNULL)
        cases = list(ElementTree.parse(report).iter("testcase"))
    return [row for case in cases for row in rows_of(case)]


def rows_of(case: ElementTree.Element) -> list[tuple[str, str, bool]]:
    """Return the margins that one test kept, or its name alone where it kept none."""
    test = case.get("name", "").split("[")[0]
    kind = case.get("name", "").partition("[")[2].partition("seed")[0].strip("-")
    passed = case.find("failure") is None and case.find("error") is None
    kept = [(p.get("name", ""), p.get("value", "")) for p in case.iter("property")]
    return [(f"{test}[{kind}] {name}", value, passed) for name, value in kept or [("", "no value")]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("files", nargs="*", help="test files; all that train if left out")
    options = parser.parse_args()

    kept: dict[str, list[str]] = defaultdict(list)
    failed = []
    for cap_name, cap in CAPS.items():
        for threads in options.threads.split(","):
            for name, value, passed in run(
                options.files or test_files(),
                seeds=options.seeds,
                precisions=options.precisions,
                threads=threads,
                cap=cap,
            ):
                kept[name].append(value)
                if not passed:
                    failed.append(f"{name}: {value} ({cap_name}, {threads} threads)")

    for name, values in sorted(kept.items()):
        numbers = sorted(float(value.split()[0]) for value in values if value[0] in "-0123456789")
        if numbers:
            bound = values[0].partition(" ")[2]
            print(
                f"{name}: {numbers[0]:.3f} .. {numbers[-1]:.3f}, bound {bound}, {len(values)} runs"
            )
    print(*(f"FAILED {line}" for line in failed), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
