"""Facts about robot.envs.render on a hand-made scene."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from robot.envs import gl
from robot.envs.cameras import (
    camera_intrinsics,
    camera_pose,
    looks_down,
    metric_depth,
    outside_view,
)
from robot.envs.gl import require_gl
from robot.envs.render import SceneRenderer
from robot.types import InputError

# The camera "front" stands 2 m before the origin on -y and looks along +y: image right is +x, image
# up is +z.
SCENE = """
<mujoco>
  <asset>
    <texture name="green" type="2d" builtin="flat" width="8" height="8" rgb1="0 1 0" rgb2="0 1 0"/>
    <texture name="yellow" type="2d" builtin="flat" width="8" height="8" rgb1="1 1 0" rgb2="1 1 0"/>
    <material name="first" rgba="1 0 1 1"/>
    <material name="cloth" texture="green" specular="0" shininess="0"/>
  </asset>
  <worldbody>
    <light pos="0 -2 0" dir="0 1 0" directional="true" castshadow="false"/>
    <camera name="front" pos="0 -2 0" xyaxes="1 0 0 0 0 1" fovy="60"/>
    <camera name="down" pos="5 5 3" xyaxes="1 0 0 0 1 0" fovy="60"/>
    <body name="upper" pos="0 0 0.4">
      <geom name="red" type="box" size=".2 .2 .2" rgba="1 0 0 1" group="1"/></body>
    <body name="lower" pos="0 0 -0.4">
      <geom name="blue" type="box" size=".2 .2 .2" rgba="0 0 1 1" group="1"/></body>
    <body name="aside" pos="0.7 0 0.1">
      <geom name="ball" type="sphere" size=".05" rgba="1 1 1 1" group="1"/></body>
    <geom name="collision" type="box" size=".9 .01 .9" pos="0 -1 0" rgba="1 1 1 1" group="0"/>
    <site name="site" type="box" size=".9 .01 .9" pos="0 -1 0" rgba="1 1 1 1"/>
    <geom name="floor" type="plane" size="3 3 .1" pos="5 5 0" rgba=".5 .5 .5 1" group="1"/>
    <geom name="sheet" type="box" size=".2 .01 .2" pos="-0.7 0 0" material="cloth" group="1"/>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def scene():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.fixture
def renderer(scene):
    renderer = SceneRenderer(scene[0], height=96, width=128)
    yield renderer
    renderer.close()


def pixel_of(model, data, point, *, camera="front", height=96, width=128):
    in_camera = np.linalg.inv(camera_pose(model, data, camera)) @ [*point, 1.0]
    u, v, w = camera_intrinsics(model, camera, height, width) @ in_camera[:3]
    return int(v / w), int(u / w)


def test_the_image_is_upright(scene, renderer):
    rgb = renderer.render(scene[1], "front").rgb
    red, blue = (
        (rgb[..., 0] > 100) & (rgb[..., 2] < 50) & (rgb[..., 1] < 50),
        (rgb[..., 2] > 100) & (rgb[..., 0] < 50),
    )
    assert np.nonzero(red)[0].max() < np.nonzero(blue)[0].min()


@pytest.mark.parametrize("name", ["red", "blue", "ball", "sheet"])
def test_a_projected_geom_centre_lands_on_its_geom(scene, renderer, name):
    model, data = scene
    ids = renderer.render(data, "front", rgb=False, segmentation=True).geom_ids
    assert ids[pixel_of(model, data, data.geom(name).xpos)] == model.geom(name).id


def test_projection_matches_the_silhouette_to_a_pixel(scene, renderer):
    model, data = scene
    rows, columns = np.nonzero(
        renderer.render(data, "front", rgb=False, segmentation=True).geom_ids
        == model.geom("ball").id
    )
    row, column = pixel_of(model, data, data.geom("ball").xpos)
    assert abs(rows.mean() - row) < 1 and abs(columns.mean() - column) < 1


def test_collision_geoms_and_sites_are_hidden(scene, renderer):
    rendered = renderer.render(scene[1], "front", segmentation=True)
    assert scene[0].geom("collision").id not in rendered.geom_ids
    assert rendered.geom_ids[48, 64] == -1  # between the boxes nothing is seen


