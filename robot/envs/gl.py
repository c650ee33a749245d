"""The GL context that frames are drawn in: choose a backend, name what is missing for it."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from typing import Any

from robot.types import InputError

BACKENDS = ("egl", "osmesa", "glfw")
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
        context = gl_context(backend, width=16, height=16)
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


def gl_context(backend: str, *, width: int, height: int) -> Any:
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
