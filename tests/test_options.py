"""Every option of every command: misspelt, removed, of another kind, null, negative, not finite,
empty or twice; and options that do not fit each other. Each is one sentence before torch is
imported, or a choice that `FREE` names.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from launch.command_line import CONFIGS
from launch.options import check_options
from robot.errors import InputError
from tests.refusals import COMMANDS, composed, work_of

ROOT = Path(__file__).resolve().parents[1]
# option -> what its sentence says
TOGETHER = {
    "train_policy": {
        "task=no-such": "got task 'no-such'",
        "task=TwoArmLift": "takes two arms",
        "policy.width=63": "got width 63",
        "policy.dim=66": "got dim 66",
        "policy=transformer policy.heads=5": "5 heads",
        "policy=transformer policy.heads=3 policy.dim=99": "got dim 99",
        "policy=diffusion_unet policy.dim=36": "got dim 36 for a U-Net",
        "policy=diffusion_unet policy.horizon=15": "got horizon 15",
        "policy.sample_steps=101": "got 101 sample_steps",
        "policy.image_size=50": "got image_size 50",
        "mask_head.heads=5": "heads 5",
        "mask_head.cameras=3": "got mask_head.cameras=3",
        "mask_head.dim=64": "expected the same; set head_start=null",
        "mask_head=ivm_sam_llava": "got no weights of llava-hf",
        "train.device=tpu": "got device 'tpu'",
        "train.device=cuda:x": "got device 'cuda:x'",
        "perception.deployment.threshold=2": "got threshold 2",
        "evaluation.execute=17": "expected at most the 16 actions",
        "evaluation.seed=0": "data.seed, too",
        "evaluation.tasks=[pick,door]": "expected tabletop tasks",
        "task=door evaluation.scenes=[background]": "robosuite's own tasks",
        "env.control_dt_s=0.1": "got env.control_dt_s=0.1",
        "weighting=dwsl": "add data=mixed",
        "data=mixed data.quality.seed=0": "expected another than data.seed",
        "data=mixed weighting=dwsl data.episodes=2": "expected one of each in every fold",
        "head_start=place": "expected a mask head",
        "augment.backgrounds=0.5": "got augment.backgrounds",
    },
    "ablate": {
        "preset=quick compare=[masked,masked_]": "got arm 'masked_'",
        "preset=full arms.stale.faults=[{name:stale,calls:0}]": "got calls 0",
        "preset=full arms.stale.faults=[{name:stale,pixels:2}]": "got pixels for mask fault stale",
    },
    "collect": {"task=door scene=messy": "robosuite's own tasks"},
    "evaluate": {
        "execute=17": "the policy's 16 actions",
        "env.image_size=64": "expected",
        "perception=oracle perception.deployment.name=blur": "pass deployment=blur",
    },
    "mask": {"goal=x": "expected a request", "deployment=no-such": "got deployment 'no-such'"},
    "train_mask": {
        "mask_weighting.discriminator.fill=2": "fill 2",
        "mask_head.dim=30": "dim 30",
        "measure.tasks=[door]": "for mask frames",
    },
    "train_given": {
        "policy.dim=66": "got dim 66",
        "deployment.name=fog": "got deployment 'fog'",
        "held_out=2": "got held_out=2",
        "train.device=tpu": "got device 'tpu'",
    },
    "convert_ivm": {"mask_head.masks=3": "masks, expected ivm_sam_llava with 1"},
    "serve": {
        "host=0.0.0.0": "expected a token",
        "port=70000": "expected 0 to 65535",
        "device=tpu": "got device 'tpu'",
    },
    "score_demonstrations": {
        "data=tabletop": "pass data=mixed",
        "task=door": "no other object",
    },
}


@pytest.fixture(autouse=True)
def no_gl(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for module in ("launch.evaluation", "launch.collection", "launch.scoring"):
        monkeypatch.setattr(f"{module}.require_gl", lambda: None)
    monkeypatch.setattr("launch.mask_training.require_gl", lambda: None)
    monkeypatch.setattr("robot.experiment.checks.require_gl", lambda: None)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"train_given", "convert_ivm"}))
def test_what_a_command_comes_with_is_accepted(command):
    name, overrides = COMMANDS[command]
    assert callable(work_of(command)(composed(name, overrides)))  # the work that is left to do


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_checked_before_torch_is_imported(command, tmp_path):
    together = [override.split() for override in TOGETHER[command]]
    done = subprocess.run(
        [sys.executable, "-m", "tests.refusals", command, json.dumps(together)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["accepted"] == []
    for got, expected in zip(found["together"], TOGETHER[command].values(), strict=True):
        assert expected in got


def test_other_commands_refuse_without_torch():
    done = subprocess.run(
        [sys.executable, "-m", "tests.refusals", "others"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("file", sorted(CONFIGS.rglob("*.yaml")), ids=lambda f: f.stem)
def test_what_a_yaml_file_says_may_be_said(file):
    values = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(values, dict)
    given = {k: v for k, v in values.items() if k not in ("defaults", "hydra")}
    check_options(given, default=given)  # raises for what it refuses


@pytest.mark.parametrize(
    ("default", "given", "says"),
    [
        ({"max_speed_m_s": 0.5}, {"max_speed_m_s": 0}, "expected above 0; raise it"),
        ({"max_speed_m_s": 0.5}, {"max_speed_m_s": -1}, "expected above 0; raise it"),
        ({"max_speed_m_s": 0.5}, {"max_speed_m_s": math.nan}, "a finite number; correct it"),
        ({"episodes": 5}, {"episodes": 0}, "expected at least 1; raise it"),
        ({"device": 0}, {"device": -1}, "expected 0 or above; raise it"),
    ],
)
def test_a_bound_is_that_of_the_kind_of_number(default, given, says):
    with pytest.raises(InputError, match=says):
        check_options(given, default=default)


@pytest.mark.parametrize("changed", ["take_over_button", "axes", "buttons"])
def test_a_device_counts_from_zero(changed):
    default = {"take_over_button": 1, "axes": {"x": 1}, "buttons": {"confirm": 2}}
    zero = {k: dict.fromkeys(v, 0) if isinstance(v, dict) else 0 for k, v in default.items()}
    check_options(default | {changed: zero[changed]}, default=default)
