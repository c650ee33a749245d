"""A station without a robot: it does what the test wants, and says what it was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from robot.demo.picture import PictureStation, picture_of
from robot.demo.session import Session
from robot.demo.state import Abilities, Choice, Found, State
from robot.demo.station import Ending, Moment
from robot.spaces import Camera
from robot.types import Frame, Goal, InputError

SIDE = 32
PATIENCE_S = 60.0  # of a busy computer: waited for in vain only where a test fails


@dataclass
class FakeStation:
    """Acts until it has made `steps` steps, or for ever."""

    steps: int | None = 3
    abilities: Abilities = field(default_factory=Abilities)
    live_s: float | None = None
    error: Exception | None = None
    source = "simulated"
    goal = "put the cup on the plate"
    estopped = ""
    cameras = (Camera("agentview", SIDE, SIDE), Camera("wrist", SIDE, SIDE))
    choice = Choice(task="place", scene="clean", seed=7, episode=0)

    def __post_init__(self) -> None:
        self.acted_on: list[Goal] = []
        self.acting = threading.Event()
        self.finds: dict[str, tuple[Found | None, str]] = {}
        self.closed = False

    def prepare(self) -> None: ...

    def look(self):
        return {camera.name: np.full((SIDE, SIDE, 3), 90, np.uint8) for camera in self.cameras}

    def frames(self):
        return tuple(Frame(camera, image) for camera, image in self.look().items())

    def arrange(self, choice: Choice) -> None:
        if choice.scene == "nowhere":
            raise InputError("got scene nowhere, expected another one")
        self.choice = choice

    def find(self, goal: Goal):
        return self.finds.get(goal.text, (None, ""))

    def act(self, goal: Goal, *, show, stopped) -> Ending:
        self.acted_on.append(goal)
        if self.error is not None:
            raise self.error
        step = 0
        while self.steps is None or step < self.steps:
            if stopped():
                return Ending("Stopped.", success=None)
            step += 1
            show(Moment(views=self.look(), step=step, status="Moving"))
            self.acting.set()
            time.sleep(0.005)
        return Ending("Done.", success=True)

    def estop(self) -> None:
        self.estopped = "pressed on the page"

    def release(self) -> None:
        self.estopped = ""

    def close(self) -> None:
        self.closed = True


class Screen:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.states: list[State] = [State()]
        self.views: list[dict] = []

    def show(self, state: State) -> None:
        self.states.append(state)

    def show_views(self, views) -> None:
        self.views.append(dict(views))

    @property
    def state(self) -> State:
        return self.states[-1]


def eventually(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, "it never was so"
        time.sleep(0.003)


@contextmanager
def session_of(station, screen=None, *, reading=None) -> Iterator[tuple[Session, Screen]]:
    """Run a session that is ready."""
    screen = screen or Screen()
    session = Session(
        lambda: station,
        pictures=lambda data: PictureStation(picture_of(data), head=no_head),
        reading=lambda: reading,
        screen=screen,
    )
    session.start()
    try:
        eventually(lambda: session.state.phase == "ready")
        yield session, screen
    finally:
        session.close()
        assert not session.alive


def no_head():
    raise InputError("got no head")
