"""One command for every ratio and time that docs/results.md states: `python benchmarks/<name>.py`."""
