"""Episodes to robomimic's HDF5 and back: `export_robomimic` and `import_robomimic` are inverses.

Source of the schema: robomimic, docs/datasets/overview (data/demo_i/..., env_args, mask/<filter
key>). robomimic has no place for labels, goals and regions: labels are written as the observations
<camera>_labels, the rest as one JSON attribute `episode` of each demo, which robomimic leaves
alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from robot.data import summary as summaries
from robot.data.atomic import replacing
from robot.data.parquet import explaining
from robot.data.store import EpisodeStore
from robot.types import Episode, InputError

# Groups of the state under the names that robomimic's robosuite configurations use for the same
# quantities; others keep their own.
ROBOMIMIC_NAMES = {
    "ee_position": "robot0_eef_pos",
    "ee_rotation": "robot0_eef_rot6d",
    "gripper": "robot0_gripper_opening",
}
ENV_TYPE_GYM = 2  # robomimic.envs.env_base.EnvType
_IMAGE, _LABELS = "_image", "_labels"

Progress = Callable[[int, int], None]  # (episodes done, episodes in all)


def export_robomimic(
    store: EpisodeStore, path: Path, *, env_name: str, progress: Progress | None = None
) -> None:
    """Write all episodes of a store to one HDF5 file, atomically; `env_name` is what
    `gymnasium.make` takes.
    """
    indices = sorted(store.indices())
    if not indices:
        raise InputError(
            f"got no episodes in {store.root}, expected at least one to export: collect some first"
        )
    with (
        replacing(Path(path)) as temporary,
        h5py.File(temporary, "w", locking=False) as file,
    ):  # `replacing` holds the lock
        data, total = file.create_group("data"), 0
        for done, index in enumerate(indices, start=1):
            episode = store.read(index)
            _write_demo(data.create_group(f"demo_{index}"), episode)
            total += len(episode)
            if progress is not None:
                progress(done, len(indices))
        data.attrs["total"] = total
        data.attrs["env_args"] = json.dumps(
            {"env_name": env_name, "type": ENV_TYPE_GYM, "env_kwargs": {}}
        )
        file["mask/train"] = np.array([f"demo_{index}" for index in indices], dtype="S")


def import_robomimic(path: Path, store: EpisodeStore, *, progress: Progress | None = None) -> None:
    """Append to a store all demos of a file that `export_robomimic` wrote, under the indices that
    they had.
    """
    path = Path(path)
    with explaining(path, remedy="export it again"), h5py.File(path, "r") as file:
        names = sorted(_group(file, "data"), key=lambda name: int(name.removeprefix("demo_")))
    for done, name in enumerate(names, start=1):
        with explaining(path, remedy="export it again"), h5py.File(path, "r") as file:
            episode = _read_demo(_group(file, f"data/{name}"), name=f"{path}: {name}")
        store.append(episode)
        if progress is not None:
            progress(done, len(names))


def check_exported(path: Path) -> None:
    """Raise InputError unless a file holds two demos or more that `import_robomimic` reads."""
    if not path.is_file():
        raise InputError(f"got path={path}, which does not exist; correct it")
    with explaining(path, remedy="export it again"), h5py.File(path, "r") as file:
        names = sorted(_group(file, "data"))
        for name in names[:1]:
            _about(_group(file, f"data/{name}"), name=f"{path}: {name}")
    if len(names) < 2:
        raise InputError(
            f"got {len(names)} demos in {path}, expected at least 2: one to train on, one to "
            "measure on; record more"
        )


def _write_demo(demo: h5py.Group, episode: Episode) -> None:
    steps = len(episode)
    demo.attrs["num_samples"] = steps
    demo.attrs["episode"] = summaries.encode(summaries.summarise(episode, statistics={})).decode()
    last = np.arange(steps) == steps - 1
    demo["actions"], demo["dones"] = episode.actions, last.astype(np.int64)
    demo["states"] = np.zeros(
        (steps, 0)
    )  # "empty for non-robosuite datasets": episodes are not replayed from states
    demo["rewards"] = (last & bool(episode.success)).astype(np.float64)
    for group, values in episode.spaces.state.unflatten(episode.proprio).items():
        demo[f"obs/{_key(group)}"] = values
    for suffix, arrays in ((_IMAGE, episode.images), (_LABELS, episode.labels)):
        for camera, pixels in arrays.items():
            # One chunk a frame: robomimic's loader reads single frames.
            demo.create_dataset(
                f"obs/{camera}{suffix}",
                data=pixels,
                chunks=(1, *pixels.shape[1:]),
                compression="gzip",
                compression_opts=1,
            )


def _read_demo(demo: h5py.Group, *, name: str) -> Episode:
    about = _about(demo, name=name)
    fields = {
        key: getattr(about, key) for key in Episode.__dataclass_fields__ if hasattr(about, key)
    }
    return Episode(
        **fields,
        images={camera: _array(demo, f"obs/{camera}{_IMAGE}") for camera in about.image_shapes},
        labels={camera: _array(demo, f"obs/{camera}{_LABELS}") for camera in about.label_shapes},
        proprio=np.concatenate(
            [_array(demo, f"obs/{_key(group)}") for group, _ in about.spaces.state.groups], axis=1
        ),
        actions=_array(demo, "actions"),
    )


def _about(demo: h5py.Group, *, name: str) -> summaries.EpisodeSummary:
    if "episode" not in demo.attrs:
        raise InputError(
            f"got {name} without the attribute `episode`, expected a file that export_robomimic "
            "wrote: the actions of other "
            "files are in their controller's units; replay them in their env and record the "
            "episodes with launch/collect"
        )
    return summaries.decode(str(demo.attrs["episode"]).encode())


def _key(group: str) -> str:
    return ROBOMIMIC_NAMES.get(group, group)


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    item = parent[name]
    if not isinstance(item, h5py.Group):
        raise TypeError(f"{name} is not a group")
    return item


def _array(parent: h5py.Group, name: str) -> np.ndarray:
    item = parent[name]
    if not isinstance(item, h5py.Dataset):
        raise TypeError(f"{name} is not a dataset")
    return item[()]
