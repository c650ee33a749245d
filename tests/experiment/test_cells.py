"""Cell by cell: finished cells are files, a kill loses what was in flight, every arm meets the same
episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from robot.envs.make import EnvOptions
from robot.experiment import cells as stage
from robot.experiment.cells import (
    Cell,
    Entrant,
    Evaluated,
    cells_of,
    evaluate_cells,
    partial_of,
    read_cell,
    write_cell,
)
from robot.perception.compose.masking import Blur, Overlay, Unmasked
from robot.report.statistics import EpisodeResult
from robot.rollout.act import Job, Outcome, Protocol
from robot.rollout.agents import AgentSpec
from robot.system.parse import Spec
from robot.types import InputError

PROTOCOL = Protocol(seed=1000, execute=8, ensemble_decay=None, env=EnvOptions(image_size=32))
EPISODES = 3


class Kill(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture
def entrants(tmp_path) -> list[Entrant]:
    """Return one arm under two training seeds, and another one."""
    (tmp_path / "models").mkdir()

    def file(name: str) -> Path:
        path = tmp_path / f"models/{name}.safetensors"
        path.write_text(name)
        return path

    def made(name: str, seed: int, **change) -> Entrant:
        return Entrant(name, seed, AgentSpec(policy=file(f"{name}-{seed}"), **change))

    masked = {"perception": "learned", "head": file("head"), "deployment": Overlay()}
    bare = {"perception": "none", "head": None, "deployment": Unmasked()}
    return [made("masked", 0, **masked), made("masked", 1, **masked), made("unmasked", 0, **bare)]


@dataclass
class Simulator:
    """Stands for the simulator: what it ran, and after how many episodes the process is killed."""

    agents: list[Path] = field(default_factory=list)
    ran: list[Job] = field(default_factory=list)
    kill_after: int | None = None

    def make_evaluator(
        self, *, agents: Sequence[AgentSpec], jobs: Sequence[Job], protocol: Protocol
    ):
        self.agents = [agent.policy for agent in agents]

        def work(item: int) -> Outcome:
            if len(self.ran) == self.kill_after:
                raise Kill
            self.ran.append(jobs[item])
            return outcome_of(jobs[item], success=agents[jobs[item].agent].perception == "learned")

        return work

    @property
    def played(self) -> list[tuple[str, str, str, int]]:
        """Return the episodes that were run, each with the name of its policy's file."""
        return [(self.agents[job.agent].stem, job.task, job.scene, job.index) for job in self.ran]


def outcome_of(job: Job, *, success: bool) -> Outcome:
    return Outcome(
        success=success,
        steps=10 + job.index,
        wrong_object=False,
        closed_on_object=True,
        mask_iou=0.9,
        plan_ms=(1.0, 2.0),
        goal=f"{job.task} {job.scene} {job.index}",
    )


@pytest.fixture
def simulator(monkeypatch) -> Simulator:
    simulated = Simulator()
    monkeypatch.setattr(stage, "make_evaluator", simulated.make_evaluator)
    return simulated


def planned(
    entrants: Sequence[Entrant],
    root: Path,
    *,
    tasks=("pick",),
    scenes=("clean", "distract"),
    protocol: Protocol = PROTOCOL,
    episodes: int = EPISODES,
) -> list[Cell]:
    return cells_of(
        entrants,
        tasks=tasks,
        scenes=scenes,
        protocol=protocol,
        episodes=episodes,
        root=root / "cells",
    )


def run(cells: Sequence[Cell], *, keep: int = 0, heard=lambda done, of: None) -> list[Evaluated]:
    return evaluate_cells(
        cells, protocol=PROTOCOL, episodes=EPISODES, keep=keep, workers=1, progress=heard
    )


def results(evaluated: Sequence[Evaluated]) -> list[EpisodeResult]:
    return [one.result for one in evaluated]


def test_every_entrant_meets_the_same_episodes(entrants, simulator, tmp_path):
    came = results(run(planned(entrants, tmp_path, tasks=("pick", "place"))))
    episodes = {
        (arm, seed): [
            (r.task, r.scene, r.seed, r.index)
            for r in came
            if (r.arm, r.training_seed) == (arm, seed)
        ]
        for arm, seed in (("masked", 0), ("masked", 1), ("unmasked", 0))
    }
    assert episodes["masked", 0] == episodes["masked", 1] == episodes["unmasked", 0]
    assert episodes["masked", 0] == [
        (task, scene, 1000, index)
        for task in ("pick", "place")
        for scene in ("clean", "distract")
        for index in range(3)
    ]


