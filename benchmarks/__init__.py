"""One command for every ratio and time that README.md claims: `python benchmarks/<name>.py`."""
