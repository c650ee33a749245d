"""The commands as a person meets them: bad input is one sentence and exit code 2 (test_main_job.py
runs them to the end).

Refusals run in this process where they can (a command takes seconds to import), and once each as a
command of its own.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError

import train_policy
from launch import ablate, collect, evaluate, evaluating, score_demonstrations, train_mask
from robot.checkpoint import save
from robot.data.store import EpisodeStore
from robot.envs.arm_spaces import arm_spaces
from robot.perception.head.mask_head import MaskHead
from robot.policy import make_policy
from robot.system import command
from robot.system.cache import key
from tests.experiment.toy import HEAD, POLICY, write_demonstrations
from tests.policy.toy import UNIT

ROOT = Path(__file__).resolve().parents[1]
MAINS: dict[str, Callable[[], None]] = {
    "train_policy.py": train_policy.main,
    "launch/collect.py": collect.main,
    "launch/score_demonstrations.py": score_demonstrations.main,
    "launch/train_mask.py": train_mask.main,
    "launch/evaluate.py": evaluate.main,
    "launch/ablate.py": ablate.main,
}


LONG_WORK = (
    "robot.experiment.compare.compare",
    "launch.scoring.collect_scenes",
    "robot.experiment.collect.parallel_map",
    "launch.evaluating.evaluate_cells",
)


@pytest.fixture
def refusal(tmp_path, monkeypatch, capfd):
    """Run a command in an empty folder and return the one sentence that it refuses with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))

    def refused(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as stopped:
            MAINS[name]()
        said = capfd.readouterr()
        assert stopped.value.code == 2, said.err
        return one_sentence(said.out, said.err)

    return refused


def one_sentence(out: str, err: str) -> str:
    assert "Traceback" not in out + err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err.removeprefix("error: ").rstrip()


def policy_in(folder: Path, *, control_dt_s: float = 0.05, masks: str = "none") -> Path:
    policy = make_policy("transformer", statistics=UNIT, options=POLICY | {"horizon": 8})
    spaces = arm_spaces(control_dt_s=control_dt_s).to_json()
    metadata = {"spaces": spaces, "masks": masks, "deployment": {"name": "overlay"}, "seed": 0}
    save(folder, policy, kind="transformer", config=policy.config(), metadata=metadata)
    return folder


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("train_policy.py", ["task=fold"], "got task 'fold', expected one of pick, pick_related"),
        ("launch/collect.py", ["task=fold"], "got task 'fold', expected one of pick, pick_related"),
        (
            "launch/train_mask.py",
            ["measure.tasks=[fold]"],
            "got task 'fold' for mask frames, expected one of pick, pick_related",
        ),
        (
            "launch/evaluate.py",
            ["checkpoint=nothing-here"],
            "got checkpoint 'nothing-here', expected an existing path",
        ),
    ],
)
def test_a_command_refuses_with_exit_code_2_and_leaves_no_run_behind(
    name, arguments, says, tmp_path
):
    done = subprocess.run(
        [sys.executable, ROOT / name, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert one_sentence(done.stdout, done.stderr).startswith(says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        (
            "train_policy.py",
            ["evaluation.scenes=[clean,foggy]"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "train_policy.py",
            ["evaluation.mask_scenes=[foggy]"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "train_policy.py",
            ["+arms.mine={perception: oracle}"],
            "got no scenes, steps for arm mine, expected how it is trained",
        ),
        ("train_policy.py", ["arms=foo"], "got arms=foo, expected a section with masked, unmasked"),
        (
            "train_policy.py",
            ["~arms.masked", "~arms.unmasked"],
            "got arms={}, expected a section with an arm in it",
        ),
        (
            "train_policy.py",
            ["arms.masked.scenes=[foggy]"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "train_policy.py",
            ["task=lift", "evaluation.scenes=[messy]"],
            "for robosuite's own tasks; choose one of these",
        ),
        (
            "train_policy.py",
            ["arms.unmasked.perception=sonar"],
            "got arms.unmasked.perception=sonar, expected 'learned', 'oracle' or 'none'",
        ),
        (
            "train_policy.py",
            ["perception.deployment.name=fog"],
            "got deployment 'fog', expected one of overlay, blur",
        ),
        (
            "train_policy.py",
            ["+perception.deployment.hue=1"],
            "got hue for deployment overlay, expected threshold, dilation",
        ),
        (
            "train_policy.py",
            ["augment.ring=7"],
            "got augment.ring=7, expected at most 1",
        ),
        ("train_policy.py", ["name=a/b"], "got name='a/b', expected the name of a folder"),
        ("train_policy.py", ["wandb=online"], "without a Weights & Biases key"),
        ("train_policy.py", ["+env.x=1"], "got env.x, which the config does not have"),
        ("train_policy.py", ["train.device=cuda:77"], "got device 'cuda:77', expected one of"),
        ("train_policy.py", ["train.grad_clip=0"], "got train.grad_clip=0, expected"),
        ("train_policy.py", ["evaluation.scenes=[clean,clean]"], "with clean twice"),
        ("train_policy.py", ["policy.dim=7"], "got dim 7, expected a multiple of 4"),
        ("launch/evaluate.py", ["checkpoint=tabletop", "scene=[clean,clean]"], "with clean twice"),
        ("launch/evaluate.py", ["checkpoint=tabletop", "name=a/b"], "got name='a/b', expected"),
        ("launch/collect.py", ["seed=4294967296"], "expected at most 4294967295"),
        ("launch/collect.py", ["env.image_size=4"], "got env.image_size=4, expected at least 16"),
        ("launch/train_mask.py", ["mask_head.cameras=3"], "got mask_head.cameras=3, expected 1 or"),
        ("launch/train_mask.py", ["wandb=online"], "without a Weights & Biases key"),
        ("launch/train_mask.py", ["env.robot=R2D2"], "got robot"),
        ("train_policy.py", ["workers=0"], "got workers=0, expected at least 1"),
        ("train_policy.py", ["policy=oracle"], "got policy=oracle, expected one of diffusion"),
        (
            "train_policy.py",
            ["env=warehouse"],
            "got env=warehouse, expected one of libero, mujoco, robosuite",
        ),
        (
            "train_policy.py",
            ["env=libero", "arms.masked.scenes=[position]"],
            "got scene 'position' to learn from, expected one of clean, rearranged",
        ),
        ("train_policy.py", ["stepz=1"], "got stepz, which the config does not have"),
        (
            "launch/ablate.py",
            ["preset=huge"],
            "got preset=huge, expected one of deployments, full, libero_pro, paper",
        ),
        (
            "launch/ablate.py",
            ["compare=[masked,sonar]"],
            "got arm 'sonar', expected one of masked, unmasked, grounded",
        ),
        (
            "launch/ablate.py",
            ["evaluation.scenes=[foggy]"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "launch/ablate.py",
            ["evaluation.tasks=[pick,lift]"],
            "expected tabletop tasks where there are several",
        ),
        (
            "launch/ablate.py",
            ["evaluation.scenes=[]"],
            "got evaluation.scenes=[], expected at least one",
        ),
        (
            "launch/ablate.py",
            ["evaluation.episodes=0"],
            "got evaluation.episodes=0, expected at least 1",
        ),
        ("launch/ablate.py", ["training_seeds=0"], "got training_seeds=0, expected at least 1"),
        ("launch/ablate.py", ["train.steps=0"], "got train.steps=0, expected at least 1"),
        ("launch/ablate.py", ["unmasked.steps=-1"], "got unmasked.steps=-1, expected above 0"),
        (
            "launch/ablate.py",
            ["evaluation.headline_scene=foggy"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "launch/ablate.py",
            ["perception=none"],
            "got arm 'masked', expected one of unmasked, grounded",
        ),
        (
            "launch/ablate.py",
            ["head=nothing-here"],
            "got checkpoint 'nothing-here', expected an existing path",
        ),
        (
            "launch/ablate.py",
            ["perception.deployment.name=fog"],
            "got deployment 'fog', expected one of overlay, blur",
        ),
        (
            "train_policy.py",
            ["weighting=dwsl"],
            "got weighting=dwsl where all demonstrations are trusted; add data=mixed",
        ),
        (
            "train_policy.py",
            ["weighting=best"],
            "got weighting 'best', expected one of uniform, trusted_only",
        ),
        (
            "launch/ablate.py",
            ["head=null", "weighting=dwsl"],
            "got weighting=dwsl where all demonstrations are trusted; add data=mixed",
        ),
        (
            "launch/ablate.py",
            ["head=null", "data=mixed", "weighting=best"],
            "got weighting 'best', expected one of uniform, trusted_only",
        ),
        (
            "launch/ablate.py",
            ["head=null", "data=mixed", "weighting=dwsl", "scoring.folds=1"],
            "got scoring.folds=1, expected at least 2",
        ),
        (
            "train_policy.py",
            ["evaluation.seed=0"],
            "got evaluation.seed=0, which is data.seed, too",
        ),
        (
            "launch/ablate.py",
            ["preset=weighting", "evaluation.seed=1"],
            "got evaluation.seed=1, which is data.quality.seed, too",
        ),
        (
            "train_policy.py",
            ["policy.vision=token"],
            "got vision 'token', expected one of cnn, tokens",
        ),
        (
            "launch/ablate.py",
            ["preset=paper", "train.precision=fp8"],
            "got train.precision=fp8, expected 'auto', 'bf16' or 'fp32'",
        ),
        (
            "train_policy.py",
            ["evaluation.execute=17"],
            "got evaluation.execute=17, expected at most the 16 actions",
        ),
        ("train_policy.py", ["env.control_dt_s=0.1"], "got env.control_dt_s=0.1, expected 0.05"),
        (
            "launch/score_demonstrations.py",
            ["scoring.masks=learned"],
            "got scoring.masks=learned without a mask head",
        ),
        (
            "launch/evaluate.py",
            ["checkpoint=tabletop", "perception=learned", "perception.deployment.name=blur"],
            "which is for training; here, pass deployment=blur",
        ),
        (
            "launch/train_mask.py",
            ["weighting=dwsl"],
            "got weighting, which the config does not have, expected one of data",
        ),
        (
            "launch/score_demonstrations.py",
            ["weighting=dwsl"],
            "got weighting, which the config does not have, expected one of data",
        ),
        (
            "launch/collect.py",
            ["quality={corrupted: 1, kinds: {lazy: 1}}"],
            "got quality.kinds with lazy, expected noisy",
        ),
        (
            "launch/score_demonstrations.py",
            ["data=tabletop"],
            "got data without machine demonstrations, expected some to score; pass data=mixed",
        ),
        (
            "launch/score_demonstrations.py",
            ["data.quality.corrupted=2"],
            "got quality.corrupted=2.0, expected a share from 0 to 1",
        ),
        (
            "launch/score_demonstrations.py",
            ["task=lift"],
            "got quality kind wrong_object for task 'lift'",
        ),
        (
            "launch/score_demonstrations.py",
            ["scoring.folds=1"],
            "got scoring.folds=1, expected at least 2",
        ),
        (
            "launch/score_demonstrations.py",
            ["data.episodes=2"],
            "got 2 trusted and 6 machine demonstrations for scoring.folds=3",
        ),
        (
            "launch/score_demonstrations.py",
            ["scene=foggy"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "launch/collect.py",
            ["scene=foggy"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        ("launch/collect.py", ["episodes=0"], "got episodes=0"),
        (
            "launch/train_mask.py",
            ["measure.scenes=[foggy]"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "launch/train_mask.py",
            ["+data.mask_frames.scenes.foggy=1.0"],
            "got scene 'foggy', expected one of clean",
        ),
        (
            "launch/train_mask.py",
            ["data.mask_frames.tasks=[lift]"],
            "got task 'lift' for mask frames",
        ),
        (
            "launch/train_mask.py",
            ["mask_head=ivm_sam_llava"],
            "got no weights of llava-hf/llava-1.5-7b-hf",
        ),
        (
            "launch/train_mask.py",
            ["mask_weighting=dwsl_ivm"],
            "got no weights of llava-hf/llava-1.5-7b-hf",
        ),
        (
            "launch/train_mask.py",
            ["head_start=nowhere"],
            "got checkpoint 'nowhere', expected an existing path or one of the shipped",
        ),
        (
            "launch/ablate.py",
            ["preset=deployments", "+arms.masked.policy.depht=1"],
            "got depht for arms.masked.policy, expected some of in_channels",
        ),
        (
            "launch/ablate.py",
            ["preset=full", "mask_head.dim=32"],
            "expected the same; set head_start=null to train from scratch",
        ),
        (
            "launch/ablate.py",
            ["preset=full", "mask_head=ivm_sam_llava"],
            "got no weights of llava-hf/llava-1.5-7b-hf",
        ),
        (
            "launch/train_mask.py",
            ["mask_weighting=guess"],
            "got mask_weighting=guess, expected one of dwsl, dwsl_ivm, none",
        ),
        (
            "launch/train_mask.py",
            ["mask_weighting=dwsl", "mask_weighting.trusted_share=1"],
            "got trusted_share=1.0, expected a share between 0 and 1",
        ),
        (
            "launch/train_mask.py",
            ["mask_head.kind=huge"],
            "got mask_head.kind=huge, expected one of mask_head",
        ),
        (
            "train_policy.py",
            ["mask_head=ivm_sam_llava"],
            "got no weights of llava-hf/llava-1.5-7b-hf",
        ),
        ("launch/evaluate.py", [], "no value for checkpoint; add checkpoint=... to the command"),
        (
            "launch/evaluate.py",
            ["checkpoint=.", "task=fold"],
            "got task 'fold', expected one of pick, pick_related",
        ),
        (
            "launch/evaluate.py",
            ["checkpoint=.", "scene=foggy"],
            "got scene 'foggy', expected one of clean, distract",
        ),
        (
            "launch/evaluate.py",
            ["checkpoint=."],
            "got no checkpoint at model.safetensors, expected a .safetensors file",
        ),
        (
            "launch/evaluate.py",
            ["checkpoint=.", "perception=sonar"],
            "got perception=sonar, expected one of learned",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(name, arguments, says, refusal, monkeypatch):
    for work in LONG_WORK:
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("the work began"))
    assert says in refusal(name, *arguments)


def test_a_checkpoint_of_another_control_period_is_refused(refusal, tmp_path):
    folder = policy_in(tmp_path / "slow", control_dt_s=0.1)
    said = refusal("launch/evaluate.py", f"checkpoint={folder}")
    assert "that differs: control_dt_s 0.05 s, expected 0.1 s. Use a policy that was" in said


def test_a_mask_head_is_no_policy(refusal, tmp_path):
    save(tmp_path / "head", MaskHead(**HEAD), kind="mask_head", config=HEAD)
    assert "got a checkpoint of kind mask_head" in refusal(
        "launch/evaluate.py", f"checkpoint={tmp_path / 'head'}"
    )


def test_a_damaged_checkpoint_is_refused(refusal, tmp_path):
    folder = policy_in(tmp_path / "half")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "got a damaged checkpoint" in refusal("launch/evaluate.py", f"checkpoint={folder}")


def test_a_policy_without_its_mask_head_is_refused(refusal, tmp_path):
    folder = policy_in(tmp_path / "alone", masks="learned")
    assert "got no mask head at" in refusal("launch/evaluate.py", f"checkpoint={folder}")


def test_an_unknown_deployment_is_refused_before_anything_runs(refusal, tmp_path):
    folder = policy_in(tmp_path / "policy", masks="oracle")
    assert "got deployment 'fog'" in refusal(
        "launch/evaluate.py", f"checkpoint={folder}", "deployment=fog"
    )


def test_more_steps_than_the_policy_plans_are_refused(refusal, tmp_path):
    said = refusal(
        "launch/evaluate.py", f"checkpoint={policy_in(tmp_path / 'policy')}", "execute=9"
    )
    assert "got execute=9, expected at most the policy's 8 actions per chunk" in said


@pytest.mark.parametrize("name", MAINS)
def test_a_missing_gl_library_is_named_with_its_package(name, refusal, monkeypatch, tmp_path):
    def no_library(*_args, **_options):
        raise ImportError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr("robot.envs.gl.gl_context", no_library)
    folder = policy_in(tmp_path / "policy")
    said = refusal(name, *([f"checkpoint={folder}"] if "evaluate" in name else []))
    assert "no egl GL context can be made" in said and "apt install libegl1" in said


@pytest.mark.parametrize(
    "name",
    [
        "train_policy.py",
        "launch/ablate.py",
        "launch/collect.py",
        "launch/score_demonstrations.py",
        "launch/train_mask.py",
    ],
)
def test_too_small_a_disk_is_noticed_before_anything_is_collected(
    name, refusal, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        command.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free=1000)
    )
    assert "GB free on the disk of" in refusal(
        name, f"{'root' if 'collect' in name else 'data.root'}={tmp_path / 'data'}"
    )
    assert not (tmp_path / "data").exists()


def test_a_disk_that_fills_up_while_results_are_written_is_named(refusal, monkeypatch, tmp_path):
    def full(name: str, **_: object):
        raise OSError(errno.ENOSPC, "No space left on device", f"runs/{name}")

    monkeypatch.setattr(command, "run_directory", full)
    said = refusal("launch/evaluate.py", f"checkpoint={policy_in(tmp_path / 'policy')}")
    assert said.startswith(
        "the disk is full while writing runs/evaluate; free some space or choose another directory"
    )


def demonstrations_in(root: Path) -> EpisodeStore:
    """Lay toy demonstrations where the commands look for those of pick/clean at 32
    pixels, seed 0.
    """
    folder = root / "demonstrations" / key("pick-clean", {"seed": 0, "image_size": 32})
    return EpisodeStore(write_demonstrations(folder, episodes=3))


def test_a_truncated_episode_is_named_with_a_remedy(refusal, tmp_path):
    store = demonstrations_in(tmp_path)
    path = next(store.root.glob("data/chunk-*/file-001.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    said = refusal("launch/collect.py", f"root={tmp_path}", "episodes=3", "env.image_size=32")
    assert "file-001.parquet" in said and "delete it and collect episode 1 again" in said


def test_an_episode_that_turns_out_corrupt_in_training_is_named_with_a_remedy(refusal, tmp_path):
    """Its footer is whole, so that only the process which trains finds out."""
    store = demonstrations_in(tmp_path)
    store.finalize()
    path = next(store.root.glob("data/chunk-*/file-000.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    toy = [
        "experiment=toy",
        f"data.root={tmp_path}",
        "data.episodes=3",
        "env.image_size=32",
        "perception=none",
        "wandb=disabled",
    ]
    said = refusal("train_policy.py", *toy)
    assert "file-000.parquet" in said and "delete it and collect episode 0 again" in said


def test_a_disk_that_fills_up_under_a_checkpoint_is_named(monkeypatch, tmp_path, capfd):
    def full(*_args, **_options):
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(SystemExit) as stopped:
        command.main_guard(policy_in)(tmp_path / "policy")
    assert stopped.value.code == 2
    assert "the disk is full while writing" in one_sentence(*capfd.readouterr())


def test_a_policy_that_meets_a_task_it_never_learned_is_named():
    trained = {"demonstrations": ["pick-clean-0b7cc52d", "pick-randomised-0b7cc52d"]}
    assert (
        evaluating.stranger(trained, tasks=["pick", "duck_in_pot"])
        == "note: this policy learned pick, not duck_in_pot"
    )
    assert evaluating.stranger(trained, tasks=["pick"]) is None
    assert (
        evaluating.stranger(
            {"demonstrations": ["place-clean-7560c3ba"]}, tasks=["place", "duck_in_pot"]
        )
        is None
    )
    assert evaluating.stranger({}, tasks=["lift"]) is None