def test_episodes_come_in_the_order_of_their_cells(entrants, simulator, tmp_path):
    came = results(run(planned(entrants, tmp_path)))
    assert [(r.arm, r.training_seed, r.scene) for r in came[::EPISODES]] == [
        (name, seed, scene)
        for name, seed in (("masked", 0), ("masked", 1), ("unmasked", 0))
        for scene in ("clean", "distract")
    ]


def backwards(make_work, items, *, workers):
    work = make_work()
    return ((item, work(item)) for item in reversed(items))


def test_an_outcome_stays_with_its_episode_whatever_order_they_are_done_in(
    entrants, simulator, tmp_path, monkeypatch
):
    monkeypatch.setattr(stage, "parallel_map", backwards)
    came = run(planned(entrants, tmp_path))
    assert simulator.played[0] == ("unmasked-0", "pick", "distract", 2)
    assert len(came) == 3 * 2 * EPISODES
    for one in came:
        result = one.result
        assert result.goal == f"{result.task} {result.scene} {result.index}"
        assert one.outcome is not None and one.outcome.goal == result.goal
        assert (result.steps, result.success) == (10 + result.index, result.arm == "masked")


def test_every_entrant_acts_with_its_own_policy(entrants, simulator, tmp_path):
    run(planned(entrants, tmp_path, scenes=("clean",)))
    names = ("masked-0", "masked-1", "unmasked-0")
    assert simulator.played == [(name, "pick", "clean", k) for name in names for k in range(3)]


def test_what_the_hand_closed_on_and_how_long_it_took_is_kept(entrants, simulator, tmp_path):
    came = results(run(planned(entrants, tmp_path)))
    assert {(r.closed_on_object, r.wrong_object, r.control_ms) for r in came} == {
        (True, False, (1.0, 2.0))
    }


def test_masks_are_measured_only_where_they_were_learned(entrants, simulator, tmp_path):
    agent = replace(entrants[2].agent, perception="oracle", deployment=Overlay())
    oracle = replace(entrants[2], arm="oracle", agent=agent)
    came = results(run(planned([*entrants, oracle], tmp_path)))
    assert {(r.arm, r.mask_iou) for r in came} == {
        ("masked", 0.9),
        ("unmasked", None),
        ("oracle", None),
    }


def test_a_finished_cell_is_not_run_again(entrants, simulator, tmp_path):
    first = run(planned(entrants, tmp_path))
    simulator.ran.clear()
    again = run(planned(entrants, tmp_path))
    assert results(again) == results(first) and simulator.ran == []


def test_what_was_kept_of_finished_cells_is_filmed_again(entrants, simulator, tmp_path):
    first = run(planned(entrants, tmp_path))
    simulator.ran.clear()
    again = run(planned(entrants, tmp_path), keep=2)
    assert [(job.index, job.keep) for job in simulator.ran] == 6 * [(0, True), (1, True)]
    assert results(again) == results(first)
    assert [one.outcome is not None for one in again] == 6 * [True, True, False]


def test_no_more_of_a_finished_cell_is_filmed_than_it_has(entrants, simulator, tmp_path):
    run(planned(entrants, tmp_path))
    simulator.ran.clear()
    run(planned(entrants, tmp_path), keep=9)
    assert {job.index for job in simulator.ran} == {0, 1, 2}


def test_the_first_episodes_of_every_cell_keep_their_pictures(entrants, simulator, tmp_path):
    run(planned(entrants, tmp_path), keep=1)
    assert [job.index for job in simulator.ran if job.keep] == [0] * 6


def test_a_kill_loses_the_episode_in_flight_and_no_other(entrants, simulator, tmp_path):
    simulator.kill_after = 3 + 2  # the first cell, and two episodes of the second
    with pytest.raises(Kill):
        run(planned(entrants, tmp_path))
    finished, begun = sorted((tmp_path / "cells").iterdir())
    assert finished.name.startswith("masked-0-pick-clean-") and finished.suffix == ".json"
    assert begun.name.startswith("masked-0-pick-distract-") and begun.suffix == ".partial"
    simulator.ran.clear()
    simulator.kill_after = None
    came = run(planned(entrants, tmp_path))
    assert simulator.played[0] == ("masked-0", "pick", "distract", 2)
    assert len(simulator.ran) == 1 + 4 * 3
    assert [(r.arm, r.scene, r.index) for r in results(came)[:6]] == [
        ("masked", scene, index) for scene in ("clean", "distract") for index in range(3)
    ]
    assert len(came) == 6 * 3 and not list(tmp_path.glob("cells/*.partial"))


