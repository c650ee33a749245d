import json

import h5py
import numpy as np
import pytest

from robot.data.robomimic import export_robomimic, import_robomimic
from robot.data.store import EpisodeStore
from robot.types import Goal, InputError, Region


@pytest.fixture
def store(tmp_path, make_episode) -> EpisodeStore:
    store = EpisodeStore(tmp_path / "store")
    store.append(
        make_episode(index=2, steps=3, goal=Goal("lift", (Region("wrist", (0.0, 0.0, 2.0, 2.0)),)))
    )
    store.append(make_episode(index=10, steps=4, success=False))
    return store


@pytest.fixture
def path(tmp_path, store):
    export_robomimic(store, tmp_path / "demos.hdf5", env_name="robot/pick_place")
    return tmp_path / "demos.hdf5"


def test_import_inverts_export(path, store, tmp_path, assert_same):
    imported = EpisodeStore(tmp_path / "imported")
    import_robomimic(path, imported)
    assert imported.indices() == {2, 10}
    for index in (2, 10):
        assert_same(imported.read(index), store.read(index))


def test_the_file_has_robomimics_schema(path, store):
    with h5py.File(path, "r") as file:
        demo = file["data/demo_2"]
        assert sorted(file["data"]) == ["demo_10", "demo_2"]
        assert file["data"].attrs["total"] == 7
        assert json.loads(file["data"].attrs["env_args"]) == {
            "env_name": "robot/pick_place",
            "type": 2,
            "env_kwargs": {},
        }
        assert file["mask/train"][()].tolist() == [b"demo_2", b"demo_10"]
        assert demo.attrs["num_samples"] == 3
        assert demo["actions"].shape == (3, 7)
        assert demo["states"].shape == (3, 0)
        assert demo["dones"][()].tolist() == [0, 0, 1]
        assert demo["rewards"][()].tolist() == [0.0, 0.0, 1.0]
        assert demo["obs/agentview_image"].shape == (3, 12, 16, 3)
        np.testing.assert_array_equal(demo["obs/robot0_eef_pos"][()], store.read(2).proprio[:, :3])


def test_a_failed_episode_earns_no_reward(path):
    with h5py.File(path, "r") as file:
        assert file["data/demo_10/rewards"][()].tolist() == [0.0] * 4


def test_the_weights_in_force_are_exported(store, tmp_path):
    store.set_weights({2: 0.0625})
    export_robomimic(store, tmp_path / "weighted.hdf5", env_name="e")
    imported = EpisodeStore(tmp_path / "imported")
    import_robomimic(tmp_path / "weighted.hdf5", imported)
    assert imported.read(2).weight == 0.0625


def test_a_file_of_another_origin_is_refused_with_the_reason(path, tmp_path):
    with h5py.File(path, "a") as file:
        del file["data/demo_2"].attrs["episode"]
    with pytest.raises(
        InputError, match="demo_2 without the attribute `episode`.*controller's units"
    ):
        import_robomimic(path, EpisodeStore(tmp_path / "imported"))


@pytest.mark.parametrize("content", [b"", b"not an HDF5 file"])
def test_a_corrupt_file_is_named(tmp_path, content):
    path = tmp_path / "broken.hdf5"
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken.hdf5"):
        import_robomimic(path, EpisodeStore(tmp_path / "imported"))


def test_a_failed_export_leaves_nothing(store, tmp_path):
    (tmp_path / "store/data/chunk-000/file-010.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="file-010.parquet"):
        export_robomimic(store, tmp_path / "demos.hdf5", env_name="e")
    assert not list(tmp_path.glob("*demos.hdf5*"))


def test_an_empty_store_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no episodes"):
        export_robomimic(EpisodeStore(tmp_path), tmp_path / "demos.hdf5", env_name="e")


def test_another_arm_with_cameras_of_different_sizes_goes_both_ways(
    tmp_path, make_other_episode, assert_same
):
    EpisodeStore(tmp_path / "a").append(make_other_episode())
    export_robomimic(EpisodeStore(tmp_path / "a"), tmp_path / "a.hdf5", env_name="e")
    back = EpisodeStore(tmp_path / "b")
    import_robomimic(tmp_path / "a.hdf5", back)
    assert_same(back.read(0), make_other_episode())
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["data/demo_0/obs/joints"].shape == (4, 5)
