"""Episodes as scene graphs -> records: which generator is asked about which frames.

A pure function of the graphs and a seed: every generator draws from a stream of its own for every
frame or sequence, so that neither order nor neighbours matter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

import robot.instruct.generators  # noqa: F401  (registers all of them)
from robot.instruct.balance import balanced
from robot.instruct.graph import SceneGraph
from robot.instruct.records import Record
from robot.instruct.registry import MULTI_FRAME, OVER, SINGLE_FRAME, MultiFrame, Over, SingleFrame

LONGEST = 4  # images of a question
TURNS = 3  # sequences of episodes, per episode
SEQUENCES = 12  # of times, per episode and camera

Episode = Sequence[Sequence[SceneGraph]]  # looks of all cameras, in the order of time


@dataclass(frozen=True)
class Made:
    """A record and the graphs of its images, in the record's order."""

    record: Record
    graphs: tuple[SceneGraph, ...]
    key: str  # of the stream that it was drawn from


def records_of(
    episodes: Sequence[Episode],
    *,
    seed: int,
    per_call: int,
    single: dict[str, SingleFrame] = SINGLE_FRAME,
    multi: dict[str, MultiFrame] = MULTI_FRAME,
    abstained: Counter[str] | None = None,
) -> list[Made]:
    """Return at most `per_call` records of every generator for every frame and sequence, balanced.

    `abstained` counts, per generator, the frames or sequences that it had nothing to ask about.
    """
    made: list[Made] = []
    empty = Counter() if abstained is None else abstained
    for graph in (g for episode in episodes for look in episode for g in look):
        for name, generate in single.items():
            key = f"{name}/{_key(graph)}"
            records = list(islice(generate(graph, _stream(seed, key)), per_call))
            empty[name] += not records
            made += [Made(r, (graph,), key) for r in records]
    for over, graphs in _sequences(episodes, seed=seed):
        for name, generate in multi.items():
            if over not in OVER[name]:
                continue
            key = f"{name}/{over}/{'/'.join(map(_key, graphs))}"
            records = list(islice(generate(graphs, _stream(seed, key)), per_call))
            empty[name] += not records
            made += [Made(r, tuple(graphs[k] for k in r.frames), key) for r in records]
    made = _distinct(made)
    records = balanced([m.record for m in made], rng=np.random.default_rng([seed, len(made)]))
    return [Made(r, m.graphs, m.key) for r, m in zip(records, made, strict=True)]


def _key(graph: SceneGraph) -> str:
    return f"{graph.episode}:{graph.frame}:{graph.camera.name}"


def _stream(seed: int, key: str) -> np.random.Generator:
    """Return the random stream of a key, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _distinct(made: Sequence[Made]) -> list[Made]:
    """Leave out questions that were asked about the same images already."""
    seen: dict[tuple, Made] = {}
    for m in made:
        seen.setdefault((m.record.question, *map(_key, m.graphs)), m)
    return list(seen.values())


def _sequences(
    episodes: Sequence[Episode], *, seed: int
) -> Iterator[tuple[Over, list[SceneGraph]]]:
    """Yield what multi-frame questions are about: views of a look, times of an episode, episodes
    of one family.
    """
    for episode in episodes:
        for look in episode:
            if len(look) > 1:
                yield "views", list(look)
    for episode in episodes:
        for camera in zip(*episode, strict=True):
            for graphs in _times(camera, seed=seed):
                yield "times", graphs
    yield from _episodes(episodes, seed=seed)


def _times(graphs: Sequence[SceneGraph], *, seed: int) -> Iterator[list[SceneGraph]]:
    """Yield different ordered choices of two to four frames."""
    if len(graphs) < 2:
        return
    rng, taken = _stream(seed, f"times/{_key(graphs[0])}"), set()
    for k in range(SEQUENCES):
        size = min(len(graphs), 2 + k % (LONGEST - 1))
        chosen = tuple(sorted(rng.permutation(len(graphs))[:size].tolist()))
        if chosen not in taken:
            taken.add(chosen)
            yield [graphs[j] for j in chosen]


def _episodes(episodes: Sequence[Episode], *, seed: int) -> Iterator[tuple[Over, list[SceneGraph]]]:
    """Yield one frame each of two to four episodes of a family, seen by the same camera."""
    families: dict[str, list[Episode]] = {}
    for episode in episodes:
        families.setdefault(episode[0][0].family, []).append(episode)
    for family in families.values():
        for start, turn in product(range(len(family)), range(TURNS)):
            rng = _stream(seed, f"episodes/{_key(family[start][0][0])}/{turn}")
            size = min(len(family), 2 + int(rng.integers(LONGEST - 1)))
            chosen = [family[(start + k) % len(family)] for k in range(size)]
            for camera in range(min(len(e[0]) for e in chosen)):
                looks = [int(rng.integers(len(e))) for e in chosen]
                if size > 1:
                    yield "episodes", [e[k][camera] for e, k in zip(chosen, looks, strict=True)]
