"""From the agent's hand into a person's and back without a jump."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float32

Hand = Literal["agent", "operator"]


def blend(
    agent_action: Float32[np.ndarray, " a"],
    operator_action: Float32[np.ndarray, " a"],
    since_s: float,
    *,
    to: Hand,
    blend_s: float,
    previous: Float32[np.ndarray, " a"],
    step_limit: Float32[np.ndarray, " a"],
) -> Float32[np.ndarray, " a"]:
    """Return the action `since_s` after a person has taken over (`to` operator) or handed back.

    Within `blend_s` it passes from the old hand's to the new hand's. From `previous`, the action
    that was sent last, no value changes by more than `step_limit`, whatever the two want and
    whenever the hands change, also in the middle of a blend. A value of the old hand that is not
    finite (its policy has crashed, say) counts as `previous`; one of the new hand is a ValueError.
    """
    old, new = (
        (agent_action, operator_action) if to == "operator" else (operator_action, agent_action)
    )
    if not np.isfinite(new).all():
        raise ValueError(f"got {new.tolist()} as the action of the {to}")
    share = share_of(since_s, blend_s=blend_s)
    leaving = np.where(np.isfinite(old), old, previous)
    wanted = new if share >= 1.0 else (1 - share) * leaving + share * new
    change = np.clip(wanted - previous, -step_limit, step_limit)
    return (previous + change).astype(np.float32)


def share_of(since_s: float, *, blend_s: float) -> float:
    """Return the new hand's share of the action: 0 at first, 1 after `blend_s`, with no corner at
    either end.
    """
    t = 1.0 if blend_s <= 0 else float(np.clip(since_s / blend_s, 0.0, 1.0))
    return t * t * (3 - 2 * t)


class HandOver:
    """Who has the arm, and `blend` for as long as a change of hands takes: until `blend_s` is over
    and what is sent is what the new hand wants. From then on its actions pass unchanged.

        sent = hands.action(agent, operator, hand="operator", now_s=now_s)
    """

    def __init__(self, *, blend_s: float, step_limit: Float32[np.ndarray, " a"]) -> None:
        self._blend_s, self._step_limit = blend_s, step_limit
        self._hand: Hand | None = None
        self._since_s = 0.0
        self._previous: Float32[np.ndarray, " a"] | None = None
        self.is_changing = False

    def action(
        self,
        agent_action: Float32[np.ndarray, " a"],
        operator_action: Float32[np.ndarray, " a"],
        *,
        hand: Hand,
        now_s: float,
    ) -> Float32[np.ndarray, " a"]:
        """Return the action to send in this control step."""
        if hand != self._hand:
            self.is_changing = self._previous is not None
            self._hand, self._since_s = hand, now_s
        wanted = agent_action if hand == "agent" else operator_action
        sent = wanted
        if self.is_changing and self._previous is not None:
            since_s = now_s - self._since_s
            sent = blend(
                agent_action,
                operator_action,
                since_s,
                to=hand,
                blend_s=self._blend_s,
                previous=self._previous,
                step_limit=self._step_limit,
            )
            self.is_changing = since_s < self._blend_s or not np.allclose(sent, wanted, atol=1e-6)
        self._previous = sent
        return sent
