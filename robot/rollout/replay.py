"""An agent beside a recording: what it would do, where what was done is known (open loop)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from robot.agent import Agent
from robot.envs.replay import ReplayEnv
from robot.spaces import Vector, hold_still
from robot.types import InputError, Observation


@dataclass(frozen=True)
class OpenLoop:
    """Actions of all steps of some episodes: recorded, predicted, and those of holding still, which
    is NaN where an action has no such value.
    """

    episodes: Int[np.ndarray, " n"]
    recorded: Float32[np.ndarray, "n a"]
    predicted: Float32[np.ndarray, "n a"]
    still: Float32[np.ndarray, "n a"]

    def errors(self, action: Vector) -> dict[str, dict[str, float | str]]:
        """Return per dimension of the action its unit, the mean and the 95th percentile of the
        absolute error, and those of holding still.
        """
        of = {"": self.predicted - self.recorded, "still_": self.still - self.recorded}
        absolute = {prefix: np.abs(error) for prefix, error in of.items()}
        return {
            name: {
                "unit": unit,
                **{
                    f"{prefix}{kind}": float(value)
                    for prefix, error in absolute.items()
                    for kind, value in (
                        ("mean", error[:, k].mean()),
                        ("p95", np.percentile(error[:, k], 95)),
                    )
                },
            }
            for k, (name, unit) in enumerate(zip(action.names, action.units, strict=True))
        }


def open_loop(
    env: ReplayEnv,
    agent: Agent,
    *,
    episodes: Sequence[int],
    execute: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> OpenLoop:
    """Ask the agent every `execute` steps of the recording what it would do in the next `execute`;
    the recording goes on as it was.
    """
    numbers, recorded, predicted, still = [], [], [], []
    for done, index in enumerate(episodes):
        progress(done, len(episodes))
        raw, _ = env.reset(options={"episode": index})
        agent.reset(rng=np.random.default_rng([seed, index]))
        generator = torch.Generator().manual_seed(seed * 100_003 + index)
        ended = False
        while not ended:
            observation = Observation.from_env(raw, env.spaces)
            plan = agent.plan(observation, generator=generator)
            for action in plan.chunk.actions[:execute]:
                here = env.spaces.state.flatten(raw["proprio"])
                raw, _, terminated, truncated, info = env.step(action)
                numbers.append(index)
                recorded.append(info["recorded_action"])
                predicted.append(np.asarray(action, np.float32))
                still.append(_still(env, here))
                if ended := terminated or truncated:
                    break
    progress(len(episodes), len(episodes))
    return OpenLoop(np.array(numbers), *(np.stack(x) for x in (recorded, predicted, still)))


def _still(env: ReplayEnv, state: Float32[np.ndarray, " s"]) -> Float[np.ndarray, " a"]:
    """Return the action of holding still; NaN where the robot has none."""
    try:
        return hold_still(env.spaces, state)
    except InputError:
        return np.full(len(env.spaces.action), np.nan, np.float32)
