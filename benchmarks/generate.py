"""How fast the data engine is: every generator's records a second, and all of it to Parquet.

`python benchmarks/generate.py` renders a few episodes first, which no figure includes. With
`--provision <checkout>` ProVision's own generators (github.com/JieyuZ2/ProVision; they need
networkx, inflect and tqdm) run on the same graphs in the same process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.provision import their_rates
from robot.envs.make import EnvOptions, make_env
from robot.instruct.build import build_graph
from robot.instruct.engine import records_of
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import MULTI_FRAME, OVER, SINGLE_FRAME
from robot.rollout.episode_looks import episode_looks
from robot.rollout.generate import write_records

REPEATS = 3  # of every timing; the best counts, the others were disturbed
LONG_RUN = 10_000_000  # records


def graphs_of(episodes: int) -> list[list[list[SceneGraph]]]:
    """Return the graphs of expert episodes on the tabletop: looks of two cameras."""
    env = make_env("place_any", EnvOptions(backend="mujoco", image_size=256))
    where = {"seed": 7, "scene": "distract", "looks": 6, "backend": "mujoco"}
    raws = [episode_looks(env, index=k, **where) for k in range(episodes)]  # type: ignore[arg-type]
    env.close()
    return [[[build_graph(raw) for raw in look] for look in episode] for episode in raws]


def rate_of(name: str, episodes: list[list[list[SceneGraph]]]) -> float:
    """Return a generator's records per second over all its inputs; nan where it never fires."""
    generate = SINGLE_FRAME.get(name) or MULTI_FRAME[name]
    inputs = inputs_of(name, episodes)
    best = float("nan")
    for _ in range(REPEATS):
        records, begin = 0, time.process_time()
        for seed, given in enumerate(inputs):
            records += sum(1 for _ in generate(given, np.random.default_rng(seed)))  # type: ignore[arg-type]
        seconds = time.process_time() - begin
        if records:
            best = max(records / seconds, best) if best == best else records / seconds
    return best


def inputs_of(name: str, episodes: list[list[list[SceneGraph]]]) -> list:
    """Return every frame, or sequences of the kinds that a generator is about."""
    if name in SINGLE_FRAME:
        return [g for e in episodes for look in e for g in look]
    inputs: list = []
    if "views" in OVER[name]:
        inputs += [look for e in episodes for look in e]
    if "times" in OVER[name]:
        inputs += [[e[k][c] for k in (0, 2, 3, 5)] for e in episodes for c in (0, 1)]
    if "episodes" in OVER[name]:
        firsts = [e[0] for e in episodes]
        inputs += [
            [firsts[k - j][c] for j in range(3)] for k in range(2, len(firsts)) for c in (0, 1)
        ]
    return inputs


def whole(episodes: list[list[list[SceneGraph]]]) -> tuple[float, int]:
    """Return records per second from graphs to a Parquet file, and the file's bytes a record."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        made = records_of(episodes, seed=0, per_call=3)
        write_records(Path(folder), 0, made, seed=0, verified=[True] * len(made))
        seconds = time.process_time() - begin
        size = sum(p.stat().st_size for p in Path(folder).rglob("*.parquet"))
    return len(made) / seconds, size // len(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=6)
    parser.add_argument("--provision", type=Path, default=None, help="a checkout of ProVision")
    parser.add_argument("--json", type=Path, default=None)
    asked = parser.parse_args()
    episodes = graphs_of(asked.episodes)
    rates = {name: rate_of(name, episodes) for name in (*SINGLE_FRAME, *MULTI_FRAME)}
    theirs = their_rates(asked.provision, episodes) if asked.provision else {}
    for name, rate in rates.items():
        other = theirs.get(name)
        print(
            f"{name:34s} {rate:9.0f}/s"
            + (f"  {other:9.0f}/s  {rate / other:5.1f}x" if other else "")
        )
    known = [rate for rate in rates.values() if rate == rate]
    ratios = [rates[name] / other for name, other in theirs.items() if rates[name] == rates[name]]
    end_to_end, size = whole(episodes)
    print(f"slowest {min(known):.0f}/s, median {statistics.median(known):.0f}/s per core")
    if ratios:
        print(
            f"against ProVision: median {statistics.median(ratios):.1f}x, {len(ratios)} generators"
        )
    hours = LONG_RUN / end_to_end / 3600
    print(
        f"graphs to Parquet: {end_to_end:.0f}/s per core, {size} bytes a record; 10 million: "
        f"{LONG_RUN * size / 1e9:.1f} GB, {hours:.1f} core hours without rendering"
    )
    if asked.json:
        facts = {"rates": rates, "theirs": theirs, "end_to_end": end_to_end, "bytes": size}
        asked.json.write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
