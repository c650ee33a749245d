"""A robot that shares nothing with the Panda, from its env to an agent that acts: 9 state values, 6
actions, three cameras of two sizes of which one is not square.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot.agent import Agent
from robot.checkpoint import spaces_of
from robot.data.store import EpisodeStore
from robot.envs.env import RobotEnv, action_space, observation_space
from robot.perception.compose.masking import Deployment, Overlay, Unmasked
from robot.perception.sources import NoMask, OracleMasks
from robot.rollout.agents import check_robot
from robot.spaces import Spaces
from robot.system.parse import Spec
from robot.train.demonstrations import Selection
from robot.train.loop import Training
from robot.train.policy import Augmentation, PolicyTraining, train_policy
from robot.types import Episode, Goal, InputError, Label, Observation
from tests.robots import other_arm

CAMERAS = {"front": (36, 48), "wrist": (32, 32), "side": (36, 48)}  # name: (height, width)
SPACES = other_arm(**CAMERAS)
GOAL = "press the red button"
STEPS = 6
TRAINING = Training(
    steps=3, warmup_steps=1, checkpoint_every=3, log_every=1, precision="fp32", device="cpu"
)
POLICY = {"image_size": 16, "horizon": 4, "width": 8, "layers": 2, "keypoints": 4}
POLICY |= {"dim": 16, "depth": 1}

pytestmark = pytest.mark.usefixtures("hashed_words")


class ButtonEnv(RobotEnv):
    """Random frames in which a square is the target; the joints move as they are told to."""

    spaces = SPACES
    action_space = action_space(SPACES.action)
    observation_space = observation_space(SPACES)

    def reset(self, *, seed=None, options=None):
        super(RobotEnv, self).reset(seed=seed)
        self._state, self._steps = np.zeros(9, np.float32), 0
        return self._observe(), {"success": False}

    def step(self, action):
        self._state[:5] += action[:5]
        self._state[8] = action[5]
        self._steps += 1
        success = self._steps == STEPS
        return self._observe(), float(success), success, False, {"success": success}

    def label_maps(self) -> dict[str, np.ndarray]:
        maps = {name: np.zeros(size, np.uint8) for name, size in CAMERAS.items()}
        for labels in maps.values():
            labels[4:20, 4:20] = Label.TARGET
        return maps

    def _observe(self):
        pixels = self.np_random.integers
        times = (*self.cameras, "proprio")
        now = np.array([self._steps * self.control_dt_s])
        return {
            "images": {n: pixels(0, 256, (*s, 3), dtype=np.uint8) for n, s in CAMERAS.items()},
            "proprio": self.spaces.state.unflatten(self._state.copy()),
            "goal": {"text": GOAL},
            "time": dict.fromkeys(times, now),
        }


def record(env: ButtonEnv, *, index: int) -> Episode:
    raw, info = env.reset(seed=index)
    seen, labels, actions = [], [], []
    while not info["success"]:
        seen.append(Observation.from_env(raw, env.spaces))
        labels.append(env.label_maps())
        actions.append(np.clip(env.action_space.sample(), -0.1, 1.0))
        raw, *_, info = env.step(actions[-1])
    return Episode(
        task="press",
        goal=Goal(GOAL),
        images={n: np.stack([o.frames[k].image for o in seen]) for k, n in enumerate(CAMERAS)},
        labels={name: np.stack([maps[name] for maps in labels]) for name in CAMERAS},
        proprio=np.stack([o.proprio for o in seen]),
        actions=np.stack(actions),
        spaces=env.spaces,
        control_dt_s=env.control_dt_s,
        success=True,
        seed=0,
        index=index,
        scene="desk",
    )


@pytest.fixture
def demonstrations(tmp_path) -> Path:
    store, env = EpisodeStore(tmp_path / "press"), ButtonEnv()
    env.action_space.seed(0)
    for index in range(3):
        store.append(record(env, index=index))
    store.finalize()
    return store.root


def trained(demonstrations: Path, *, masks: str, deployment: Deployment) -> Path:
    options = PolicyTraining(
        demonstrations=(Selection(root=demonstrations, episodes=3),),
        policy=Spec(kind="diffusion", options=POLICY),
        masks=masks,
        deployment=deployment,
        augmentation=Augmentation(jitter=None, ring=0.0, shift=1, drop=0.0, noise=0.0),
        weighting="uniform",
        scores=None,
        training=TRAINING,
        batch_size=4,
        seed=0,
    )
    return train_policy(options, directory=demonstrations.parent / f"model-{masks}")


@pytest.mark.parametrize(("masks", "deployment"), [("oracle", Overlay()), ("none", Unmasked())])
def test_a_policy_of_another_robot_trains_saves_loads_and_acts(demonstrations, masks, deployment):
    file = trained(demonstrations, masks=masks, deployment=deployment)
    assert spaces_of(file) == SPACES
    env = ButtonEnv()
    source = OracleMasks(env.label_maps) if masks == "oracle" else NoMask()
    agent = Agent.load(file.parent, masks=source, device="cpu")
    plan = agent.plan(Observation.from_env(env.reset(seed=9)[0], env.spaces))
    assert plan.chunk.actions.shape == (4, 6) and plan.chunk.control_dt_s == 0.1
    assert np.isfinite(plan.chunk.actions).all()
    assert plan.composites.shape == (3, 6, 16, 16)
    assert [roles.shape[1:] for roles in plan.mask.probability] == list(CAMERAS.values())
    for action in plan.chunk.actions:
        env.step(action)


def seen_by(**cameras: tuple[int, int]) -> Spaces:
    return replace(SPACES, cameras=other_arm(**cameras).cameras)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        (
            seen_by(front=(36, 48), side=(36, 48), wrist=(32, 32)),
            "cameras in the order front, side",
        ),
        (seen_by(front=(36, 48)), "no camera wrist, side"),
        (seen_by(**CAMERAS, top=(8, 8)), "unknown camera top"),
        (seen_by(**CAMERAS | {"front": (48, 48)}), "camera front of 48x48 px, expected 48x36 px"),
        (replace(SPACES, control_dt_s=0.05), "control_dt_s 0.05 s, expected 0.1 s"),
    ],
)
def test_a_policy_refuses_another_robots_cameras_and_period_by_name(demonstrations, here, message):
    file = trained(demonstrations, masks="none", deployment=Unmasked())
    with pytest.raises(InputError, match=message):
        check_robot(file.parent, here)
