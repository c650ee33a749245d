"""Does asking "is this the named object?" of every mask keep the arm from acting on a wrong one?

    python benchmarks/verify_masks.py [--episodes 50] [--scenes clean,distract]

Task `pick`, shipped policy and mask head, evaluation seed 9100 of env=mujoco: with the head's masks
and with the fault `wrong_object` in 30 % of looks (another thing's true mask in all cameras), each
with and without the verifier; all on the same initial states. `auroc` is that of the verifier's
answer as a sign that a mask is right (IoU with the target of at least .5 in a camera) rather than
wrong (below .1 in all), over the masks that it was asked about; `held` the share of decisions at
which the agent held still for it; `ms` what asking takes at every decision, and looking again after
a no. 95% Wilson intervals. The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from robot.agent import Agent
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.perception.faults import FaultyMasks, WrongObjectMasks
from robot.perception.head.metrics import auroc
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.verify import VerifiedMasks, Verifier
from robot.perception.registry import learned_masks
from robot.report.statistics import wilson95
from robot.system.command import main_guard, run_directory, write_results
from robot.types import Frame, Label, Mask, Observation

SEED, EXECUTE, SHARE = 9100, 8, 0.3
RIGHT_IOU, WRONG_IOU = 0.5, 0.1
ARMS = {"good": (0.0, False), "good, verified": (0.0, True)} | {
    "wrong": (SHARE, False),
    "wrong, verified": (SHARE, True),
}
CONSOLE = Console(stderr=True)


@dataclass
class Asked:
    """What the verifier said of masks, which of them were right (1) or wrong (0), and its time."""

    answers: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    ask_ms: list[float] = field(default_factory=list)
    again_ms: list[float] = field(default_factory=list)


class WatchedMasks(VerifiedMasks):
    """Notes what the verifier says of the masks of its source, and what that costs."""

    def watch(self, env: SimulatedEnv) -> None:
        """Compare with the truth of this env from now on."""
        self.env, self.asked = env, Asked()
        self._again = False

    def is_a(
        self, frames: Sequence[Frame], masks: Sequence[np.ndarray], phrase: str
    ) -> float | None:
        began = perf_counter()
        answer = super().is_a(frames, masks, phrase)
        if answer is not None and not self._again:
            self.asked.ask_ms.append(1e3 * (perf_counter() - began))
            best = max(self._ious(masks))
            if best >= RIGHT_IOU or best < WRONG_IOU:
                self.asked.answers.append(answer)
                self.asked.right.append(float(best >= RIGHT_IOU))
        return answer

    def _found_again(self, frames: Sequence[Frame], mask: Mask, phrase: str) -> Mask:
        self._again, began = True, perf_counter()
        found = super()._found_again(frames, mask, phrase)
        self._again = False
        self.asked.again_ms.append(1e3 * (perf_counter() - began))
        return found

    def _ious(self, masks: Sequence[np.ndarray]) -> list[float]:
        truths = [labels == Label.TARGET for labels in self.env.label_maps().values()]
        pairs = [(mask > 0.5, truth) for mask, truth in zip(masks, truths, strict=True)]
        return [float((a & b).sum() / max((a | b).sum(), 1)) for a, b in pairs]


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    torch.set_num_threads(1)
    env = make_env("pick", EnvOptions(backend="mujoco"))
    assert isinstance(env, SimulatedEnv)
    rows = {}
    for scene in options.scenes.split(","):
        for name in ARMS:
            agent = agent_of(env, *ARMS[name])
            found = [run(env, agent, scene=scene, index=k) for k in range(options.episodes)]
            rows[f"{scene}, {name}"] = summary(found, agent)
            CONSOLE.print(f"{scene}, {name}", rows[f"{scene}, {name}"])
    table = Table("masks", "episodes", "success", "95%", "other taken", "held", "AUROC", "ms")
    for name, row in rows.items():
        low, high = row["success_interval95"]
        cells = [name, row["episodes"], f"{row['success']:.2f}", f"{low:.2f}-{high:.2f}"]
        cells += [f"{row['wrong']:.2f}", f"{row['held']:.3f}", row["auroc"], row["ms"]]
        table.add_row(*map(str, cells))
    CONSOLE.print(table)
    write_results(run_directory("verify_masks"), {"arms": rows})


def agent_of(env: SimulatedEnv, share: float, verified: bool) -> Agent:
    """Return the shipped agent whose masks go wrong in a share of looks."""
    source = learned_masks("tabletop", device=torch.device("cpu"))
    rng, labels = np.random.default_rng(0), env.other_object_maps
    faulty = WrongObjectMasks(source, rng=rng, labels=labels, share=share) if share else source
    agent = Agent.load("tabletop", device="cpu", masks=faulty, verify=False)
    assert isinstance(agent.masks, RegionMasks)
    if verified:
        masks = WatchedMasks(agent.masks, Verifier.load("tabletop"), language=agent.language)
        masks.watch(env)
        agent.masks = masks
    return agent


def run(env: SimulatedEnv, agent: Agent, *, scene: str, index: int) -> dict[str, int]:
    """Run an episode; return how it ended."""
    raw, _ = env.reset(seed=SEED, options={"episode": index, "scene": scene})
    rng = np.random.default_rng([SEED, index, 2])
    source = agent.masks.source if isinstance(agent.masks, VerifiedMasks) else agent.masks
    assert isinstance(source, RegionMasks)
    agent.reset(rng=rng)
    if isinstance(source.source, FaultyMasks):
        source.source.reseed(rng)
    generator = torch.Generator().manual_seed(SEED * 100_003 + index)
    done = success = wrong = False
    decisions = held = 0
    while not done:
        plan = agent.plan(Observation.from_env(raw, env.spaces), generator=generator)
        decisions, held = decisions + 1, held + (plan.mask.verified is False)
        raw, _, success, truncated, info = env.execute(plan.chunk.actions[:EXECUTE])
        wrong |= info["wrong_object"]
        done = success or truncated
    ended = {"index": index, "success": success, "wrong": wrong}
    return {
        name: int(value) for name, value in (ended | {"decisions": decisions, "held": held}).items()
    }


def summary(found: Sequence[dict[str, int]], agent: Agent) -> dict:
    """Return rates with intervals, and what the verifier said."""
    count = len(found)
    right, wrong = (sum(ending[name] for ending in found) for name in ("success", "wrong"))
    row = {
        "episodes": count,
        "success": right / count,
        "success_interval95": wilson95(right, count),
        "wrong": wrong / count,
        "held": sum(e["held"] for e in found) / sum(e["decisions"] for e in found),
        "auroc": None,
        "ms": None,
    }
    if isinstance(agent.masks, WatchedMasks):
        asked = agent.masks.asked
        truth = torch.tensor(asked.right)
        row["auroc"] = round(auroc(torch.tensor(asked.answers), truth), 4)
        row["answers"] = [np.round(asked.answers, 4).tolist(), asked.right]
        again = float(np.median(asked.again_ms)) if asked.again_ms else float("nan")
        row["ms"] = [round(float(np.median(asked.ask_ms)), 2), round(again, 2)]
    return row


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--scenes", default="clean,distract")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
