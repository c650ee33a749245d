"""Does the head find what a sentence says, and nothing where it says nothing to do?

    python benchmarks/read_goals.py --scenes 30 --episodes 200
    python benchmarks/read_goals.py --sentences benchmarks/sentences_independent.yaml

Asks the shipped mask head about the first look of `--scenes` episodes, with the sentences of
benchmarks/sentences.yaml. Nothing was trained on them but on some of `missing`, which name a known
thing that is not there. `found and right`: the status is `found` and most of the target's mask lies
on the object that the sentence names.
"""

from __future__ import annotations

import argparse
import re
import string
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.typing_errors import with_typing_errors
from robot.agent import Agent
from robot.envs.robosuite import RobosuiteEnv
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.other_goals import absent_nouns
from robot.envs.tabletop.scene import Scene
from robot.envs.tabletop.task import TabletopTask
from robot.perception.registry import learned_masks
from robot.system.command import run_directory, write_results
from robot.types import Label, MaskStatus, Observation

SENTENCES = Path(__file__).with_name("sentences.yaml")
SLIP = "{slip}"  # one typing error, anywhere in the sentence
Groups = dict[str, dict[str, list[str]]]  # found, not_found -> kind -> sentences


def misspelt(word: str, *, rng: np.random.Generator) -> str:
    """Return a word with one slip: a letter dropped, doubled, swapped with the next, or another."""
    k = int(rng.integers(1, len(word) - 1)) if len(word) > 2 else 0
    slip = str(rng.choice(["drop", "double", "swap", "other"]))
    if slip == "drop" and len(word) > 3:
        return word[:k] + word[k + 1 :]
    if slip == "double":
        return word[:k] + word[k] + word[k:]
    if slip == "other":
        return word[:k] + str(rng.choice(list(string.ascii_lowercase))) + word[k + 1 :]
    return word[:k] + word[k + 1] + word[k] + word[k + 2 :]


def filled(
    sentence: str,
    *,
    episode: Any,
    rng: np.random.Generator,
    missing: Sequence[Any] | None = None,
) -> str:
    """Return a sentence about an episode (its nouns: a scene, or what has the same), in words drawn
    from those that people use.
    """
    target = episode.target_noun
    other = next(p.noun for p in episode.placements if p.noun not in (None, target))
    missing = absent_nouns(episode) if missing is None else missing
    gone = missing[rng.integers(len(missing))].phrase(rng=rng) if "{missing}" in sentence else ""
    words = yaml.safe_load(SENTENCES.read_text())["words"]
    noun = str(rng.choice(words["nouns"][target.shape]))
    colour = str(rng.choice(words["colours"][target.colour]))
    plain = {"noun~": misspelt(target.shape, rng=rng), "colour~": misspelt(target.colour, rng=rng)}
    if "~" in sentence or SLIP in sentence:
        noun, colour = target.shape, target.colour
    beside = {"other": f"{other.colour} {other.shape}", "missing": gone, "other_noun": other.shape}
    values = {"noun": noun, "colour": colour, **beside, **plain}
    said = re.sub(r"\{([a-z_~]+)\}", lambda found: values[found[1]], sentence.replace(SLIP, ""))
    slips = sentence.count(SLIP)
    return with_typing_errors(said, errors=slips, rng=rng) if slips else said


def looks(*, scene: str, scenes: int, seed: int) -> Iterator[tuple[RobosuiteEnv, Observation]]:
    """Yield the first look of every episode."""
    env = RobosuiteEnv(task="pick")
    for index in range(scenes):
        raw, _ = env.reset(seed=seed, options={"episode": index, "scene": scene})
        yield env, Observation.from_env(raw, env.spaces)
    env.close()


