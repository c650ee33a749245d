"""The arms of a comparison: how each sees, what it is trained on, what is changed when it acts."""

from __future__ import annotations

from robot.experiment.arm_options import (
    ArmOptions,
    Section,
    chosen_sections,
    trained_sections,
)
from robot.perception.registry import AnyDeployment
from robot.system.parse import options, parse


@options
class Arm(ArmOptions):
    """One arm, its deployment made."""

    deployment: AnyDeployment


def arms_of(config: Section) -> list[Arm]:
    """Return the arms that `compare` names in its order, all where it is null."""
    return _parsed(chosen_sections(config))


def trained_arms(arms: list[Arm], config: Section) -> list[Arm]:
    """Return each arm that needs a training once, in order: those that others act with, too."""
    return _parsed(trained_sections([arm.policy_of for arm in arms], config))


def _parsed(sections: list[Section]) -> list[Arm]:
    return [parse(Arm, section, at=f"arms.{section['name']}") for section in sections]
