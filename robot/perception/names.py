"""Names and options of what perception is made of, checked without torch.

robot.perception.registry builds what is named here; constructors call the same functions, so that
a config and a program get the same sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot.checkpoint import checkpoint_file, read_header, resolve_checkpoint
from robot.errors import InputError, one_of
from robot.system.parse import Spec

SOURCES = ("learned", "oracle", "none")
HEAD_KINDS = ("mask_head", "ivm_sam_llava")
DISCRIMINATOR_KINDS = ("mask_discriminator", "ivm_discriminator")
EDGE = ("threshold", "dilation", "dilation_share", "edge_sigma")  # options of every deployment
DEPLOYMENT_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "overlay": (*EDGE, "fill"),
    "blur": (*EDGE, "sigma"),
    "greyscale": EDGE,
    "crop": (*EDGE, "fill", "margin"),
    "crop_box": (*EDGE, "fill"),
    "channel": EDGE,
    "inpaint": (*EDGE, "plates", "radius"),
    "none": EDGE,
}
FAULT_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "dropped": ("share",),
    "shifted": ("share", "pixels"),
    "dilated": ("share", "pixels"),
    "wrong_object": ("share",),
    "stale": ("share", "calls"),
}


def check_deployment(name: str, options: Mapping[str, Any]) -> None:
    """Raise InputError unless there is such a deployment, and with these options."""
    if name not in DEPLOYMENT_OPTIONS:
        known = one_of(name, DEPLOYMENT_OPTIONS, do="pass deployment=<one of these>")
        raise InputError(f"got deployment {name!r}, {known}")
    known = DEPLOYMENT_OPTIONS[name]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"got {', '.join(unknown)} for deployment {name}, expected {', '.join(known)}; leave "
            "out what it lacks"
        )
    try:
        check_edge(**{option: options[option] for option in EDGE if option in options})
        check_plates(
            **{option: options[option] for option in ("plates", "radius") if option in options}
        )
    except TypeError as error:
        raise InputError(
            f"got options of deployment {name} that are no numbers ({error}), expected numbers; "
            "correct them"
        ) from error


def check_deployment_section(section: object) -> None:
    """Raise InputError unless a section of a config names a deployment, and options of it."""
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise InputError(f"got deployment={section}, expected a section with a name; add name")
    check_deployment(
        section["name"], {option: value for option, value in section.items() if option != "name"}
    )


def check_edge(
    *,
    threshold: float = 0.5,
    dilation: int = 0,
    dilation_share: float = 0.0,
    edge_sigma: float = 0.0,
) -> None:
    """Raise InputError unless these make a mask's edge."""
    if not 0 <= threshold < 1 or dilation < 0 or not 0 <= dilation_share < 0.5 or edge_sigma < 0:
        raise InputError(
            f"got threshold {threshold}, dilation {dilation}, dilation_share {dilation_share}, "
            f"edge_sigma {edge_sigma}, expected 0 <= threshold < 1, 0 <= dilation_share < 0.5, "
            "dilation and edge_sigma >= 0; correct it"
        )


def check_plates(*, plates: Sequence[str] = (), radius: float = 3.0) -> None:
    """Raise InputError unless holes can be filled so, and every plate is a file."""
    if radius <= 0:
        raise InputError(f"got radius {radius} for inpaint, expected pixels above 0; pass radius=3")
    if missing := [plate for plate in plates if plate and not Path(plate).is_file()]:
        raise no_plate(missing[0])


def no_plate(path: str) -> InputError:
    """Return what to raise where a picture of the empty scene cannot be read."""
    return InputError(
        f"got background plate {path!r}, expected a PNG or JPEG of the empty scene; correct the "
        "path"
    )


def check_fault(name: str, options: Mapping[str, Any]) -> None:
    """Raise InputError unless there is such a mask fault, and with these options."""
    if name not in FAULT_OPTIONS:
        known = one_of(name, FAULT_OPTIONS, do="pass faults=[{name: <one of these>}]")
        raise InputError(f"got mask fault {name!r}, {known}")
    known = FAULT_OPTIONS[name]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"got {', '.join(unknown)} for mask fault {name}, expected {', '.join(sorted(known))}; "
            "leave out what it lacks"
        )
    if "share" in options:
        check_share(options["share"])
    for option in ("pixels", "calls"):
        if option in options:
            at_least_one(options[option], option)


def check_share(share: float) -> None:
    """Raise InputError unless a fault can strike with this chance."""
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise InputError(
            f"got share {share} for a mask fault, expected a probability in [0, 1]; pass share=0.3"
        )


def at_least_one(value: int, name: str) -> int:
    """Return how far a fault moves something, or how old it is; raise InputError below 1."""
    if not isinstance(value, int) or value < 1:
        raise InputError(
            f"got {name} {value} for a mask fault, expected at least 1; leave the fault out to "
            "have none"
        )
    return value


def check_kind(kind: str, kinds: Sequence[str], *, at: str) -> None:
    """Raise InputError unless something of this kind can be built."""
    if kind not in kinds:
        raise InputError(f"got {at}.kind={kind}, {one_of(kind, kinds)}")


def check_head_sizes(*, widths: Sequence[int], blocks: Sequence[int], dim: int, heads: int) -> None:
    """Raise InputError unless these are the sizes of a small mask head."""
    if not _three_counts(widths, least=1) or not _three_counts(blocks, least=1):
        fits = False
    else:
        fits = dim % heads == 0 and dim % 4 == 0
    if not fits:
        raise InputError(
            f"got widths {list(widths)}, blocks {list(blocks)}, dim {dim}, heads {heads}, expected "
            "three widths and three block counts (scales 1/4, 1/8, 1/16) and a dim that 4 and the "
            "heads divide; correct them"
        )


def check_discriminator_sizes(*, widths: Sequence[int], blocks: Sequence[int], fill: float) -> None:
    """Raise InputError unless these are the sizes of a small discriminator of mask labels."""
    counts = _three_counts(widths, least=1) and _three_counts(blocks, least=1)
    if not counts or not 0 <= fill <= 1:
        raise InputError(
            f"got widths {list(widths)}, blocks {list(blocks)}, fill {fill}, expected three "
            "widths, three block counts and a grey value in [0, 1]; correct them"
        )


def _three_counts(values: Sequence[Any], *, least: int) -> bool:
    return len(values) == 3 and all(isinstance(v, int) and v >= least for v in values)


def resolve_head(name: str) -> Path:
    """Return the file of a mask head: a checkpoint, its folder, or the name of shipped weights."""
    path = resolve_checkpoint(name)
    inside = path / "mask_head.safetensors"
    file = inside if inside.is_file() else checkpoint_file(path)
    if (kind := read_header(file)["kind"]) not in HEAD_KINDS:
        raise InputError(
            f"got a checkpoint of {kind} at {file}, expected a mask head: one of "
            f"{', '.join(HEAD_KINDS)}"
        )
    return file


def check_start(start: Path, head: Spec) -> None:
    """Raise InputError unless a head of this kind and size can start with the weights in
    `start`.
    """
    header = read_header(start)
    if (header["kind"], header["config"]) != (head.kind, dict(head.options)):
        raise InputError(
            f"got mask_head {head.kind} {dict(head.options)} to start with the weights of {start}, "
            f"a {header['kind']} {header['config']}, expected the same; set head_start=null to "
            "train from scratch"
        )
