"""What a module says of its own arguments rebuilds it."""

from __future__ import annotations

import inspect

import pytest
import torch

from robot.checkpoint import SHIPPED, read_header
from robot.policy import POLICIES, load_policy
from robot.policy.demonstration_discriminator import DemonstrationDiscriminator
from robot.policy.rebuildable import Rebuildable, keeps_arguments
from robot.policy.registry import upgrade_config
from tests.policy.toy import UNIT, observation


class Made(Rebuildable):
    @keeps_arguments
    def __init__(self, *, width: int, depth: int = 3, name: str = "made") -> None:
        super().__init__()
        width = 2 * width  # what a constructor makes of its arguments is its own matter
        self.layer = torch.nn.Linear(width, depth)


def test_arguments_are_kept_as_given_with_the_defaults_of_the_others():
    assert Made(width=2, name="mine").config() == {"width": 2, "depth": 3, "name": "mine"}


def test_what_is_returned_can_be_changed_without_changing_the_module():
    made = Made(width=2)
    made.config()["width"] = 5
    assert made.config()["width"] == 2


def test_a_module_that_cannot_be_made_says_so_as_before():
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'width'"):
        Made()  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [*POLICIES.values(), DemonstrationDiscriminator])
def test_every_argument_of_a_constructor_is_in_the_config(kind):
    config = kind(statistics=UNIT).config()
    assert list(config) == list(inspect.signature(kind).parameters)
    assert config["statistics"] == UNIT


@pytest.mark.parametrize("name", ["tabletop", "place"])
def test_shipped_weights_load_and_their_arguments_rebuild_them(name):
    header, shipped = read_header(SHIPPED / name), load_policy(SHIPPED / name)
    config = shipped.config()
    written = upgrade_config(header["config"])
    assert {k: config[k] for k in written if k not in ("encoder", "statistics")} == {
        k: v for k, v in written.items() if k not in ("encoder", "statistics")
    }
    assert written["encoder"].items() <= config["encoder"].items()
    rebuilt = POLICIES[header["kind"]](**config).eval()
    rebuilt.load_state_dict(shipped.state_dict())
    seen = observation(1, cameras=2, image_size=config["encoder"]["image_size"])
    one, other = (p.sample(seen, torch.Generator().manual_seed(0)) for p in (shipped, rebuilt))
    assert torch.equal(one, other)