def test_only_what_was_asked_for_is_returned(scene, renderer):
    rendered = renderer.render(scene[1], "front", rgb=False, depth=True)
    assert rendered.rgb is None and rendered.geom_ids is None and rendered.depth.shape == (96, 128)


def test_depth_of_a_plane_three_metres_away_is_three_metres_in_every_pixel(scene, renderer):
    depth = renderer.render(scene[1], "down", depth=True).depth
    np.testing.assert_allclose(depth, 3.0, atol=2e-3)


def test_depth_is_the_same_with_and_without_colour(scene, renderer):
    with_colour = renderer.render(scene[1], "front", depth=True, segmentation=True).depth
    without = renderer.render(scene[1], "front", rgb=False, depth=True).depth
    np.testing.assert_allclose(with_colour, without, rtol=1e-4)


def test_depth_is_infinite_where_nothing_is(scene, renderer):
    rendered = renderer.render(scene[1], "front", segmentation=True, depth=True)
    np.testing.assert_array_equal(np.isinf(rendered.depth), rendered.geom_ids == -1)


def test_metric_depth_is_near_at_one_and_far_just_above_zero(scene):
    model = scene[0]
    near, far = model.vis.map.znear * model.stat.extent, model.vis.map.zfar * model.stat.extent
    np.testing.assert_allclose(
        metric_depth(model, np.array([[1.0, 1e-12]], np.float32)), [[near, far]], rtol=1e-5
    )


def test_focal_length_is_half_the_height_at_a_right_angle():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><camera name="c" fovy="90"/></worldbody></mujoco>'
    )
    np.testing.assert_allclose(
        camera_intrinsics(model, "c", 80, 100), [[40, 0, 50], [0, 40, 40], [0, 0, 1]]
    )


