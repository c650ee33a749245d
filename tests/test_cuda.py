"""What a GPU has to do as the processor does it. Skipped where there is none."""

import itertools
import threading

import numpy as np
import pytest
import torch

from benchmarks.training_step import head_batch, policy_batch, things_to_train
from robot.agent import Agent
from robot.batch import MaskBatch
from robot.checkpoint import resolve_checkpoint, save
from robot.perception.head.base import Head
from robot.perception.head.mask_head import MaskHead
from robot.policy import make_policy
from robot.policy.registry import load_policy
from robot.train.by_step import ByStep
from robot.train.loop import Training, train
from robot.types import Frame, Goal, MaskStatus, Observation
from tests.policy.toy import UNIT

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")

SIDE = 128
# bf16 keeps eight bits: the fraction of pixels whose mask may land on the other side of one half
FLIPPED = 0.01


def table() -> Observation:
    """Return a red block and a blue one on a grey table, seen by two cameras."""
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    image[60:80, 30:50] = (200, 30, 30)
    image[60:80, 80:100] = (30, 30, 200)
    frames = tuple(Frame(camera=name, image=image) for name in ("agentview", "wrist"))
    return Observation(
        frames=frames,
        proprio=np.zeros(10, np.float32),
        goal=Goal("pick up the red block"),
        time_s=0.0,
    )


def test_a_mask_head_sees_on_a_gpu_what_it_sees_on_the_processor():
    head = Head.load("tabletop")
    frames = np.stack([frame.image for frame in table().frames])
    words = head.word_encoder().encode(["pick up the red block"])
    there = head.predict(frames, words)
    here = head.to("cuda").predict(frames, words)
    assert here.logits.device.type == "cpu"
    flipped = ((there.logits > 0) != (here.logits > 0)).float().mean()
    assert flipped < FLIPPED
    torch.testing.assert_close(here.presence_logits, there.presence_logits, atol=0.5, rtol=0.05)


def test_a_policy_acts_on_a_gpu_as_on_the_processor():
    policy = load_policy(resolve_checkpoint("tabletop"))
    seen = policy_batch(masked=True).observation
    there = policy.sample(seen, torch.Generator().manual_seed(0))
    here = policy.to("cuda").sample(seen.to("cuda"), torch.Generator().manual_seed(0)).cpu()
    assert (here - there).abs().max() < 0.02  # of actions within 1


def test_the_shipped_agent_plans_on_a_gpu():
    plans = {
        device: Agent.load("tabletop", device=device).plan(
            table(), generator=torch.Generator().manual_seed(0)
        )
        for device in ("cpu", "cuda")
    }
    assert plans["cuda"].chunk.actions.shape == plans["cpu"].chunk.actions.shape
    assert plans["cuda"].mask.status == plans["cpu"].mask.status
    if plans["cpu"].mask.status[0] is MaskStatus.FOUND:
        np.testing.assert_allclose(
            plans["cuda"].chunk.actions, plans["cpu"].chunk.actions, atol=0.1
        )


@pytest.mark.parametrize("name", things_to_train())
def test_modules_learn_on_a_gpu_and_act_on_the_processor(name, tmp_path):
    make, batch = things_to_train()[name]
    torch.manual_seed(0)
    module, losses = make(), []
    trained = train(
        module,
        itertools.repeat(batch),
        Training(steps=60, warmup_steps=5, device="cuda", log_every=1, checkpoint_every=30),
        checkpoint_dir=tmp_path,
        generator=torch.Generator().manual_seed(0),
        log=lambda step, values: losses.append(values["loss"]),
    )
    assert next(trained.parameters()).device.type == "cuda"
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_policy_trained_on_a_gpu_is_loaded_on_the_processor(tmp_path):
    policy = make_policy("diffusion", statistics=UNIT, options={"cameras": 2})
    training = Training(steps=3, warmup_steps=0, device="cuda")
    batch = policy_batch(masked=True)
    average = train(policy, itertools.repeat(batch), training)
    save(tmp_path, average.cpu(), kind="diffusion", config=policy.config())
    actions = load_policy(tmp_path).sample(batch.observation)
    assert actions.device.type == "cpu" and actions.isfinite().all()


def test_a_head_resumes_on_a_gpu_where_it_was_cut_off(tmp_path):
    def trained(steps: int) -> MaskHead:
        torch.manual_seed(0)
        head = MaskHead(cameras=2)
        training = Training(steps=steps, device="cuda", checkpoint_every=2)
        train(head, itertools.repeat(head_batch()), training, checkpoint_dir=tmp_path)
        return head

    trained(2)
    resumed = trained(4)
    assert all(p.isfinite().all() for p in resumed.parameters())
    assert trained(4).presence.weight.equal(resumed.presence.weight)  # done is done


def test_threads_make_the_batches_of_a_gpu_ahead():
    makers = []

    def make(step: int) -> MaskBatch:
        makers.append(threading.current_thread().name)
        return head_batch()

    train(MaskHead(cameras=2), ByStep(make), Training(steps=4, device="cuda"))
    assert len(makers) >= 4
    assert all(name.startswith("batches") for name in makers)
