"""Measure our rendering against robosuite's own camera observations, on the same states of the same
scene, in one run.

    python benchmarks/render.py [--states 60] [--size 128] [--seed 0]

Both give RGB and an instance segmentation of two cameras, in turns, state by state. Reported are
the medians of the wall times per state, and beside them the ratio of processor time (all threads),
which a busy machine distorts least. The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from robot.envs.decimate import accelerate
from robot.envs.gl import require_gl
from robot.envs.render import SceneRenderer
from robot.types import InputError

CAMERAS = ("agentview", "robot0_eye_in_hand")
CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class View:
    """One camera: RGB and instance ids (0 is the scene, i > 0 the i-th instance), both upright."""

    rgb: np.ndarray
    instances: np.ndarray


@dataclass(frozen=True)
class Pair:
    """The same state and camera, drawn by both."""

    robosuite: View
    ours: View


def main() -> int:
    """Run the comparison; return the exit code."""
    options = _arguments()
    try:
        if options.states < 2 or options.size < 16 or options.faces < 4:
            raise InputError(
                f"got --states {options.states} --size {options.size} --faces {options.faces}, "
                "expected at least 2, 16 and 4;"
                " pass larger numbers."
            )
        backend = require_gl()  # before robosuite is imported
        results, pairs = compare(
            states=options.states, size=options.size, faces=options.faces, seed=options.seed
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path(options.runs) / f"{time.strftime('%Y-%m-%d-%H%M%S')}-bench-render"
    folder.mkdir(parents=True)
    side_by_side(pairs).save(folder / "side-by-side.png")
    (folder / "results.json").write_text(
        json.dumps({**results, "backend": backend, **vars(options)}, indent=2) + "\n"
    )
    _print_table(results, backend=backend, size=options.size)
    if (
        results["load_average"] > (os.cpu_count() or 1) + 1
    ):  # this benchmark itself keeps about one core busy
        CONSOLE.print(
            "The machine is busy, which lengthens long frames most: trust the ratio of processor "
            "time.",
            style="yellow",
        )
    print(folder / "results.json")
    return 0


def compare(
    *, states: int, size: int, faces: int, seed: int
) -> tuple[dict[str, float], list[Pair]]:
    """Render every state with both, in turns; return the numbers and what was drawn."""
    from robosuite.environments.manipulation.lift import Lift

    quiet = {"robots": "Panda", "has_renderer": False, "hard_reset": False, "seed": seed}
    fast = accelerate(Lift, faces=faces)(
        has_offscreen_renderer=False, use_camera_obs=False, **quiet
    )
    views = {
        "camera_names": list(CAMERAS),
        "camera_heights": size,
        "camera_widths": size,
        "camera_segmentations": "instance",
    }
    slow = Lift(use_camera_obs=True, **views, **quiet)
    trajectory = lift_states(fast, count=states)
    renderer = SceneRenderer(fast.sim.model._model, height=size, width=size)
    draw_robosuite, draw_ours = _robosuite_views(slow), _our_views(fast, renderer)
    pairs: list[Pair] = []
    seconds: list[tuple[np.ndarray, np.ndarray]] = []
    for i, state in enumerate(
        track([trajectory[0], *trajectory], description="rendering", console=CONSOLE)
    ):
        theirs, their_s = _timed(slow, state, draw_robosuite)
        ours, our_s = _timed(fast, state, draw_ours)
        if i > 0:  # the first round compiles shaders
            pairs += [Pair(robosuite=a, ours=b) for a, b in zip(theirs, ours, strict=True)]
            seconds.append((their_s, our_s))
    renderer.close()
    return summarise(pairs, np.array(seconds)), pairs


def lift_states(env: Any, *, count: int) -> list[np.ndarray]:
    """Return `count` states, in order, of a scripted attempt to reach, grasp and lift the cube."""
    env.reset()
    states = []
    for step in range(count):
        states.append(env.sim.get_state().flatten())
        cube = np.array(env.sim.data.body_xpos[env.cube_body_id])
        hand = np.array(env.sim.data.site_xpos[env.robots[0].eef_site_id["right"]])
        phase = 3 * step / count  # reach, grasp, lift
        target = cube + np.array([0, 0, 0.08 if phase < 1 else 0.0 if phase < 2 else 0.2])
        action = np.concatenate(
            [np.clip(15 * (target - hand), -1, 1), np.zeros(3), [-1.0 if phase < 1.6 else 1.0]]
        )
        env.step(action)
    return states


def _robosuite_views(env: Any) -> Callable[[], list[View]]:
    names = [
        f"{camera}_{kind}" for camera in CAMERAS for kind in ("image", "segmentation_instance")
    ]
    for name in env.observation_names - set(names):  # time the cameras, not proprioception
        env.modify_observable(name, "enabled", False)
        env.modify_observable(name, "active", False)

    def views() -> list[View]:
        # robosuite takes the current context for its own
        env.sim._render_context_offscreen.gl_ctx.make_current()
        observation = env._get_observations(force_update=True)
        return [
            View(
                rgb=observation[f"{camera}_image"][::-1],
                instances=observation[f"{camera}_segmentation_instance"][::-1, :, 0],
            )
            for camera in CAMERAS
        ]

    return views


def _our_views(env: Any, renderer: SceneRenderer) -> Callable[[], list[View]]:
    instance_of = np.zeros(
        env.sim.model._model.ngeom + 1, dtype=np.int32
    )  # the last entry is geom -1: nothing
    numbers = {name: i + 1 for i, name in enumerate(env.model.instances_to_ids)}
    for geom, instance in env.model.geom_ids_to_instances.items():
        instance_of[geom] = numbers[instance]

    def views() -> list[View]:
        drawn = [
            renderer.render(env.sim.data._data, camera, segmentation=True) for camera in CAMERAS
        ]
        return [
            View(rgb=np.asarray(view.rgb), instances=instance_of[view.geom_ids]) for view in drawn
        ]

    return views


def _timed(
    env: Any, state: np.ndarray, draw: Callable[[], list[View]]
) -> tuple[list[View], np.ndarray]:
    """Return the views of a state and how long drawing took: wall and processor seconds."""
    env.sim.set_state_from_flattened(state)
    env.sim.forward()
    start_s = np.array([time.perf_counter(), time.process_time()])
    views = draw()
    return views, np.array([time.perf_counter(), time.process_time()]) - start_s


def summarise(pairs: list[Pair], seconds: np.ndarray) -> dict[str, float]:
    """Return frames per second of both, their ratio, and how much the pictures differ (colours
    0..255).

    `seconds`: (states, robosuite and ours, wall and processor).
    """
    (robosuite_s, robosuite_cpu_s), (ours_s, ours_cpu_s) = np.median(seconds, axis=0)
    difference = np.stack(
        [np.abs(pair.robosuite.rgb.astype(float) - pair.ours.rgb).mean(axis=-1) for pair in pairs]
    )
    theirs, ours = (
        np.stack([getattr(pair, who).instances for pair in pairs]) for who in ("robosuite", "ours")
    )
    return {
        "ratio": robosuite_s / ours_s,
        "cpu_ratio": robosuite_cpu_s / ours_cpu_s,
        "load_average": os.getloadavg()[0],
        "ours_fps": len(CAMERAS) / ours_s,
        "robosuite_fps": len(CAMERAS) / robosuite_s,
        "mean_colour_difference": float(difference[(theirs > 0) & (theirs == ours)].mean()),
        "mean_colour_difference_everywhere": float(difference.mean()),
        "segmentation_agreement": float((theirs == ours).mean()),
    }


def side_by_side(pairs: list[Pair], *, columns: int = 4, gap: int = 4) -> Image.Image:
    """Draw states from start to end: per camera a row of robosuite's pictures above a row of ours,
    enlarged twice.
    """
    chosen = np.linspace(0, len(pairs) // len(CAMERAS) - 1, columns).astype(int)
    rows = []
    for camera in range(len(CAMERAS)):
        for who in ("robosuite", "ours"):
            images = [getattr(pairs[len(CAMERAS) * state + camera], who).rgb for state in chosen]
            rows.append(
                np.concatenate([np.pad(im, ((gap, 0), (gap, 0), (0, 0))) for im in images], axis=1)
            )
    sheet = Image.fromarray(np.concatenate(rows, axis=0))
    return sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST)


def _print_table(results: dict[str, float], *, backend: str, size: int) -> None:
    table = Table(
        title=f"Lift, {' + '.join(CAMERAS)}, RGB + instance segmentation, {size} px, {backend}"
    )
    for heading in ("renderer", "camera frames/s", "ms per frame"):
        table.add_column(heading, justify="left" if heading == "renderer" else "right")
    for name in ("robosuite", "ours"):
        fps = results[f"{name}_fps"]
        table.add_row(name, f"{fps:.1f}", f"{1000 / fps:.2f}")
    table.add_row("ratio", f"{results['ratio']:.1f}x", "")
    table.add_row("ratio of processor time", f"{results['cpu_ratio']:.1f}x", "")
    table.add_row("load average of the machine", f"{results['load_average']:.1f}", "")
    table.add_row(
        "colour difference on objects (0..255)", f"{results['mean_colour_difference']:.2f}", ""
    )
    table.add_row("pixels with the same instance", f"{results['segmentation_agreement']:.2%}", "")
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--states", type=int, default=60, help="states of the Lift sequence to render"
    )
    parser.add_argument("--size", type=int, default=128, help="image height and width in pixels")
    parser.add_argument("--faces", type=int, default=400, help="faces per decimated mesh")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs", help="folder under which results are written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
