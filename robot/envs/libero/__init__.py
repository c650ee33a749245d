"""LIBERO and LIBERO-PRO behind the env API: their tasks, words, initial states and success, our
renderer, labels and experts. The packages are an extra: docs/libero.md.
"""