def test_a_cell_with_all_its_episodes_and_no_file_is_finished(entrants, simulator, tmp_path):
    cell = planned(entrants, tmp_path)[0]
    first = run([cell])
    cell.file.rename(partial_of(cell.file))
    simulator.ran.clear()
    assert results(run([cell])) == results(first)
    assert simulator.ran == [] and cell.file.is_file()


def test_a_torn_temporary_of_a_killed_writer_is_no_cell(entrants, simulator, tmp_path):
    cells = planned(entrants, tmp_path)
    cells[0].file.parent.mkdir()
    torn = cells[0].file.parent / f".{cells[0].file.name}.0.tmp"
    torn.write_text('{"episodes": [')
    assert len(run(cells)) == 6 * 3 and not torn.exists()


def test_a_new_scene_runs_its_own_cells_only(entrants, simulator, tmp_path):
    run(planned(entrants, tmp_path, scenes=("clean",)))
    simulator.ran.clear()
    run(planned(entrants, tmp_path))
    assert {job.scene for job in simulator.ran} == {"distract"}


def test_progress_counts_the_episodes_that_are_left_to_run(entrants, simulator, tmp_path):
    run(planned(entrants, tmp_path, scenes=("clean",)))
    heard: list[tuple[int, int]] = []
    run(planned(entrants, tmp_path), heard=lambda done, of: heard.append((done, of)))
    assert heard == [(done, 9) for done in range(10)]


@pytest.mark.parametrize(
    "change",
    [
        {"perception": "oracle"},
        {"deployment": Blur()},
        {"mask_period": 2},
        {"faults": (Spec("dropped", {}),)},
        {"faults": (Spec("dropped", {"share": 0.3}),)},
    ],
)
def test_whatever_an_agent_is_made_of_makes_another_cell(change, entrants, tmp_path):
    changed = replace(entrants[0], agent=replace(entrants[0].agent, **change))
    assert planned([entrants[0]], tmp_path)[0].file != planned([changed], tmp_path)[0].file


def test_another_training_seed_makes_another_cell(entrants, tmp_path):
    changed = replace(entrants[0], training_seed=7)
    assert planned([entrants[0]], tmp_path)[0].file != planned([changed], tmp_path)[0].file


def test_another_policy_or_head_at_the_same_path_makes_another_cell(entrants, tmp_path):
    agent = entrants[0].agent
    before = planned([entrants[0]], tmp_path)[0].file
    agent.policy.write_text("trained again")
    between = planned([entrants[0]], tmp_path)[0].file
    agent.head.write_text("trained again")
    assert len({before, between, planned([entrants[0]], tmp_path)[0].file}) == 3


def test_the_same_policy_at_another_path_has_the_same_cell(entrants, tmp_path):
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(entrants[0].agent.policy.read_bytes())
    moved = replace(entrants[0], agent=replace(entrants[0].agent, policy=copied))
    assert planned([entrants[0]], tmp_path)[0].file == planned([moved], tmp_path)[0].file


@pytest.mark.parametrize(
    "change",
    [{"seed": 3000}, {"execute": 4}, {"ensemble_decay": 0.1}, {"env": EnvOptions(image_size=64)}],
)
def test_another_protocol_makes_other_cells(change, entrants, tmp_path):
    one, other = (
        planned(entrants, tmp_path, protocol=protocol)[0].file
        for protocol in (PROTOCOL, replace(PROTOCOL, **change))
    )
    assert one != other


def test_more_episodes_make_other_cells(entrants, tmp_path):
    one, other = (planned(entrants, tmp_path, episodes=count)[0].file for count in (3, 4))
    assert one != other


def test_a_cell_is_read_as_it_was_written(entrants, simulator, tmp_path):
    episodes = tuple(results(run(planned(entrants[:1], tmp_path, scenes=("clean",)))))
    write_cell(tmp_path / "cell.json", episodes)
    assert read_cell(tmp_path / "cell.json") == episodes


def test_a_cell_says_which_code_ran_it_and_older_ones_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "git_revision", lambda: "abc")
    write_cell(tmp_path / "new.json", [])
    (tmp_path / "old.json").write_text('{"episodes": []}')
    assert [stage.revision_of(tmp_path / name) for name in ("new.json", "old.json")] == [
        "abc",
        "unknown",
    ]


def test_a_damaged_cell_is_named_with_a_remedy(tmp_path):
    (tmp_path / "cell.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"got a damaged cell .*cell.json, expected episodes as JSON; delete it"
    ):
        read_cell(tmp_path / "cell.json")
