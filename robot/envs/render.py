"""Render MuJoCo scenes fast and headless: one scene update for colour, segmentation and depth.

What robosuite spends on a frame (shadow maps, reflections, four samples, collision geoms) is off
unless asked for. Images are upright; pixel (row, column) covers u in [column, column + 1), v in
[row, row + 1) of the OpenCV image plane.
"""

# mujoco is a C extension without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import atexit
import ctypes
import importlib
import importlib.util
import os
import weakref
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from robot.types import InputError

COLLISION_GROUP = 0  # robosuite's convention: group 0 collides, group 1 is seen
BACKENDS = ("egl", "osmesa", "glfw")
MAX_SCENE_GEOMS = 10_000
_EGL_PLATFORM_DEVICE, _EGL_OPENGL_API = 0x313F, 0x30A2  # EGL_EXT_platform_device


_here = {"used": False, "inherited": False}  # GL in this process, GL in one that it was forked from


def _mark_fork() -> None:
    _here["inherited"] = _here["used"] or _here["inherited"]


os.register_at_fork(after_in_child=_mark_fork)


def check_not_forked() -> None:
    """Raise InputError in a process that was forked from one which had rendered: Mesa's threads are
    not forked, and the first frame would wait for them forever.
    """
    if _here["inherited"]:
        raise InputError(
            "got an env to render in a process that was forked after its parent had rendered, "
            "expected one started afresh, as GL does not survive a fork: pass "
            'vector_kwargs={"context": "spawn"} to gymnasium.make_vec, or make the vector env '
            "before any other env is reset"
        )


def require_gl() -> str:
    """Return the GL backend in use, choosing it (MUJOCO_GL = egl, else osmesa) when unset; call
    before importing robosuite.

    Raises InputError when no headless GL context can be made.
    """
    check_not_forked()
    _load_triton()
    backend = os.environ.get("MUJOCO_GL", "").lower().strip()
    if not backend:
        backend = "egl" if _egl_works() else "osmesa"
    if backend not in BACKENDS:
        raise InputError(
            f"got MUJOCO_GL={backend}, expected one of {', '.join(BACKENDS)}; unset it to choose "
            "automatically."
        )
    os.environ["MUJOCO_GL"] = backend
    try:
        _here["used"] = True
        context = _gl_context(backend, width=16, height=16)
        context.make_current()
        context.free()
    # PyOpenGL raises ImportError, AttributeError, GLError or its own, depending on what is missing
    except Exception as error:
        raise InputError(
            f"no {backend} GL context can be made ({type(error).__name__}), rendering needs one: "
            "install it with "
            "`apt install libegl1 libgl1-mesa-dri` (or `libosmesa6` and MUJOCO_GL=osmesa)."
        ) from None
    return backend


def _load_triton() -> None:
    """Import triton, where it is installed, before Mesa is loaded: both bring an LLVM, and in the
    other order the import, which transformers does later, ends the process (CUDA builds of torch).
    """
    if importlib.util.find_spec("triton") is not None:
        importlib.import_module("triton")


def _gl_context(backend: str, *, width: int, height: int) -> Any:
    # Not mujoco.GLContext: that one is bound to whatever MUJOCO_GL said when mujoco was first
    # imported.
    return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)


