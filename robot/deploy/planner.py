"""Masks and policy beside the loop: newest observation in, chunk out. The arm never waits for them.

The planner sees one observation at a time and always the newest; what it is doing, for how long,
and why it failed can be asked at any moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import UInt8

from robot.agent import Plan
from robot.perception.compose.masking import labels_from_mask
from robot.policy.inpainting import Prefix
from robot.types import Observation

WARM_UP = 3  # plans
NICE = 5  # of the planning thread: the loop's goes first


class Plans(Protocol):
    """What plans: an Agent, or the client of a server. One that has `check()` raises there what is
    known to be wrong before it is asked again.
    """

    def plan(
        self,
        observation: Observation,
        *,
        generator: torch.Generator | None = None,
        prefix: Prefix | None = None,
    ) -> Plan: ...


@dataclass(frozen=True)
class Request:
    """An observation to plan for; `start` is the control step that it belongs to."""

    observation: Observation
    start: int
    prefix: Prefix | None = None
    generation: int = 0  # of the goal: answers to an older one are dropped


@dataclass(frozen=True)
class Answer:
    """A plan, the request that it answers, and when it was there."""

    plan: Plan
    request: Request
    began_s: float
    time_s: float
    labels: Mapping[str, UInt8[np.ndarray, "h w"]]  # what the masks say of every pixel

    @property
    def latency_s(self) -> float:
        """Return the time since the observation was made, sensors included."""
        return self.time_s - self.request.observation.time_s


class Planner(Protocol):
    """What plans beside the loop. No call waits."""

    def offer(self, request: Request) -> bool: ...

    def take(self) -> Answer | None: ...

    @property
    def busy_s(self) -> float: ...

    @property
    def idle(self) -> bool: ...


class NoPlanner:
    """Plans nothing: a person has the arm."""

    busy_s = 0.0
    idle = True

    def offer(self, request: Request) -> bool:
        return True

    def take(self) -> Answer | None:
        return None


class AsyncPlanner:
    """A thread that plans. `offer`, `take` and `busy_s` return at once."""

    def __init__(
        self,
        agent: Plans,
        *,
        seed: int = 0,
        now: Callable[[], float] = time.monotonic,
        delay_s: float = 0.0,
    ) -> None:
        """`delay_s` is added to every plan: the latency of a slower computer or network."""
        self.agent, self._now, self._delay_s = agent, now, delay_s
        self._check: Callable[[], None] = getattr(agent, "check", lambda: None)
        self._generator = torch.Generator().manual_seed(seed)
        self._wake = threading.Condition()
        self._request: Request | None = None
        self._answer: Answer | None = None
        self._failure: Exception | None = None
        self._began_s: float | None = None
        self._ends = False
        self._thread: threading.Thread | None = None

    def start(self, *, warm_up: Observation | None = None) -> None:
        """Start the thread; plan for `warm_up` some times before, which loads, compiles and
        allocates, and is counted nowhere.
        """
        if warm_up is not None:
            for _ in range(WARM_UP):
                self.agent.plan(warm_up)
        self._thread = threading.Thread(target=self._run, name="planner", daemon=True)
        self._thread.start()

    def offer(self, request: Request) -> bool:
        """Plan for this observation as soon as the planner is free; replaces one that waits.
        Return whether it is free now.
        """
        with self._wake:
            self._request = request
            self._wake.notify()
            return self._began_s is None

    def take(self) -> Answer | None:
        """Return the newest answer, once. Raise what planning raised."""
        with self._wake:
            failure, self._failure = self._failure, None
            answer, self._answer = self._answer, None
            if self._began_s is None and failure is None:
                self._check()
        if failure is not None:
            raise failure
        return answer

    @property
    def busy_s(self) -> float:
        """Return for how long it has been planning; 0 where it waits."""
        began = self._began_s
        return 0.0 if began is None else self._now() - began

    @property
    def idle(self) -> bool:
        """Return whether nothing is being planned or waits to be."""
        with self._wake:
            return self._began_s is None and self._request is None and self._answer is None

    def stop(self, *, timeout_s: float = 1.0) -> None:
        """End the thread; one that hangs is left behind."""
        with self._wake:
            self._ends = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        with suppress(OSError):  # Linux: nice is per thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            with self._wake:
                while self._request is None and not self._ends:
                    self._wake.wait()
                if self._ends:
                    return
                request, self._request = self._request, None
                self._began_s = began = self._now()
            assert request is not None
            answer: Answer | None = None
            failure: Exception | None = None
            try:
                plan = self.agent.plan(
                    request.observation, generator=self._generator, prefix=request.prefix
                )
                if self._delay_s:
                    time.sleep(self._delay_s)
                labels = labels_of(plan, request.observation)
                answer = Answer(plan, request, began_s=began, time_s=self._now(), labels=labels)
            except Exception as error:  # the loop decides what a failure means
                failure = error
            with self._wake:
                self._began_s = None
                self._answer, self._failure = answer or self._answer, failure


def labels_of(plan: Plan, observation: Observation) -> dict[str, UInt8[np.ndarray, "h w"]]:
    """Return the role of every pixel of every camera that the plan's masks cover."""
    return {
        frame.camera: labels_from_mask(torch.from_numpy(roles)[None])[0].numpy()
        for frame, roles in zip(observation.frames, plan.mask.probability, strict=False)
    }
