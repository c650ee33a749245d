"""A robot in front of the page, driven by the deployment loop: a person confirms before anything
moves, and the emergency stop reaches the arm from any thread at once.
"""

from __future__ import annotations

from collections.abc import Callable

from robot.demo.state import Abilities, Choice, Found, Source, found_in, found_of
from robot.demo.station import Agents, Ending, Moment, Show, Stopped, Views, why_not_acted_on
from robot.deploy.history import Outcome
from robot.deploy.loop import Loop
from robot.deploy.operator import NOTHING, Intent
from robot.deploy.options import LoopOptions
from robot.deploy.planner import AsyncPlanner
from robot.deploy.rig import Look, Rig
from robot.deploy.robots import Robot
from robot.deploy.status import Status
from robot.deploy.viewer import Viewer
from robot.hardware.arm import ArmError
from robot.hardware.camera import CameraError
from robot.hardware.limits import SafetyLimits
from robot.spaces import Camera
from robot.system.priority import prompt
from robot.types import Frame, Goal, InputError

LIVE_S = 0.1  # between two looks at rest
STARTING = "pick up the red cup"  # what is planned for once before anything moves, and not done


class RobotStation:
    """An arm and its cameras behind the safety layer."""

    source: Source = "robot"
    live_s: float | None = LIVE_S

    def __init__(
        self,
        robot: Robot,
        agents: Callable[[], Agents],
        *,
        kind: str,
        safety: SafetyLimits,
        choice: Choice,
        episode_s: float,
    ) -> None:
        """Connect to the arm and its cameras; nothing moves."""
        self._robot, self._load, self._episode_s = robot, agents, episode_s
        self.abilities = Abilities(
            confirms=True,
            arranges=robot.arrange is not None,
            limits=f"{kind}: at most {safety.max_speed_m_s:g} m/s, in the box "
            f"{safety.workspace_low_m} to {safety.workspace_high_m} m.",
        )
        self._choice, self.goal = choice, ""
        robot.connect()
        self._rig = Rig(robot.arm, robot.cameras, table_m=robot.table_m)
        self._planner: AsyncPlanner | None = None
        if robot.arrange is not None:
            self.arrange(choice)

    @property
    def cameras(self) -> tuple[Camera, ...]:
        return self._rig.spaces.cameras

    @property
    def choice(self) -> Choice | None:
        return self._choice if self.abilities.arranges else None

    def prepare(self) -> None:
        self.agents = self._load()
        self._planner = AsyncPlanner(self.agents, seed=self._choice.seed)
        self._planner.start(warm_up=self._rig.observe(self.goal or STARTING).observation)
        self._loop = Loop(
            self._rig,
            self._planner,
            options=LoopOptions(),
            goal=self.goal,
            succeeded=self._robot.succeeded,
        )

    @property
    def estopped(self) -> str:
        return self._robot.arm.estopped

    def look(self) -> Views:
        return views_of(self._observe())

    def frames(self) -> tuple[Frame, ...]:
        return self._observe().observation.frames

    def arrange(self, choice: Choice) -> None:
        """Arrange the simulated world of another episode; task, scene and seed stay."""
        assert self._robot.arrange is not None
        self._robot.arm.stop()
        self.goal = self._robot.arrange(choice.episode)
        self._choice = choice
        self._rig.forget()

    def find(self, goal: Goal) -> tuple[Found | None, str]:
        agent = self.agents.for_goal(goal)
        if why := why_not_acted_on(goal, agent):
            return None, why
        mask = agent.masks(self._observe().observation.frames, goal)
        return found_of(mask, self.cameras), agent.reader.read(goal.text).note

    def act(self, goal: Goal, *, show: Show, stopped: Stopped) -> Ending:
        """Run one episode of the loop. `show` is called by the thread of its viewer."""
        if why := why_not_acted_on(goal, self.agents.for_goal(goal)):
            return Ending(why, success=None)
        if self._robot.arm.estopped:
            raise InputError("got the emergency stop pressed; release it before the arm moves")
        self.agents.reset()
        loop = self._loop
        loop.status, loop.operator = None, PageOperator(stopped)
        loop.change_goal(goal.text, regions=goal.regions)
        viewer = Viewer(loop, PageSink(show))
        try:
            with prompt():
                outcome = loop.run_episode(limit_s=self._episode_s)
        except ArmError as error:
            raise InputError(str(error)) from error
        finally:
            viewer.close()
        return ending_of(outcome, dt_s=loop.dt_s)

    def estop(self) -> None:
        self._robot.arm.estop("pressed on the page")

    def release(self) -> None:
        self._robot.arm.release()

    def close(self) -> None:
        if self._planner is not None:
            self._planner.stop()
        self._robot.disconnect()

    def _observe(self) -> Look:
        try:
            return self._rig.observe(self.goal)
        except (ArmError, CameraError) as error:
            raise InputError(str(error)) from error


class PageOperator:
    """The person at the page, as the loop asks for him: he stops. His emergency stop goes to the
    arm itself.
    """

    def __init__(self, stopped: Stopped) -> None:
        self._stopped = stopped

    def poll(self, *, gripper: float) -> Intent:
        return Intent(ends=True) if self._stopped() else NOTHING

    def ask(self, question: str) -> str:
        """Answer no: the page asks before the loop begins."""
        return "no"

    def begins(self, *, gripper: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class PageSink:
    """Shows the loop's status on the page, in the viewer's thread."""

    period_s = 0.05

    def __init__(self, show: Show) -> None:
        self._show, self._step = show, -1

    def show(self, loop: Loop, status: Status) -> None:
        if status.step == self._step or status.look is None:
            return
        self._step = status.step
        self._show(
            Moment(
                views=views_of(status.look),
                step=status.step,
                status=words_of(status),
                found=found_in(status.labels or {}, status=status.mask_status),
            )
        )

    def close(self) -> None:
        """Do nothing."""


def views_of(look: Look) -> Views:
    return {frame.camera: frame.image for frame in look.observation.frames}


def words_of(status: Status) -> str:
    """Return what the robot is doing, and why not."""
    if status.mode == "policy":
        return "Moving" if status.mask_status == "found" else "Looking for it"
    return f"Holding: {status.why}" if status.why else "Holding"


def ending_of(outcome: Outcome, *, dt_s: float) -> Ending:
    """Return how an episode ended, as a sentence."""
    seconds = f"{outcome.steps * dt_s:.1f} s"
    match outcome.ended:
        case "success":
            return Ending(f"Done in {seconds}.", success=True)
        case "ended by a person":
            return Ending("Stopped.", success=None)
        case "time limit":
            judged = outcome.success is not None
            text = f"Not done after {seconds}." if judged else f"I stop after {seconds}."
            return Ending(text, success=outcome.success)
        case fault:
            return Ending(f"I stopped: {fault}.", success=None)
