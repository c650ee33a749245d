"""Cell by cell: finished cells are files, a kill loses what was in flight, every arm meets the same
episodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from robot.experiment.evaluate import Arm, Evaluated

from robot.experiment import cells as stage
from robot.experiment.cells import CellKey, Protocol, cells_of, evaluate_cells, read_cell
from robot.report.statistics import EpisodeResult
from robot.rollout.act import Job, Outcome
from robot.types import InputError

PROTOCOL = Protocol(
    episodes=3, seed=1000, execute=8, ensemble_decay=None, env_options={"image_size": 32}
)


class Kill(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture
def arms(tmp_path) -> list[Arm]:
    """Return one arm under two training seeds, and another one."""
    (tmp_path / "models").mkdir()
    for name in ("masked-0", "masked-1", "unmasked-0", "head"):
        (tmp_path / f"models/{name}.safetensors").write_text(name)

    def made(name, seed, **how):
        return Arm(
            name=name,
            policy=tmp_path / f"models/{name}-{seed}.safetensors",
            training_seed=seed,
            **how,
        )

    seen = {
        "perception": "learned",
        "head": tmp_path / "models/head.safetensors",
        "deployment": {"name": "overlay"},
    }
    bare = {"perception": "none", "head": None, "deployment": {"name": "none"}}
    return [made("masked", 0, **seen), made("masked", 1, **seen), made("unmasked", 0, **bare)]


@pytest.fixture
def simulator(monkeypatch):
    """Replace the simulator; returns (jobs run, a dict whose "kill_after" ends the process after so
    many episodes).
    """
    ran: list[tuple[str, str, str, int]] = []
    how: dict[str, int] = {}

    def run_jobs(jobs, *, arms, seed, workers, **_options) -> Iterator[tuple[int, Evaluated]]:
        for number, job in enumerate(jobs):
            if len(ran) == how.get("kill_after", -1):
                raise Kill
            ran.append((job.arm, job.task, job.scene, job.index))
            yield number, evaluated(job, arms[job.arm], seed=seed)

    monkeypatch.setattr(stage, "run_jobs", run_jobs)
    return ran, how


def evaluated(job: Job, arm: Arm, *, seed: int) -> Evaluated:
    result = EpisodeResult(
        arm=arm.name,
        task=job.task,
        scene=job.scene,
        training_seed=arm.training_seed,
        seed=seed,
        index=job.index,
        success=arm.name == "masked",
        steps=job.index,
        control_ms=(1.0, 2.0),
    )
    return Evaluated(result, Outcome(True, 1, False, True, None, (), "go"))


def planned(
    arms, root: Path, *, scenes=("clean", "distract"), protocol: Protocol = PROTOCOL
) -> list[CellKey]:
    return cells_of(arms, tasks=["pick"], scenes=scenes, protocol=protocol, root=root / "cells")


def run(cells, *, protocol: Protocol = PROTOCOL, heard=lambda done, of: None):
    return evaluate_cells(cells, protocol=protocol, workers=1, progress=heard)


def test_every_cell_is_run_with_the_same_initial_states(arms, simulator, tmp_path):
    results = run(planned(arms, tmp_path))
    assert [[(r.seed, r.index) for r in cell] for cell in results] == [
        [(1000, 0), (1000, 1), (1000, 2)]
    ] * 6
    assert [(cell[0].arm, cell[0].training_seed, cell[0].scene) for cell in results] == [
        (name, seed, scene)
        for name, seed in (("masked", 0), ("masked", 1), ("unmasked", 0))
        for scene in ("clean", "distract")
    ]


def test_a_finished_cell_is_not_run_again(arms, simulator, tmp_path):
    first = run(planned(arms, tmp_path))
    simulator[0].clear()
    assert run(planned(arms, tmp_path)) == first and simulator[0] == []


def test_a_kill_loses_the_cell_in_flight_and_no_other(arms, simulator, tmp_path):
    ran, how = simulator
    how["kill_after"] = 3 + 2  # the first cell, and two episodes of the second
    with pytest.raises(Kill):
        run(planned(arms, tmp_path))
    assert [
        path.name.startswith("masked-0-pick-clean") for path in (tmp_path / "cells").iterdir()
    ] == [True]
    ran.clear()
    how.clear()
    results = run(planned(arms, tmp_path))
    assert len(ran) == 5 * 3 and ("masked seed 0", "pick", "clean", 0) not in ran
    assert [len(cell) for cell in results] == [3] * 6


def test_a_torn_temporary_of_a_killed_writer_is_no_cell(arms, simulator, tmp_path):
    cells = planned(arms, tmp_path)
    cells[0].file.parent.mkdir()
    torn = cells[0].file.parent / f".{cells[0].file.name}.0.tmp"
    torn.write_text('{"episodes": [')
    assert len(run(cells)[0]) == 3 and not torn.exists()


def test_a_cell_says_which_code_ran_it_and_older_ones_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "git_revision", lambda: "abc")
    stage.write_cell(tmp_path / "new.json", [])
    (tmp_path / "old.json").write_text('{"episodes": []}')
    assert [stage.revision_of(tmp_path / name) for name in ("new.json", "old.json")] == [
        "abc",
        "unknown",
    ]


def test_a_new_scene_runs_its_own_cells_only(arms, simulator, tmp_path):
    run(planned(arms, tmp_path, scenes=("clean",)))
    simulator[0].clear()
    run(planned(arms, tmp_path))
    assert {scene for _, _, scene, _ in simulator[0]} == {"distract"}


@pytest.mark.parametrize(
    "change",
    [
        {"perception": "oracle"},
        {"deployment": {"name": "blur"}},
        {"mask_period": 2},
        {"faults": ({"name": "dropped"},)},
        {"training_seed": 7},
    ],
)
def test_whatever_an_episode_depends_on_makes_another_cell(change, arms, tmp_path):
    one, other = (planned([arm], tmp_path)[0].file for arm in (arms[0], replace(arms[0], **change)))
    assert one != other


def test_another_policy_or_head_at_the_same_path_makes_another_cell(arms, tmp_path):
    before = planned([arms[0]], tmp_path)[0].file
    arms[0].policy.write_text("trained again")
    between = planned([arms[0]], tmp_path)[0].file
    arms[0].head.write_text("trained again")
    assert len({before, between, planned([arms[0]], tmp_path)[0].file}) == 3


@pytest.mark.parametrize(
    "change", [{"episodes": 4}, {"seed": 3000}, {"execute": 4}, {"env_options": {"image_size": 64}}]
)
def test_another_protocol_makes_other_cells(change, arms, tmp_path):
    files = [
        planned(arms, tmp_path, protocol=p)[0].file for p in (PROTOCOL, replace(PROTOCOL, **change))
    ]
    assert files[0] != files[1]


def test_progress_counts_what_was_there(arms, simulator, tmp_path):
    run(planned(arms, tmp_path, scenes=("clean",)))
    heard: list[tuple[int, int]] = []
    run(planned(arms, tmp_path), heard=lambda done, of: heard.append((done, of)))
    assert heard[0] == (9, 18) and heard[-1] == (18, 18)


def test_a_damaged_cell_is_named_with_a_remedy(tmp_path):
    (tmp_path / "cell.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"got a damaged cell .*cell.json, expected episodes as JSON; delete it"
    ):
        read_cell(tmp_path / "cell.json")


def test_no_episodes_are_refused():
    with pytest.raises(InputError, match="got episodes 0 per cell"):
        replace(PROTOCOL, episodes=0)
