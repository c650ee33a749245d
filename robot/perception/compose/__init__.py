"""Mask x frame -> what a policy sees, and how that is augmented."""
