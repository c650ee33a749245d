"""The arms of a comparison as a config says them: parsed and checked without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from robot.errors import InputError, one_of
from robot.perception.names import check_deployment_section, check_fault
from robot.policy.sizes import check_kind
from robot.system.parse import Count, FlatSpec, FolderName, Positive, Spec, options, parse
from robot.train.options import Augmentation, Grounding, Relocation, Training
from robot.weightings import check_weighting

Section = Mapping[str, Any]  # of a command's resolved config, not parsed yet

TRAINED = (
    *("perception", "scenes", "steps", "augment", "deployment", "weighting", "policy"),
    *("episodes", "grounding", "own_head", "relocate"),
)
ACTING = ("policy_of", "faults", "mask_period")
OPTIONS = (*TRAINED, *ACTING, "only_masked")


@options
class ArmOptions:
    """One arm: `perception` is what it sees through, its demonstrations are shared evenly by
    `scenes`, `episodes` and `steps` multiply the common numbers of demonstrations and of training
    steps, `weighting` weighs its demonstrations (robot.weightings.WEIGHTING_NAMES), `grounding`
    tells a policy without masks where the goal's objects are while it is trained. `own_head` trains
    it a mask head on nothing but the labels beside its demonstrations. `relocate` adds copies of
    them whose targets stand elsewhere (robot.train.relocation).

    It acts with the policy of the arm `policy_of`, itself as a rule; `faults` break its masks when
    it acts, `mask_period` asks for fresh ones every so many decisions.
    """

    name: FolderName
    perception: Literal["learned", "oracle", "none"]
    scenes: Annotated[tuple[str, ...], Field(min_length=1)]
    steps: Positive
    deployment: Any  # a section with a name; robot.experiment.arms.Arm has it made
    augment: Augmentation
    weighting: str
    policy: FlatSpec
    policy_of: str
    episodes: Positive = 1.0
    grounding: Grounding | None = None
    own_head: Training | None = None
    relocate: Relocation | None = None
    faults: tuple[Spec, ...] = ()
    mask_period: Count = 1

    def __post_init__(self) -> None:
        check_weighting(self.weighting)
        check_kind(self.policy.kind, at="policy")
        if isinstance(self.deployment, Mapping):
            check_deployment_section(self.deployment)
        if self.augment.backgrounds and self.perception != "none":
            raise InputError(
                f"got augment.backgrounds={self.augment.backgrounds} for arm {self.name}, which "
                "masks its frames: expected perception none; set augment.backgrounds=0"
            )
        if self.grounding and (self.perception != "none" or self.augment.backgrounds):
            raise InputError(
                f"got grounding for arm {self.name}, which masks its frames or pastes backgrounds "
                "into them: expected perception none and augment.backgrounds=0; leave out one"
            )
        if self.own_head and self.perception != "learned":
            raise InputError(
                f"got own_head for arm {self.name}, expected perception learned: nothing would see "
                "its masks; leave it out"
            )
        if self.relocate and (self.perception == "none" or self.weighting != "uniform"):
            raise InputError(
                f"got relocate for arm {self.name}, which sees whole frames or weights its "
                "demonstrations: expected perception learned or oracle, weighting uniform; leave "
                "one out"
            )
        if self.faults and self.perception == "none":
            raise InputError(
                f"got faults for arm {self.name}, which has no masks; expected perception learned "
                "or oracle; drop the faults"
            )
        for fault in self.faults:
            check_fault(fault.kind, fault.options)

    @property
    def shares_head(self) -> bool:
        """Whether it sees through the mask head that is given, or that such arms share."""
        return self.perception == "learned" and self.own_head is None

    @property
    def trains(self) -> bool:
        """Whether a policy is trained for it."""
        return self.policy_of == self.name


def chosen_sections(config: Section) -> list[Section]:
    """Return the values of the arms that `compare` names in its order, of all where it is null.

    `augment`, `weighting`, `policy` and `deployment` of an arm override the common ones. An arm
    with `only_masked` is left out under perception=none, where it would see whole frames, as its
    twin does.
    """
    sections = sections_of(config)
    chosen = list(sections) if config["compare"] is None else config["compare"]
    if not isinstance(chosen, list) or not chosen or len(set(map(str, chosen))) < len(chosen):
        raise InputError(
            f"got compare={chosen}, expected each arm once and at least one; choose from "
            f"{', '.join(sections)}"
        )
    return [arm_section(name, sections, config) for name in chosen]


def trained_sections(names: Sequence[str], config: Section) -> list[Section]:
    """Return the values of these arms, each once."""
    sections = sections_of(config)
    return [arm_section(name, sections, config) for name in dict.fromkeys(names)]


def arm_options(sections: Sequence[Section]) -> list[ArmOptions]:
    """Parse arms without torch."""
    return [parse(ArmOptions, section, at=f"arms.{section['name']}") for section in sections]


def sections_of(config: Section) -> dict[str, Section]:
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


def arm_section(name: str, sections: Mapping[str, Section], config: Section) -> Section:
    """Return the values of one arm, what it leaves out taken from the common ones."""
    source = _known(name, sections).get("policy_of", name)
    trained = _known(source, sections)
    if source != name and (both := sorted(set(sections[name]) & set(TRAINED))):
        raise InputError(
            f"got {', '.join(both)} for arm {name} beside policy_of={source}, expected one of the "
            "two; drop one"
        )
    own = sections[name]
    return {
        "name": name,
        "policy_of": source,
        "perception": trained["perception"],
        "scenes": trained["scenes"],
        "steps": trained["steps"],
        "episodes": trained.get("episodes", 1.0),
        "grounding": trained.get("grounding"),
        "own_head": trained.get("own_head"),
        "relocate": trained.get("relocate"),
        "deployment": _deployment(trained, config),
        "augment": trained.get("augment") or config["augment"],
        "weighting": trained.get("weighting") or config["weighting"],
        "policy": _policy(source, trained, config),
        "faults": tuple(_fault(fault, arm=name) for fault in own.get("faults") or ()),
        "mask_period": own.get("mask_period", 1),
    }


def _fault(section: object, *, arm: str) -> Spec:
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise InputError(
            f"got {section} in faults of arm {arm}, expected {{name: <fault>, option: value}}; add "
            "its name"
        )
    return Spec(section["name"], {k: v for k, v in section.items() if k != "name"})


def _known(name: str, sections: Mapping[str, Section]) -> Section:
    if not isinstance(name, str) or name not in sections:
        known = one_of(name, sections, do=f"correct compare, or add arms.{name}")
        raise InputError(f"got arm {name!r}, {known}")
    return sections[name]


def _deployment(arm: Section, config: Section) -> Any:
    if arm["perception"] == "none":
        return {"name": "none"}
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
