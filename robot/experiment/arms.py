"""The arms of a comparison: how each sees, what it is trained on, what is changed when it acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from robot.dwsl import check_weighting
from robot.perception.compose.masking import Deployment, Unmasked
from robot.perception.registry import AnyDeployment, make_fault
from robot.perception.sources import NoMask
from robot.policy import POLICIES
from robot.system.parse import Count, FlatSpec, FolderName, Positive, Spec, options, parse
from robot.train.policy import Augmentation
from robot.types import InputError

Section = Mapping[str, Any]  # of a command's resolved config, not parsed yet

TRAINED = ("perception", "scenes", "steps", "augment", "deployment", "weighting", "policy")
ACTING = ("policy_of", "faults", "mask_period")
OPTIONS = (*TRAINED, *ACTING, "only_masked")


@options
class Arm:
    """One arm: `perception` is what it sees through, its demonstrations are shared evenly by
    `scenes`, `steps` multiplies the common number of training steps, `weighting` weighs its
    demonstrations (robot.dwsl.WEIGHTINGS).

    It acts with the policy of the arm `policy_of`, itself as a rule; `faults` break its masks when
    it acts, `mask_period` asks for fresh ones every so many decisions.
    """

    name: FolderName
    perception: Literal["learned", "oracle", "none"]
    scenes: Annotated[tuple[str, ...], Field(min_length=1)]
    steps: Positive
    deployment: AnyDeployment
    augment: Augmentation
    weighting: str
    policy: FlatSpec
    policy_of: str
    faults: tuple[Spec, ...] = ()
    mask_period: Count = 1

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        if self.policy.kind not in POLICIES:
            raise InputError(
                f"got policy.kind={self.policy.kind}, expected one of {', '.join(POLICIES)}; pass "
                "policy=<one of these>"
            )
        if self.augment.backgrounds and self.perception != "none":
            raise InputError(
                f"got augment.backgrounds={self.augment.backgrounds} for arm {self.name}, which "
                "masks its frames: expected perception none; set augment.backgrounds=0"
            )
        if self.faults and self.perception == "none":
            raise InputError(
                f"got faults for arm {self.name}, which has no masks; expected perception learned "
                "or oracle; drop the faults"
            )
        for fault in self.faults:  # built once: raises where a fault or its options do not exist
            make_fault(
                fault.kind,
                NoMask(),
                labels=dict,
                rng=np.random.default_rng(0),
                **fault.options,
            )

    @property
    def trains(self) -> bool:
        """Whether a policy is trained for it."""
        return self.policy_of == self.name


def arms_of(config: Section) -> list[Arm]:
    """Return the arms that `compare` names in its order, all where it is null.

    `augment`, `weighting`, `policy` and `deployment` of an arm override the common ones. An arm
    with `only_masked` is left out under perception=none, where it would see whole frames, as its
    twin does.
    """
    sections = _sections(config)
    chosen = list(sections) if config["compare"] is None else config["compare"]
    if not isinstance(chosen, list) or not chosen or len(set(map(str, chosen))) < len(chosen):
        raise InputError(
            f"got compare={chosen}, expected each arm once and at least one; choose from "
            f"{', '.join(sections)}"
        )
    return [_arm(name, sections, config) for name in chosen]


def trained_arms(arms: list[Arm], config: Section) -> list[Arm]:
    """Return each arm that needs a training once, in order: those that others act with, too."""
    sections = _sections(config)
    names = dict.fromkeys(arm.policy_of for arm in arms)
    return [_arm(name, sections, config) for name in names]


def _sections(config: Section) -> dict[str, Section]:
    """Return the arms' sections by name; raise InputError if one is malformed."""
    sections = config["arms"]
    if not isinstance(sections, Mapping) or not sections:
        raise InputError(
            f"got arms={sections}, expected a section with an arm in it, "
            "arms.<name>={perception, scenes, steps}"
        )
    for name, section in sections.items():
        given = set(section) if isinstance(section, Mapping) else set()
        needed = {"perception", "scenes", "steps"} if "policy_of" not in given else set()
        if missing := sorted(needed - given):
            raise InputError(
                f"got no {', '.join(missing)} for arm {name}, expected how it is trained; see "
                "configs/"
            )
        if unknown := sorted(given - set(OPTIONS)):
            raise InputError(
                f"got {', '.join(unknown)} for arm {name}, expected "
                f"{', '.join(sorted(OPTIONS))}; correct the name"
            )
    return {
        name: section
        for name, section in sections.items()
        if not (section.get("only_masked") and section.get("perception") == "none")
    }


def _arm(name: str, sections: Mapping[str, Section], config: Section) -> Arm:
    source = _known(name, sections).get("policy_of", name)
    trained = _known(source, sections)
    if source != name and (both := sorted(set(sections[name]) & set(TRAINED))):
        raise InputError(
            f"got {', '.join(both)} for arm {name} beside policy_of={source}, expected one of the "
            "two; drop one"
        )
    own = sections[name]
    section = {
        "name": name,
        "policy_of": source,
        "perception": trained["perception"],
        "scenes": trained["scenes"],
        "steps": trained["steps"],
        "deployment": _deployment(trained, config),
        "augment": trained.get("augment") or config["augment"],
        "weighting": trained.get("weighting") or config["weighting"],
        "policy": _policy(source, trained, config),
        "faults": tuple(_fault(fault, arm=name) for fault in own.get("faults") or ()),
        "mask_period": own.get("mask_period", 1),
    }
    return parse(Arm, section, at=f"arms.{name}")


def _fault(section: object, *, arm: str) -> Spec:
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise InputError(
            f"got {section} in faults of arm {arm}, expected {{name: <fault>, option: value}}; add "
            "its name"
        )
    return Spec(section["name"], {k: v for k, v in section.items() if k != "name"})


def _known(name: str, sections: Mapping[str, Section]) -> Section:
    if not isinstance(name, str) or name not in sections:
        raise InputError(
            f"got arm {name!r}, expected one of {', '.join(sections)}; correct compare, or add "
            f"arms.{name}"
        )
    return sections[name]


def _deployment(arm: Section, config: Section) -> Deployment | Any:
    if arm["perception"] == "none":
        return Unmasked()
    return arm.get("deployment") or config["perception"]["deployment"]


def _policy(name: str, arm: Section, config: Section) -> Spec:
    common, own = config["policy"], arm.get("policy") or {}
    if unknown := sorted(set(own) - set(common)):
        expected = ", ".join(option for option in common if option != "kind")
        raise InputError(
            f"got {', '.join(unknown)} for arms.{name}.policy, expected some of {expected}; "
            "correct the name"
        )
    return Spec.of({**common, **own})