def _egl_works() -> bool:
    """Probe EGL through ctypes: importing mujoco.egl would fix PyOpenGL to EGL and rule
    OSMesa out.
    """
    try:
        egl = ctypes.CDLL("libEGL.so.1")
        egl.eglGetProcAddress.restype = ctypes.c_void_p
        address = {
            name: egl.eglGetProcAddress(name)
            for name in (b"eglQueryDevicesEXT", b"eglGetPlatformDisplayEXT")
        }
        if not all(address.values()):
            return False
        query = ctypes.CFUNCTYPE(
            ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
        )
        display_of = ctypes.CFUNCTYPE(
            ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
        )
        devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
        query(address[b"eglQueryDevicesEXT"])(16, devices, ctypes.byref(count))
        egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        for device in devices[: count.value]:
            display = display_of(address[b"eglGetPlatformDisplayEXT"])(
                _EGL_PLATFORM_DEVICE, device, None
            )
            if (
                display
                and egl.eglInitialize(display, None, None)
                and egl.eglBindAPI(_EGL_OPENGL_API)
            ):
                # left initialised: mujoco.egl initialises the same display again, which is free
                return True
    except (OSError, AttributeError):
        pass
    return False


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
    ) -> None:
        if height < 1 or width < 1:
            raise InputError(
                f"got an image of {width}x{height} pixels, expected at least 1x1; pass positive "
                "sizes."
            )
        self.model, self.height, self.width = model, height, width
        self._gl: Any = _gl_context(require_gl(), width=width, height=height)
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
        self._camera.fixedcamid = _camera_id(self.model, camera)
        groups = self.model.geom_group.copy()
        if not self._scene.flags[
            mujoco.mjtRndFlag.mjRND_SHADOW
        ]:  # what is out of view may throw a shadow into it
            self.model.geom_group[
                outside_view(self.model, data, camera, aspect=self.width / self.height)
            ] = COLLISION_GROUP
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


def metric_depth(
    model: mujoco.MjModel, z_buffer: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Turn a reversed z-buffer (1 at the near plane, 0 at the far plane) into metres along the
    optical axis; inf at 0.

    Between the planes 1/depth is linear in the z-buffer: z = (near / depth - near / far) / (1 -
    near / far).
    """
    near, far = model.vis.map.znear * model.stat.extent, model.vis.map.zfar * model.stat.extent
    inverse = (z_buffer.astype(np.float64) * (1 - near / far) + near / far) / near
    return np.where(z_buffer > 0, 1 / inverse, np.inf).astype(np.float32)


def outside_view(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, *, aspect: float
) -> Bool[np.ndarray, " geoms"]:
    """Return which geoms have a bounding sphere wholly outside the camera's view. `aspect` is width
    / height.
    """
    camera_id = _camera_id(model, camera)
    centres = (data.geom_xpos - data.cam_xpos[camera_id]) @ data.cam_xmat[camera_id].reshape(
        3, 3
    )  # x right, y up, -z ahead
    tangent = np.tan(0.5 * np.deg2rad(model.cam_fovy[camera_id])) * np.array([aspect, 1.0])
    distance = (np.abs(centres[:, :2]) + centres[:, 2:] * tangent) / np.sqrt(
        1 + tangent**2
    )  # outwards, to the nearest planes
    return (distance.max(axis=1) > model.geom_rbound) & (
        model.geom_rbound > 0
    )  # the bound of a plane is 0: unbounded


def camera_intrinsics(
    model: mujoco.MjModel, camera: str, height: int, width: int
) -> Float64[np.ndarray, "3 3"]:
    """Return K in pixels for an image of this size; the principal point is the image's centre
    (width / 2, height / 2).
    """
    focal = 0.5 * height / np.tan(0.5 * np.deg2rad(model.cam_fovy[_camera_id(model, camera)]))
    return np.array([[focal, 0, 0.5 * width], [0, focal, 0.5 * height], [0, 0, 1]])


def camera_pose(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str
) -> Float64[np.ndarray, "4 4"]:
    """Return T_world_camera, OpenCV convention (x right, y down, z forward): p_world =
    T_world_camera @ p_camera.
    """
    camera_id = _camera_id(model, camera)
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = data.cam_xmat[camera_id].reshape(3, 3) * np.array(
        [1.0, -1.0, -1.0]
    )  # MuJoCo looks along -z
    T_world_camera[:3, 3] = data.cam_xpos[camera_id]
    return T_world_camera


def _camera_id(model: mujoco.MjModel, camera: str) -> int:
    camera_id = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
    if camera_id < 0:
        names = ", ".join(model.camera(i).name for i in range(model.ncam))
        raise InputError(
            f"got camera '{camera}', expected one of: {names}; name a camera of this model."
        )
    if (
        model.cam_projection[camera_id] != mujoco.mjtProjection.mjPROJ_PERSPECTIVE
        or model.cam_sensorsize[camera_id].any()
    ):
        raise InputError(
            f"got camera '{camera}' with orthographic or sensorsize, expected a perspective "
            "camera; give it `fovy`."
        )
    return camera_id


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
