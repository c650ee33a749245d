"""Names of the ways to weight samples, which robot.dwsl computes: checked without torch."""

from __future__ import annotations

from robot.errors import InputError, one_of

WEIGHTING_NAMES = ("uniform", "trusted_only", "fixed", "hard_filter", "oracle", "dwsl")
NEED_SCORES = ("hard_filter", "dwsl")
RULES = ("binary", "unlabelled")


def check_weighting(name: str) -> None:
    """Raise InputError unless there is such a weighting."""
    if name not in WEIGHTING_NAMES:
        known = one_of(name, WEIGHTING_NAMES, do="pass weighting=<one of these>")
        raise InputError(f"got weighting {name!r}, {known}")


def check_rule(rule: str) -> None:
    """Raise InputError unless there is such a rule."""
    if rule not in RULES:
        raise InputError(
            f"got rule {rule!r}, expected one of {', '.join(RULES)}; pass rule=<one of these>"
        )
