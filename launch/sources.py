"""What launch/generate.py makes a data set of besides simulators: recordings and pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from launch.correcting import ClaimOptions, check_claims, rules_of
from robot.instruct.annotations import load_annotations
from robot.instruct.correct import ClaimModel
from robot.rollout.generate import Shard, make_given
from robot.rollout.given_graphs import (
    OF_ROLES,
    annotated_pictures,
    bare_pictures,
    check_recording,
    picture_files,
    recorded_episodes,
)
from robot.types import InputError

SourceName = Literal["simulators", "episodes", "pictures"]


def check_source(source: SourceName, path: Path | None, claims: ClaimOptions) -> None:
    """Raise InputError where there is nothing at `path` to make a data set of."""
    if (path is None) != (source == "simulators"):
        raise InputError(
            f"got source={source} with path={path}, expected a path for episodes or pictures and "
            "none for simulators; pass source=pictures path=<folder>"
        )
    if path is None:
        return
    if source == "episodes":
        check_recording(path)
    elif is_annotated(path):
        load_annotations(path)
    else:
        picture_files(path)
        if not claims.models:
            raise InputError(
                "got claims.models=[] for pictures without annotation, expected a model that "
                "makes claims; pass claims.models=[<a checkpoint that benchmark=correct trained>]"
            )
        check_claims(claims)


def is_annotated(folder: Path) -> bool:
    return any(folder.glob("*.json"))


def given_work(
    source: SourceName,
    path: Path,
    *,
    root: Path,
    shards: int,
    seed: int,
    per_call: int,
    looks: int,
    claims: ClaimOptions,
) -> Callable[[], Callable[[int], Shard]]:
    """Return what makes a process's work."""
    folder, generators = path.resolve(), None
    if source == "episodes":
        graphs, generators = partial(recorded_episodes, folder, looks=looks), OF_ROLES
    elif is_annotated(folder):
        graphs = partial(annotated_pictures, folder)
    else:
        load = partial(load_claims, claims.models[0])
        graphs = partial(bare_pictures, folder, load_model=load, rules=rules_of(claims))
    return partial(
        make_given,
        graphs,
        root=root.resolve(),
        shards=shards,
        seed=seed,
        per_call=per_call,
        generators=generators,
    )


def load_claims(name: str) -> ClaimModel:
    from robot.perception.claims.reader import SmallClaims  # torch: seconds

    return SmallClaims.load(name)
