"""The conversation between a page and a station: commands in, states and pictures out.

One thread owns the station (a simulator's GL context, a camera, an arm) and does one thing at a
time; `stop` and the emergency stop reach it from any other at once.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from robot.demo import commands as c
from robot.demo.picture import PictureStation
from robot.demo.reading import Reading
from robot.demo.state import (
    Choice,
    Phase,
    State,
    Turn,
    box_in,
    free_index,
    point_in,
    with_region,
    with_turn,
    without_region,
)
from robot.demo.station import Moment, Station, Views
from robot.perception.regions.everything import Segment
from robot.perception.regions.goals import has_regions
from robot.types import Frame, Goal, InputError, Region
from robot.words.reader import shortened
from robot.words.regions import indices_in

WAITING = 64  # commands; more are refused
AT_REST_S = 0.5  # without a command, until the thread looks whether it has to end
MOVING = "the robot is moving; press Stop first"
log = logging.getLogger(__name__)


class Screen(Protocol):
    """Where states and pictures go. Calls come from the session's thread and return at once."""

    def show(self, state: State) -> None: ...

    def show_views(self, views: Views) -> None: ...


class Session:
    """What happens on a page. `submit` takes commands from any thread."""

    def __init__(
        self,
        make: Callable[[], Station],
        *,
        pictures: Callable[[bytes], PictureStation],
        reading: Callable[[], Reading | None],
        screen: Screen,
    ) -> None:
        """All three are called in the session's thread; without a reader, nothing is read."""
        self._make, self._pictures, self._screen = make, pictures, screen
        self._load_reading = reading
        self._reading: Reading | None = None
        self._blind = ""  # why the cameras show nothing
        self._remark = ""  # on the goal that is typed
        self._commands: queue.Queue[tuple[c.Command, int]] = queue.Queue(WAITING)
        self._ends = threading.Event()
        self._stops = 0  # so far: one that came after a goal ends it, even before it has begun
        self._station: Station | None = None  # the scene or the robot
        self._picture: PictureStation | None = None  # in front of it
        self.state = State(status="Setting up the scene")
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self.failure: BaseException | None = None  # of the station: the command ends with it

    # --- from any thread

    def start(self) -> None:
        self._thread.start()

    def submit(self, command: c.Command) -> None:
        """Do a command: stops at once, all else in order. InputError while it cannot be done."""
        match command:
            case c.Stop():
                self._stops += 1
            case c.EmergencyStop():
                self._stops += 1
                if self._station is not None:
                    self._station.estop()
            case _ if self.state.phase == "acting" and not isinstance(command, c.Release):
                raise InputError(MOVING)
            case _:
                try:
                    self._commands.put_nowait((command, self._stops))
                except queue.Full:
                    raise InputError("got more than I can follow; wait a moment") from None

    def leave(self) -> None:
        """Stop a robot that nobody watches: the last page is gone."""
        if self.state.abilities.confirms:
            self._stops += 1

    def close(self, *, timeout_s: float = 4.0) -> None:
        """Stop, and end the thread and the station."""
        self._ends.set()
        self._stops += 1
        self._thread.join(timeout_s)

    # --- the session's thread

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def station(self) -> Station:
        station = self._picture or self._station
        assert station is not None
        return station

    def _run(self) -> None:
        try:
            self._station = self._make()
            self._show_station(phase="loading", status="Loading the policy")
            self._station.prepare()
            self._reading = self._load_reading()
            self._show_station()
            while not self._ends.is_set():
                self._serve_one()
        except BaseException as error:
            self.failure = error
            log.exception("the station failed")
            self._update(phase="loading", problem=f"the station failed: {error}")
        finally:
            if self._station is not None:
                self._station.close()

    def _serve_one(self) -> None:
        live_s = self.station.live_s
        try:
            command, stops = self._commands.get(timeout=AT_REST_S if live_s is None else live_s)
        except queue.Empty:
            if live_s is not None:
                self._show_live()
            return
        try:
            if self.state.problem and not isinstance(command, c.Preview):
                self._update(problem="")
            self._do(command, stops=stops)
        except InputError as error:
            self._update(phase="ready", status="Ready", problem=str(error))
        except Exception:  # ours: its traceback is for the log
            number = secrets.token_hex(4)
            log.exception("error %s", number)
            self._update(
                phase="ready",
                status="Ready",
                problem=f"that failed; its traceback is in the command's log, error {number}",
            )

    def _show_live(self) -> None:
        """Show what the cameras see now, or why they do not, for as long as they do not."""
        if self.station.estopped != self.state.estopped:
            self._update(estopped=self.station.estopped)
        try:
            self._screen.show_views(self.station.look())
            blind = ""
        except InputError as error:
            blind = str(error)
        if blind != self._blind and self.state.problem in ("", self._blind):
            self._update(problem=blind)
        self._blind = blind

    def _do(self, command: c.Command, *, stops: int) -> None:
        match command:
            case c.Preview(text=text):
                if self._commands.empty():  # else something newer waits
                    self._preview(text)
            case c.Go(text=text, confirmed=confirmed):
                self._go(text, confirmed=confirmed, stops=stops)
            case c.Release():
                self.station.release()
                self._update(estopped=self.station.estopped)
            case c.Arrange():
                self._arrange(command)
            case c.AddBox(camera=camera, box=box, index=index):
                self._add(camera, index, box=box)
            case c.AddClick(camera=camera, x=x, y=y, index=index):
                self._add(camera, index, click=(x, y))
            case c.Remove(index=index):
                self._change_regions(without_region(self.state, index))
            case c.Ask(text=text):
                self._ask(text)
            case c.Segment(camera=camera, granularity=granularity, hides=hides):
                segments = () if hides else self._segments(camera, granularity)
                self._update(segments=segments)
            case c.Picture(data=data):
                self._picture = self._pictures(data)
                self._show_station()
            case c.Leave():
                self._picture = None
                self._show_station()

    def _preview(self, text: str) -> None:
        """Show what a goal means, as it is typed, and which words count for nothing: half a
        sentence is no mistake.
        """
        found, remark = None, ""
        with suppress(InputError):
            goal = self._goal_of(text)
            found, remark = self.station.find(goal) if text.strip() else (None, "")
        remark = remark if found else ""
        status = self.state.status if remark == self._remark else remark or "Ready"
        self._remark = remark
        self._update(found=found, status=status)

    def _go(self, text: str, *, confirmed: bool, stops: int) -> None:
        station = self.station
        if not station.abilities.acts:
            raise InputError("a picture has no arm; go back to the scene to move")
        goal = self._goal_of(text)
        if station.abilities.confirms and not confirmed:
            raise InputError("the arm moves only after you said that its workspace is clear")
        self._set(with_turn(self.state, Turn("you", goal.text, "goal")))
        self._update(phase="acting", status="Reading the goal", success=None, step=0)
        began = time.monotonic()
        ending = station.act(goal, show=self._show_moment, stopped=lambda: self._stops != stops)
        log.info("%s: %s (%.1f s)", goal.text, ending.text, time.monotonic() - began)
        self._update(
            turns=with_turn(self.state, Turn("robot", ending.text, "outcome")).turns,
            phase="ready",
            status=ending.text,
            success=ending.success,
            estopped=station.estopped,
            regions=(),  # where things were
            records=(),
            segments=(),
        )
        self._show_live()

    def _goal_of(self, text: str) -> Goal:
        """Return the goal that a text makes of the regions that it refers to."""
        text = " ".join(text.split())
        if not text:
            raise InputError('got no goal, expected words, such as "pick up the red cup"')
        named = indices_in(text)
        regions = tuple(region for region in self.state.regions if region.index in named)
        missing = sorted(set(named) - {region.index for region in regions})
        if missing:
            raise InputError(
                f"got region {missing[0]} in {shortened(text)!r}, which is not drawn; draw it, or "
                "leave it out"
            )
        goal = Goal(text, regions)
        if has_regions(goal) and not self.station.abilities.takes_regions:
            raise InputError("got a region, and this robot takes words only; say it in words")
        return goal

    def _arrange(self, asked: c.Arrange) -> None:
        now = self.station.choice
        if not self.station.abilities.arranges or now is None:
            raise InputError("there is no other scene here; arrange the table by hand")
        changed = {key: value for key, value in vars(asked).items() if value is not None}
        self._update(phase="loading", status="Setting up the scene")
        self.station.arrange(Choice(**{**vars(now), **changed}))
        self._show_station()

    def _add(self, camera: str, index: int | None, **place: Any) -> None:
        shown = next((one for one in self.state.cameras if one.name == camera), None)
        if shown is None:
            names = ", ".join(one.name for one in self.state.cameras)
            raise InputError(f"got camera {camera!r}, expected one of {names}; draw in one")
        if "box" in place:
            place["box"] = box_in(shown, place["box"])
        number = index or free_index(self.state.regions)
        region = point_in(shown, Region(camera, index=number, **place))
        if self._reading is not None:
            frame = self._frame(camera)
            region = self._reading.with_mask(frame, region, self.state.segments)
        self._change_regions(with_region(self.state, region))

    def _change_regions(self, state: State) -> None:
        """Show other regions, and what is said of them."""
        records: list[dict[str, Any]] = []
        if self._reading is not None and state.regions:
            records = self._reading.records(self.station.frames(), state.regions)
        self._set(replace(state, records=tuple(records)))

    def _segments(self, camera: str, granularity: str | None) -> tuple[Segment, ...]:
        return self._reader().segments(self._frame(camera), granularity)

    def _ask(self, text: str) -> None:
        reading, question = self._reader(), " ".join(text.split())
        if not question:
            raise InputError('got no question, expected words, such as "what is region 1?"')
        answer = reading.ask(self.station.frames(), self.state.regions, question)
        asked = with_turn(self.state, Turn("you", question, "question"))
        self._set(with_turn(asked, Turn("robot", answer, "answer")))

    def _reader(self) -> Reading:
        if self._reading is None:
            raise InputError("there are no weights here that read regions; say a goal instead")
        return self._reading

    def _frame(self, camera: str) -> Frame:
        frame = next((one for one in self.station.frames() if one.camera == camera), None)
        if frame is None:
            raise InputError(f"got camera {camera!r}, which shows nothing now; choose another one")
        return frame

    def _show_station(self, *, phase: Phase = "ready", status: str = "Ready") -> None:
        """Show what is new in front of the page: regions and masks of before mean nothing there."""
        station = self.station
        if self._reading is not None:
            self._reading.begin()
        self._update(
            phase=phase,
            status=status,
            source=station.source,
            abilities=replace(station.abilities, reads=self._reading is not None),
            cameras=station.cameras,
            choice=station.choice,
            goal=station.goal,
            regions=(),
            records=(),
            segments=(),
            found=None,
            success=None,
            problem="",
        )
        self._show_live()

    def _show_moment(self, moment: Moment) -> None:
        self._screen.show_views(moment.views)
        changed = {
            "step": moment.step,
            "status": moment.status,
            "estopped": self.station.estopped,
        }
        if moment.found is not None:
            changed["found"] = moment.found
        self._update(**changed)

    def _update(self, **changed: object) -> None:
        self._set(replace(self.state, **changed))  # type: ignore[arg-type]

    def _set(self, state: State) -> None:
        self.state = state
        self._screen.show(state)
