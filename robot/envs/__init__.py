"""Every environment, registered with Gymnasium: `import robot.envs`, then
`gymnasium.make("robot/pick-v0")`.

Importing costs next to nothing: robosuite is loaded when an environment is made.
"""

from __future__ import annotations

import logging

import gymnasium

from robot.envs.registry import HORIZONS, LIBERO, NATIVE, TASKS

# robosuite warns of optional packages at every import, in every process; a filter outlives the
# level that it then sets.
logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)


def gym_id(task: str) -> str:
    """Return the Gymnasium id of a task."""
    return f"robot/{task}-v0"


ENTRY_POINTS = dict.fromkeys(LIBERO, "robot.envs.libero.env:LiberoEnv")

for _task in (*TASKS, *NATIVE, *LIBERO):
    if gym_id(_task) not in gymnasium.registry:  # a module reloaded registers nothing twice
        gymnasium.register(
            id=gym_id(_task),
            entry_point=ENTRY_POINTS.get(_task, "robot.envs.robosuite:RobosuiteEnv"),
            max_episode_steps=HORIZONS[_task],
            kwargs={"task": _task},
        )
