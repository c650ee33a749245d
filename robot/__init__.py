"""Embodied robot control with instruction-guided visual masking."""
