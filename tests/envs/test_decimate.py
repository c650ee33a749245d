"""Facts about robot.envs.decimate on a hand-made mesh and on robosuite's Lift."""

from __future__ import annotations

import errno
import multiprocessing
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import escape

import mujoco
import numpy as np
import pytest
import trimesh

from robot.envs.decimate import accelerate, decimate_meshes
from robot.envs.simplify import read_surface, simplify
from robot.types import InputError

PHYSICS_OF_BODIES = (
    "body_mass",
    "body_inertia",
    "body_ipos",
    "body_iquat",
    "body_subtreemass",
    "body_pos",
    "body_quat",
)
PHYSICS_OF_GEOMS = (
    "geom_pos",
    "geom_quat",
    "geom_size",
    "geom_rbound",
    "geom_friction",
    "geom_solref",
    "geom_margin",
)


@pytest.fixture
def sphere(tmp_path):
    """A unit sphere of 5120 faces away from the origin; u is the height, from 0 at the bottom to 1
    at the top.
    """
    mesh = trimesh.creation.icosphere(subdivisions=4)
    lines = [f"v {x + 3:.6f} {y + 2:.6f} {z + 1:.6f}" for x, y, z in mesh.vertices]
    lines += [f"vt {(z + 1) / 2:.6f} 0.25" for _, _, z in mesh.vertices]
    lines += [f"vn {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices]
    lines += ["f " + " ".join(f"{i}/{i}/{i}" for i in face + 1) for face in mesh.faces]
    path = tmp_path / "sphere.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


def model_xml(sphere, *, geoms, body="", compiler='<compiler inertiagrouprange="0 0"/>'):
    return (
        f'<mujoco>{compiler}<asset><mesh name="m" '
        f'file="{sphere}"/></asset><worldbody><body><freejoint/>'
        f"{body}{geoms}</body></worldbody></mujoco>"
    )


SEEN = '<geom type="mesh" mesh="m" contype="0" conaffinity="0" group="1"/>'
TOUCHED = '<geom type="mesh" mesh="m" group="0"/>'
CORE = '<geom type="sphere" size=".1" group="0"/>'


def mesh_files(xml):
    return {mesh.get("name"): mesh.get("file") for mesh in ET.fromstring(xml).iter("mesh")}


def face_counts(xml):
    model = mujoco.MjModel.from_xml_string(xml)
    return {model.mesh(i).name: int(model.mesh_facenum[i]) for i in range(model.nmesh)}


def test_a_visual_mesh_keeps_about_as_many_faces_as_asked_for(sphere, tmp_path):
    xml = decimate_meshes(model_xml(sphere, geoms=SEEN + CORE), faces=300, cache_dir=tmp_path)
    assert 200 < face_counts(xml)["m"] <= 300


def test_a_collision_mesh_is_left_alone(sphere, tmp_path):
    xml = model_xml(sphere, geoms=TOUCHED)
    assert mesh_files(decimate_meshes(xml, cache_dir=tmp_path)) == mesh_files(xml)


def test_a_mesh_both_seen_and_touched_is_copied_for_the_eyes_only(sphere, tmp_path):
    xml = decimate_meshes(model_xml(sphere, geoms=SEEN + TOUCHED), faces=300, cache_dir=tmp_path)
    assert face_counts(xml)["m"] == 5120 and face_counts(xml)["m_decimated"] <= 300
    assert [geom.get("mesh") for geom in ET.fromstring(xml).iter("geom")] == ["m_decimated", "m"]


def test_a_visual_mesh_that_decides_inertia_is_left_alone(sphere, tmp_path):
    xml = model_xml(sphere, geoms=SEEN, compiler="")
    assert mesh_files(decimate_meshes(xml, cache_dir=tmp_path)) == mesh_files(xml)


def test_a_visual_mesh_under_an_explicit_inertia_is_decimated(sphere, tmp_path):
    inertial = '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'
    xml = decimate_meshes(
        model_xml(sphere, geoms=SEEN, body=inertial, compiler=""), faces=300, cache_dir=tmp_path
    )
    assert face_counts(xml)["m"] <= 300


def test_a_light_mesh_is_left_alone(sphere, tmp_path):
    xml = model_xml(sphere, geoms=SEEN + CORE)
    assert mesh_files(decimate_meshes(xml, faces=6000, cache_dir=tmp_path)) == mesh_files(xml)


def test_shape_and_place_stay_within_two_percent(sphere):
    light = simplify(read_surface(sphere), faces=400, keep_seams=False)
    np.testing.assert_allclose(np.linalg.norm(light.vertices - (3, 2, 1), axis=1), 1.0, atol=0.02)


def test_reading_undoes_the_compilers_move(sphere):
    np.testing.assert_allclose(
        np.linalg.norm(read_surface(sphere).vertices - (3, 2, 1), axis=1), 1.0, atol=1e-4
    )


def test_normals_are_carried_over(sphere):
    light = simplify(read_surface(sphere), faces=400, keep_seams=False)
    outward = light.vertices[light.faces] - (3, 2, 1)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    assert ((light.normals * outward).sum(-1) > 0.98).all()


def test_texture_coordinates_survive_the_file(sphere, tmp_path):
    xml = decimate_meshes(model_xml(sphere, geoms=SEEN + CORE), faces=400, cache_dir=tmp_path)
    light = read_surface(tmp_path / mesh_files(xml)["m"])
    height = (light.vertices[light.faces][..., 2] - 1 + 1) / 2
    np.testing.assert_allclose(light.texcoords[..., 0], height, atol=0.05)
    np.testing.assert_allclose(
        light.texcoords[..., 1], read_surface(sphere).texcoords[0, 0, 1], atol=1e-4
    )


def test_a_flat_sheet_is_decimated_too(tmp_path):
    x, y = np.meshgrid(np.arange(12), np.arange(12))  # 242 faces without a volume
    lines = [f"v {a} {b} 0" for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    for k in (12 * i + j + 1 for i in range(11) for j in range(11)):
        lines += [f"f {k} {k + 1} {k + 13}", f"f {k} {k + 13} {k + 12}"]
    (tmp_path / "sheet.obj").write_text("\n".join(lines) + "\n")
    xml = decimate_meshes(
        model_xml(tmp_path / "sheet.obj", geoms=SEEN + CORE), faces=20, cache_dir=tmp_path
    )
    assert face_counts(xml)["m"] <= 20


def test_the_second_time_reads_the_cache(sphere, tmp_path, monkeypatch):
    first = decimate_meshes(model_xml(sphere, geoms=SEEN + CORE), cache_dir=tmp_path)
    monkeypatch.setattr("robot.envs.simplify.simplify", None)
    assert decimate_meshes(model_xml(sphere, geoms=SEEN + CORE), cache_dir=tmp_path) == first


def test_a_changed_source_file_is_decimated_anew(sphere, tmp_path):
    before = decimate_meshes(model_xml(sphere, geoms=SEEN + CORE), cache_dir=tmp_path)
    sphere.write_text(sphere.read_text().replace("v ", "v  ", 1))
    assert mesh_files(
        decimate_meshes(model_xml(sphere, geoms=SEEN + CORE), cache_dir=tmp_path)
    ) != mesh_files(before)


def test_two_processes_may_race_for_the_cache(sphere, tmp_path):
    cache, xml = tmp_path / "cache", model_xml(sphere, geoms=SEEN + CORE)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        first, second = pool.starmap(_decimate_into, [(xml, cache)] * 2, chunksize=1)
    assert first == second and [path.suffix for path in cache.iterdir()] == [".obj"]


def _decimate_into(xml, cache):
    return decimate_meshes(xml, cache_dir=cache)


def light_file(sphere, **where) -> Path:
    xml = decimate_meshes(model_xml(escape(str(sphere)), geoms=SEEN + CORE), faces=300, **where)
    return Path(mesh_files(xml)["m"])


def test_half_a_light_mesh_is_made_anew(sphere, tmp_path):
    file = light_file(sphere, cache_dir=tmp_path / "cache")
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    for half in ("".join(lines[: len(lines) * 3 // 4]), "".join(lines[:-1]), ""):
        file.write_text(half)
        assert light_file(sphere, cache_dir=tmp_path / "cache").read_text() == whole


def test_other_users_can_read_what_the_cache_holds(sphere, tmp_path):
    old = os.umask(0o022)
    try:
        file = light_file(sphere, cache_dir=tmp_path / "cache")
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o044 == 0o044


def test_paths_may_hold_what_xml_must_not(sphere, tmp_path):
    folder = tmp_path / "a & <b>"
    folder.mkdir()
    source = sphere.rename(folder / "sphere.obj")
    file = light_file(source, cache_dir=folder / "cache")
    assert file.is_file() and file.is_relative_to(folder)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return a temporary folder for a user without a home."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path / "tmp"


@pytest.mark.parametrize("cache", ["", "relative"])
def test_an_empty_or_relative_cache_folder_is_that_of_the_home(
    cache, sphere, temporary, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert light_file(sphere).parent == tmp_path / "home/.cache/robot/meshes"


def test_a_user_whom_nobody_knows_gets_a_temporary_cache(sphere, temporary, monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert light_file(sphere).is_relative_to(temporary)


def test_a_home_that_cannot_be_written_gets_a_temporary_cache(sphere, temporary, monkeypatch):
    monkeypatch.setenv("HOME", "/proc")
    first = light_file(sphere)
    assert first.is_relative_to(temporary)
    monkeypatch.setattr("robot.envs.simplify.simplify", None)
    assert light_file(sphere) == first, "it is found again"


def test_a_full_disk_is_one_sentence(sphere, temporary, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("HOME", str(temporary / "home"))
    monkeypatch.setattr("robot.envs.decimate.os.fsync", full)
    with pytest.raises(InputError, match="no space left on device.*set XDG_CACHE_HOME"):
        light_file(sphere)
    assert not [path for path in temporary.rglob("*") if path.is_file()]


def test_a_relative_mesh_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="absolute"):
        decimate_meshes(model_xml("sphere.obj", geoms=SEEN + CORE), cache_dir=tmp_path)


OFF = {
    "robots": "Panda",
    "has_renderer": False,
    "has_offscreen_renderer": False,
    "use_camera_obs": False,
    "seed": 1,
}


@pytest.fixture(scope="module")
def lifts():
    from robosuite.environments.manipulation.lift import Lift

    pair = Lift(**OFF), accelerate(Lift)(**OFF)
    for env in pair:
        env.reset()
    return pair


def test_lift_keeps_under_a_quarter_of_its_faces(lifts):
    original, light = (env.sim.model._model.mesh_facenum.sum() for env in lifts)
    assert light < original / 4


@pytest.mark.parametrize("name", PHYSICS_OF_BODIES)
def test_lift_keeps_its_bodies(lifts, name):
    original, light = (getattr(env.sim.model._model, name) for env in lifts)
    np.testing.assert_array_equal(original, light)


@pytest.mark.parametrize("name", PHYSICS_OF_GEOMS)
def test_lift_keeps_its_collision_geoms(lifts, name):
    original, light = (
        getattr(env.sim.model._model, name)[env.sim.model._model.geom_group == 0] for env in lifts
    )
    np.testing.assert_array_equal(original, light)


def test_lift_moves_the_same(lifts):
    start = lifts[0].sim.get_state().flatten()
    for env in lifts:
        env.sim.set_state_from_flattened(start)
        env.sim.forward()
        for action in np.random.default_rng(0).uniform(-1, 1, size=(5, 7)):
            env.step(action)
    np.testing.assert_array_equal(*(env.sim.get_state().flatten() for env in lifts))


def test_robosuites_own_lift_stays_registered():
    from robosuite.environments.base import REGISTERED_ENVS
    from robosuite.environments.manipulation.lift import Lift

    accelerate(Lift)
    assert REGISTERED_ENVS["Lift"] is Lift


def test_edit_xml_runs_before_compilation():
    from robosuite.environments.manipulation.lift import Lift

    def add_camera(xml):
        return xml.replace("<worldbody>", '<worldbody><camera name="extra" pos="0 0 3"/>')

    env = accelerate(Lift, edit_xml=add_camera)(**OFF)
    assert env.sim.model._model.camera("extra").pos.tolist() == [0, 0, 3]
