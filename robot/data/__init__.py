"""Demonstrations on disk (LeRobot v3, robomimic HDF5), mask-training frames, and training windows
in memory.
"""