def measure(
    *, sentences: Groups, head: str, scene: str, scenes: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return the shares of `found`, and of found and right, of every kind of sentence."""
    source = learned_masks(head, device=torch.device("cpu"))
    counts: dict[str, list[tuple[bool, bool, str]]] = defaultdict(list)
    for index, (env, look) in enumerate(looks(scene=scene, scenes=scenes, seed=seed)):
        assert isinstance(env.task, TabletopTask) and env.task.scene is not None
        episode, truth = env.task.scene, env.label_maps()
        for group in ("found", "not_found"):
            for kind, of_kind in sentences[group].items():
                if kind == "colourless" and not _lone(episode):
                    continue
                for number, sentence in enumerate(of_kind):
                    rng = np.random.default_rng([seed, index, number])
                    goal = filled(sentence, episode=episode, rng=rng)
                    mask = source(look.frames, type(look.goal)(goal))
                    found = mask.status[0] is MaskStatus.FOUND
                    masked = [roles[0] > 0.5 for roles in mask.probability]
                    on = sum(
                        int((m & (truth[f.camera] == Label.TARGET)).sum())
                        for m, f in zip(masked, look.frames, strict=True)
                    )
                    right = found and on > 0.5 * sum(int(m.sum()) for m in masked)
                    counts[kind].append((found, right, goal))
                    if (group == "found") != right and (group == "found" or found):
                        failures[kind].append(f"{goal} [{mask.status[0].value}, {mask.sentence}]")
    return {
        kind: {
            "sentences": len(rows),
            "found": float(np.mean([row[0] for row in rows])),
            "found_and_right": float(np.mean([row[1] for row in rows])),
        }
        for kind, rows in counts.items()
    }


def _lone(episode: Scene) -> bool:
    """Return whether nothing else on the table has the target's shape."""
    shapes = [cat.body_names()[placement.body] for placement in episode.placements]
    return shapes.count(episode.target_noun.shape) == 1


failures: dict[str, list[str]] = defaultdict(list)


def act(
    *, sentences: Groups, checkpoint: str, scene: str, episodes: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return, by kind of sentence, how often the agent succeeded and took another object than the
    one that the sentence names; kinds and sentences take turns.
    """
    kinds = [
        (kind, of_kind)
        for group in ("found", "not_found")
        for kind, of_kind in sentences[group].items()
    ]
    agent, env = Agent.load(checkpoint, device="cpu"), RobosuiteEnv(task="pick")
    rows: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for index in range(episodes):
        kind, of_kind = kinds[index % len(kinds)]
        env.reset(seed=seed, options={"episode": index, "scene": scene})
        assert isinstance(env.task, TabletopTask) and env.task.scene is not None
        episode = env.task.scene
        if kind == "colourless" and not _lone(episode):
            continue  # of two cups, either is "the cup"
        goal = filled(
            of_kind[index // len(kinds) % len(of_kind)],
            episode=episode,
            rng=np.random.default_rng([seed, index]),
        )
        rows[kind].append(_episode(env, agent, goal=goal, scene=scene, seed=seed, index=index))
        if rows[kind][-1][1]:
            failures[f"took another: {kind}"].append(goal)
    env.close()
    rows["all"] = [row for of_kind in list(rows.values()) for row in of_kind]
    return {
        kind: {
            "episodes": len(of_kind),
            "success_rate": float(np.mean([row[0] for row in of_kind])),
            "wrong_object_rate": float(np.mean([row[1] for row in of_kind])),
        }
        for kind, of_kind in rows.items()
    }


def _episode(
    env: RobosuiteEnv, agent: Agent, *, goal: str, scene: str, seed: int, index: int
) -> tuple[bool, bool]:
    """Return whether the agent succeeded, and whether it ever held another object."""
    raw, info = env.reset(seed=seed, options={"episode": index, "scene": scene, "goal": goal})
    agent.reset()
    generator = torch.Generator().manual_seed(seed * 100_003 + index)
    wrong, done = False, False
    while not done:
        plan = agent.plan(Observation.from_env(raw, env.spaces), generator=generator)
        raw, _, success, truncated, info = env.execute(plan.chunk.actions[:8])
        wrong |= info["wrong_object"]
        done = success or truncated
    return bool(info["success"]), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head", default="tabletop")
    parser.add_argument("--scene", default="distract")
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=700)
    parser.add_argument("--episodes", type=int, default=0, help="act this many, too")
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    asked = parser.parse_args()
    sentences = yaml.safe_load(asked.sentences.read_text())
    warnings.filterwarnings("ignore", message="the goal .* is not acted on")
    results = measure(
        sentences=sentences,
        head=asked.head,
        scene=asked.scene,
        scenes=asked.scenes,
        seed=asked.seed,
    )
    table = Table("kind", "sentences", "found", "found and right")
    for kind, row in results.items():
        shares = (f"{row[key]:.1%}" for key in ("found", "found_and_right"))
        table.add_row(kind, str(row["sentences"]), *shares)
    Console().print(table)
    acted = {}
    if asked.episodes:
        acted = act(
            sentences=sentences,
            checkpoint="tabletop",
            scene=asked.scene,
            episodes=asked.episodes,
            seed=asked.seed,
        )
        of_acting = Table("kind", "episodes", "success", "took another object")
        for kind, row in acted.items():
            shares = (f"{row[key]:.1%}" for key in ("success_rate", "wrong_object_rate"))
            of_acting.add_row(kind, str(row["episodes"]), *shares)
        Console().print(of_acting)
    run = run_directory("read-goals")
    write_results(run, {"cells": results, "acted": acted, "failures": dict(failures)})


if __name__ == "__main__":
    main()
