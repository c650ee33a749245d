"""One command for every ratio and time in docs/results.md: `python benchmarks/<name>.py`."""
