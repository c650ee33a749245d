"""Tests mirror robot/; a package so that conftest.py can name tests.typecheck."""
