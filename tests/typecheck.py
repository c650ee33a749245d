"""Check the hints and jaxtyping shapes of a package at every call: an import hook over beartype.

jaxtyping's own hook prepares every function when its module is imported (2 ms each, most are never
called), binds the arguments of every call for shapes that most functions do not have (6 us, where
beartype alone takes 0.6), and checks arguments twice.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
import typing
import zlib
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException
from jaxtyping import AbstractArray, jaxtyped

CHECK = "__check__"  # the decorator's name in modules, and a mark on what it made
BYTECODE = f".checked-{zlib.crc32(Path(__file__).read_bytes()):08x}.pyc"
typed = beartype(
    conf=BeartypeConf(is_pep484_tower=True)
)  # PEP 484: an int will do where a float is asked for


def install_import_hook(package: str) -> None:
    """Check the functions and dataclasses of all modules of `package` that are imported later."""
    sys.meta_path.insert(0, _Finder(package))


def check(made: Any) -> Any:
    """Decorate a function, or the constructor of a dataclass; other classes stay as they are."""
    if not isinstance(made, type):
        return _checked_when_called(made) if made.__annotations__ else made
    if dataclasses.is_dataclass(made) and not hasattr(made.__init__, CHECK):
        made.__init__ = _checked_when_called(made.__init__)
    return made


def _checked_when_called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Prepare the checks at the first call, when all that hints refer to is defined."""
    checked = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        nonlocal checked
        if checked is None:
            checked = _checked(function)
        return checked(*args, **kwargs)

    setattr(call, CHECK, True)
    return call


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    names = vars(sys.modules[function.__module__]) | function.__globals__
    hints = {name: _resolved(hint, names) for name, hint in function.__annotations__.items()}
    has_shapes = any(map(_has_shape, hints.values()))
    if has_shapes and inspect.isgeneratorfunction(function):
        return jaxtyped(function, typechecker=_typed)  # what it yields comes after the call
    function.__annotations__ = hints
    checked = _typed(function)
    return _with_sizes_of_its_own(checked) if has_shapes else checked


def _with_sizes_of_its_own(checked: Callable[..., Any]) -> Callable[..., Any]:
    """Let names of sizes mean the same in all arrays of one call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with jaxtyped("context"):
            return checked(*args, **kwargs)

    return call


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """Return what a hint refers to; Any where that is known to static checkers only."""

    def holder(value): ...

    holder.__annotations__["value"] = hint
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:
        return Any


def _has_shape(hint: Any) -> bool:
    """Say whether a hint is an array's, or holds one."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, typing.get_args(hint)))


def _typed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with beartype; leave out hints it rejects, such as Self or a Protocol that
    isinstance() refuses.
    """
    try:
        return typed(function)
    except BeartypeDecorHintException:
        hints = function.__annotations__
        function.__annotations__ = {
            name: hint for name, hint in hints.items() if _checkable(function, name, hint)
        }
        return typed(function)


def _checkable(function: Callable[..., Any], name: str, hint: Any) -> bool:
    function.__annotations__ = {name: hint}
    try:
        typed(function)
    except BeartypeDecorHintException:
        return False
    return True


class _Finder(MetaPathFinder):
    """Find the modules of one package, to be loaded with checks."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != self.package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Compile a module with the decorator on all it defines; keep that as bytecode of its own."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[CHECK] = check
        super().exec_module(module)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        tree = ast.fix_missing_locations(_Decorated().visit(ast.parse(data)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def get_data(self, path: str) -> bytes:
        return super().get_data(path.replace(".pyc", BYTECODE))

    def set_data(self, path: str, data: bytes, **how: Any) -> None:
        super().set_data(path.replace(".pyc", BYTECODE), data, **how)


class _Decorated(ast.NodeTransformer):
    """Put the decorator innermost on functions, before others wrap or keep them, and outermost on
    classes, after @dataclass.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list.append(ast.Name(CHECK, ast.Load()))
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.decorator_list.insert(0, ast.Name(CHECK, ast.Load()))
        return self.generic_visit(node)
