"""Render MuJoCo scenes fast and headless: one scene update for colour, segmentation and depth.

What robosuite spends on a frame (shadow maps, reflections, four samples, collision geoms) is off
unless asked for. Images are upright; pixel (row, column) covers u in [column, column + 1), v in
[row, row + 1) of the OpenCV image plane.
"""

# mujoco is a C extension without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import atexit
import weakref
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from robot.envs.cameras import camera_id, looks_down, metric_depth, outside_view
from robot.envs.gl import gl_context, require_gl
from robot.types import InputError

COLLISION_GROUP = 0  # robosuite's convention: group 0 collides, group 1 is seen
MAX_SCENE_GEOMS = 10_000


@dataclass(frozen=True)
class Rendered:
    """One camera's view; what was not asked for is None. Depth is metric, along the optical axis,
    inf where nothing is.
    """

    rgb: UInt8[np.ndarray, "h w 3"] | None
    geom_ids: Int32[np.ndarray, "h w"] | None  # -1 where no geom is seen
    depth: Float32[np.ndarray, "h w"] | None


class SceneRenderer:
    """A framebuffer of one size for one model, with a GL context of its own; close it when done.

    `closed_below` says that floor and walls hide the sky below the horizon: it is then drawn only
    for a camera that looks above it, and costs a third of a frame.

    For perspective cameras given by `fovy`, as all of robosuite's are. Not safe to share between
    threads. A new model (robosuite makes one at every reset with `hard_reset=True`) needs a new
    renderer.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        height: int,
        width: int,
        shadows: bool = False,
        samples: int = 0,
        closed_below: bool = False,
    ) -> None:
        if height < 1 or width < 1:
            raise InputError(
                f"got an image of {width}x{height} pixels, expected at least 1x1; pass positive "
                "sizes."
            )
        self.model, self.height, self.width = model, height, width
        self._closed_below = closed_below
        self._gl: Any = gl_context(require_gl(), width=width, height=height)
        self._gl.make_current()
        self._context: Any = _make_context(
            model, height=height, width=width, shadows=shadows, samples=samples
        )
        self._scene = mujoco.MjvScene(model, maxgeom=MAX_SCENE_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._option, self._camera, self._perturb = (
            mujoco.MjvOption(),
            mujoco.MjvCamera(),
            mujoco.MjvPerturb(),
        )
        self._option.geomgroup[COLLISION_GROUP] = 0
        self._option.sitegroup[:] = 0
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        atexit.register(
            _close, weakref.ref(self)
        )  # before mujoco.egl's own exit handler pulls the display away

    def render(
        self,
        data: mujoco.MjData,
        camera: str,
        *,
        rgb: bool = True,
        segmentation: bool = False,
        depth: bool = False,
    ) -> Rendered:
        """Render what is asked for from one scene update. `data` must have been forwarded
        (mj_forward or mj_step).
        """
        if self._context is None:
            raise RuntimeError("render() after close()")
        self._gl.make_current()
        self._update_scene(data, camera)
        image = z_buffer = geom_ids = None
        if rgb:
            image, z_buffer = self._draw(read_depth=depth)
        if segmentation or (
            depth and not rgb
        ):  # the identity pass is the cheaper way to a z-buffer
            ids, ids_z_buffer = self._draw_ids(read_depth=depth and not rgb)
            geom_ids = self._to_geom_ids(ids) if segmentation else None
            z_buffer = ids_z_buffer if z_buffer is None else z_buffer
        return Rendered(
            rgb=image,
            geom_ids=geom_ids,
            depth=None if z_buffer is None else metric_depth(self.model, z_buffer),
        )

    def upload_texture(self, tex_id: int) -> None:
        """Send the pixels of one texture (`model.tex_data`), changed at run time, to the GPU."""
        self._gl.make_current()
        mujoco.mjr_uploadTexture(self.model, self._context, tex_id)

    def refresh_textures(self) -> None:
        """Take over which texture every material uses, and how it repeats, changed in the model at
        run time.

        MjrContext keeps its own copy of these, made once. Colours (`mat_rgba`, `geom_rgba`) need no
        refresh.
        """
        for name in ("mat_texid", "mat_texuniform", "mat_texrepeat"):
            cached, current = getattr(self._context, name), getattr(self.model, name)
            cached.reshape(-1)[: current.size] = current.reshape(-1)

    def close(self) -> None:
        """Free the GL context; safe to call twice."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
        self._context = self._gl = None

    def __del__(self) -> None:
        if getattr(self, "_context", None) is not None:
            self.close()

    def _update_scene(self, data: mujoco.MjData, camera: str) -> None:
        """Collect what the camera may see: geoms outside its view are left out, which the pictures
        do not show.
        """
        self._camera.fixedcamid = camera_id(self.model, camera)
        aspect = self.width / self.height
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = not (
            self._closed_below and looks_down(self.model, data, camera, aspect=aspect)
        )
        groups = self.model.geom_group.copy()
        if not self._scene.flags[
            mujoco.mjtRndFlag.mjRND_SHADOW
        ]:  # what is out of view may throw a shadow into it
            self.model.geom_group[outside_view(self.model, data, camera, aspect=aspect)] = (
                COLLISION_GROUP
            )
        try:
            mujoco.mjv_updateScene(
                self.model,
                data,
                self._option,
                self._perturb,
                self._camera,
                mujoco.mjtCatBit.mjCAT_ALL,
                self._scene,
            )
        finally:
            self.model.geom_group[:] = groups

    def _draw(
        self, *, read_depth: bool
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"] | None]:
        image = np.empty((self.height, self.width, 3), dtype=np.uint8)
        z_buffer = np.empty((self.height, self.width), dtype=np.float32) if read_depth else None
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        mujoco.mjr_readPixels(image, z_buffer, self._viewport, self._context)
        upright = np.ascontiguousarray(image[::-1])  # OpenGL's first row is the lowest
        return upright, None if z_buffer is None else np.ascontiguousarray(z_buffer[::-1])

    def _draw_ids(
        self, *, read_depth: bool
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"] | None]:
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        try:
            return self._draw(read_depth=read_depth)
        finally:
            flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = False

    def _to_geom_ids(self, ids: UInt8[np.ndarray, "h w 3"]) -> Int32[np.ndarray, "h w"]:
        """Turn identity colours (segment id + 1, little endian in RGB) into geom ids of
        the model.
        """
        to_geom = np.full(self._scene.ngeom + 1, -1, dtype=np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.segid >= 0:
                to_geom[geom.segid + 1] = geom.objid
        return to_geom[ids @ np.array([1, 1 << 8, 1 << 16], dtype=np.int32)]


def _close(renderer: weakref.ref[SceneRenderer]) -> None:
    if (alive := renderer()) is not None:
        alive.close()


def _make_context(
    model: mujoco.MjModel, *, height: int, width: int, shadows: bool, samples: int
) -> mujoco.MjrContext:
    """Make the context with these sizes, which MuJoCo reads from the model, and leave the model as
    it was.
    """
    quality, size = model.vis.quality, model.vis.global_
    saved = quality.offsamples, quality.shadowsize, size.offwidth, size.offheight
    quality.offsamples, size.offwidth, size.offheight = samples, width, height
    quality.shadowsize = quality.shadowsize if shadows else 0
    try:
        context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
    finally:
        quality.offsamples, quality.shadowsize, size.offwidth, size.offheight = saved
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    context.readDepthMap = (
        mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
    )  # reversed: keeps float precision far away
    return context