def test_camera_axes_are_right_down_forward(scene):
    axes = camera_pose(*scene, "front")[:3, :3].T
    np.testing.assert_allclose(axes, [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-12)


def test_a_swapped_material_texture_shows_after_refresh():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = SceneRenderer(model, height=96, width=128)
    pixel = pixel_of(model, data, data.geom("sheet").xpos)
    before = renderer.render(data, "front").rgb[pixel]
    model.mat_texid[model.mat_texid == model.texture("green").id] = model.texture("yellow").id
    renderer.refresh_textures()
    after = renderer.render(data, "front").rgb[pixel]
    renderer.close()
    assert before[0] < 20 and after[0] > 100 and after[1] > 100


def test_changed_texture_pixels_show_after_upload():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = SceneRenderer(model, height=96, width=128)
    texture = model.texture("green")
    model.tex_data[texture.adr[0] : texture.adr[0] + 8 * 8 * 3] = np.tile(
        np.array([0, 0, 255], np.uint8), 64
    )
    renderer.upload_texture(texture.id)
    colour = renderer.render(data, "front").rgb[pixel_of(model, data, data.geom("sheet").xpos)]
    renderer.close()
    assert colour[2] > 100 and colour[1] < 20


def test_segment_ids_are_whole_with_multisampling(scene):
    model, data = scene
    renderer = SceneRenderer(model, height=96, width=128, samples=4)
    ids = renderer.render(data, "front", segmentation=True).geom_ids
    renderer.close()
    assert set(np.unique(ids)) == {
        -1,
        *(model.geom(name).id for name in ("red", "blue", "ball", "sheet")),
    }


# The camera at the origin looks along -z, 45 degrees to either side vertically, twice that tangent
# horizontally; radius 0.1.
@pytest.mark.parametrize(
    ("centre", "outside"),
    [
        ("0 0 -1", False),
        ("0 0 1", True),  # behind
        ("0 1.14 -1", False),  # 0.14 / sqrt(2) = 0.099 beyond the upper plane
        ("0 1.15 -1", True),
        ("0 -1.15 -1", True),
        ("2.2 0 -1", False),  # 0.2 / sqrt(5) = 0.089 beyond the right plane
        ("2.3 0 -1", True),
    ],
)
def test_a_sphere_is_outside_when_it_is_wholly_beyond_a_plane_of_the_view(centre, outside):
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><camera name="c" fovy="90"/><geom size=".1" '
        f'pos="{centre}"/></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert outside_view(model, data, "c", aspect=2.0).tolist() == [outside]


def test_leaving_out_what_is_outside_changes_no_pixel(scene, renderer, monkeypatch):
    culled = renderer.render(scene[1], "front", segmentation=True)
    monkeypatch.setattr(
        "robot.envs.render.outside_view", lambda model, *_, **__: np.zeros(model.ngeom, bool)
    )
    complete = renderer.render(scene[1], "front", segmentation=True)
    np.testing.assert_array_equal(culled.rgb, complete.rgb)
    np.testing.assert_array_equal(culled.geom_ids, complete.geom_ids)


@pytest.mark.parametrize(("camera", "down"), [("down", True), ("front", False)])
def test_a_camera_looks_down_where_all_of_its_picture_is_below_the_horizon(scene, camera, down):
    assert looks_down(*scene, camera, aspect=1.0) == down


@pytest.mark.parametrize("camera", ["down", "front"])
def test_leaving_out_the_sky_below_the_horizon_changes_no_pixel(camera):
    """A floor to the horizon: only the camera that looks above it may see the sky."""
    sky = '<texture type="skybox" builtin="flat" rgb1="1 0 1" width="8" height="48"/><material'
    xml = SCENE.replace("<material", sky, 1).replace('size="3 3 .1" pos="5 5 0"', 'size="0 0 1"')
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    shown = []
    for closed_below in (False, True):
        renderer = SceneRenderer(model, height=64, width=64, closed_below=closed_below)
        shown.append(renderer.render(data, camera).rgb)
        renderer.close()
    np.testing.assert_array_equal(*shown)
    purple = (shown[0][..., 0] > 200) & (shown[0][..., 1] < 50) & (shown[0][..., 2] > 200)
    assert purple.any() == (camera == "front")


def test_two_renderers_keep_their_own_pictures(scene, renderer):
    other = SceneRenderer(scene[0], height=32, width=32)
    first = renderer.render(scene[1], "front").rgb
    other.render(scene[1], "down")
    np.testing.assert_array_equal(renderer.render(scene[1], "front").rgb, first)
    other.close()


def test_the_model_is_left_as_it_was(scene, renderer):
    renderer.render(scene[1], "front")
    assert scene[0].vis.global_.offwidth == 640 and scene[0].vis.quality.shadowsize == 4096
    assert (
        scene[0].geom("floor").group == 1
    )  # out of view, so left out of the picture, but not for good


def test_an_unknown_camera_names_the_choices(scene, renderer):
    with pytest.raises(InputError, match="front, down"):
        renderer.render(scene[1], "behind")


def test_an_orthographic_camera_is_refused():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><camera name="c" projection="orthographic"/></worldbody></mujoco>'
    )
    with pytest.raises(InputError, match="perspective"):
        camera_intrinsics(model, "c", 10, 10)


def test_rendering_after_close_is_refused(scene):
    renderer = SceneRenderer(scene[0], height=8, width=8)
    renderer.close()
    with pytest.raises(RuntimeError, match="close"):
        renderer.render(scene[1], "front")


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(InputError, match="egl, osmesa"):
        require_gl()


def test_a_missing_gl_library_names_the_debian_package(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(
        "robot.envs.gl.gl_context",
        lambda *_, **__: (_ for _ in ()).throw(ImportError("libEGL")),
    )
    with pytest.raises(InputError, match="apt install libegl1"):
        require_gl()


def test_triton_is_imported_before_mesa_is_probed(monkeypatch):
    """Its LLVM and Mesa's end the process when they are loaded in the other order."""
    order = []
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "_load_triton", lambda: order.append("triton"))
    monkeypatch.setattr(gl, "_egl_works", lambda: order.append("probe") or True)
    gl.require_gl()
    assert order[:2] == ["triton", "probe"]
