"""A policy from demonstrations that are given: of any robot, without a simulator. What it is worth
is measured on episodes that it was not trained on, dimension by dimension, against a robot that
holds still.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float

from robot.agent import Agent
from robot.data.robomimic import import_robomimic
from robot.data.store import EpisodeStore
from robot.data.windows import Windows
from robot.experiment.calibrated_eyes import calibrated_eyes
from robot.experiment.demonstration_quality import KindQuality, measure, read_scored
from robot.experiment.given_data import HDF5, Given, held_out_of, spaces_of_store
from robot.experiment.jobs import Stage, StageId, run_stages
from robot.experiment.stages import demonstration_scoring
from robot.language import LanguageEncoder
from robot.perception.head.base import Head
from robot.policy import load_policy
from robot.spaces import Spaces
from robot.system.parse import parse
from robot.system.progress import Bars
from robot.train.demonstration_discriminator import DemonstrationScoring, Scoring
from robot.train.demonstrations import Selection, load_all, make_look
from robot.train.policy import PolicyTraining, train_policy
from robot.train.relocation import Eye

POLICY, SCORES = StageId("policy"), StageId("demonstration discriminator")
AT_ONCE = 64  # windows


@dataclass(frozen=True)
class HeldOut(Selection):
    """The episodes of a store that come after the first `episodes`."""

    def indices(self) -> list[int]:
        return sorted(EpisodeStore(self.root).indices())[self.episodes :]


@dataclass(frozen=True)
class ActionError:
    """Mean absolute error of one dimension of the action over all steps of all chunks, in its own
    unit: the policy's, and that of a robot that holds still.
    """

    name: str
    unit: str
    policy: float
    hold_still: float


@dataclass(frozen=True)
class Trained:
    """The agent's folder, for Agent.load, and what it does on held-out episodes."""

    agent: Path
    episodes: int
    held_out: int
    errors: tuple[ActionError, ...]
    kinds: tuple[KindQuality, ...] = ()  # what a discriminator made of each, where one weighs


def train_given(given: Given, *, run: Path) -> Trained:
    """Train a policy on all episodes but the last ones of `path`, which it is measured on; resumes
    what a kill cut off.
    """
    root = store_of(given.path, run=run)
    total = len(EpisodeStore(root))
    held_out = held_out_of(total, share=given.held_out)
    learned = Selection(root, total - held_out)
    demonstrations = (learned, *(Selection(f, len(EpisodeStore(f))) for f in given.also))
    scored = _scoring(given, demonstrations, run=run) if given.weighting == "dwsl" else None
    options = PolicyTraining(
        demonstrations=demonstrations,
        policy=given.policy,
        masks=given.masks,
        deployment=given.made_deployment(),
        augmentation=given.augment,
        weighting=given.weighting,
        scores=scored and scored.directory.name,
        training=given.train,
        batch_size=given.batch_size,
        seed=given.seed,
        look_every=given.look_every,
        relocate=given.relocate,
    )
    agent, head = run / "agent", given.head if given.masks == "learned" else None
    stage = Stage(
        POLICY,
        _Train(options, head, _eyes(given)),
        given.train.steps,
        agent,
        waits_for=(scored.id,) if scored else (),
        wandb_mode=given.wandb,
    )
    with Bars() as progress:
        run_stages([scored, stage] if scored else [stage], workers=1, progress=progress)
    if head is not None:
        for suffix in (".safetensors", ".json"):
            if (file := head.with_suffix(suffix)).is_file():
                shutil.copy2(file, agent / f"mask_head{suffix}")
    Agent.load(agent)  # what was made can act
    windows = _windows(HeldOut(root, learned.episodes), options, head=head)
    return Trained(
        agent,
        sum(selection.episodes for selection in demonstrations),
        held_out,
        action_errors(agent, windows),
        measure(read_scored(demonstrations, scores=scored.directory.name)).kinds if scored else (),
    )


def _eyes(given: Given) -> tuple[Eye, ...]:
    """Return the calibrated cameras, where demonstrations are to be moved."""
    if given.relocate is None:
        return ()
    cameras = spaces_of_store(given.path).camera_names
    return calibrated_eyes(given.calibrations, cameras=cameras)


def _scoring(given: Given, demonstrations: tuple[Selection, ...], *, run: Path) -> Stage:
    """Return the stage that scores the demonstrations, by networks of their number of cameras."""
    store = EpisodeStore(given.path)
    cameras = {"cameras": len(store.summary(min(store.indices())).spaces.cameras)}
    section = {name: value for name, value in given.scoring.items() if name != "horizon"}
    section |= {name: section[name] | cameras for name in ("policy", "discriminator")}
    scoring = parse(Scoring, section | {"head": Head.resolve(section["head"])})
    options = DemonstrationScoring(demonstrations=demonstrations, scoring=scoring, seed=given.seed)
    return demonstration_scoring(SCORES, options, root=run, wandb_mode=given.wandb)


@dataclass(frozen=True)
class _Train:
    """The training of a stage: picklable, for a process of its own."""

    options: PolicyTraining
    head: Path | None
    eyes: tuple[Eye, ...]

    @property
    def args(self) -> tuple[PolicyTraining]:
        return (self.options,)  # what a training run is found by

    def __call__(self, **how: object) -> Path:
        return train_policy(self.options, head=self.head, eyes=self.eyes, **how)  # type: ignore[arg-type]


def store_of(path: Path, *, run: Path) -> Path:
    """Return the folder of the demonstrations: given, or read from an HDF5 file into the run."""
    if path.suffix not in HDF5:
        return path
    root = run / "demonstrations"
    if not len(EpisodeStore(root)):
        partial = run / "demonstrations.partial"
        shutil.rmtree(partial, ignore_errors=True)
        store = EpisodeStore(partial)
        import_robomimic(path, store)
        store.finalize()
        shutil.rmtree(root, ignore_errors=True)
        partial.rename(root)
    return root


def _windows(selection: Selection, options: PolicyTraining, *, head: Path | None) -> Windows:
    language = LanguageEncoder()
    size = options.policy.options["image_size"]
    assert isinstance(size, int)
    return load_all(
        [selection],
        look=make_look(options.masks, head=head, language=language),
        deployment=options.deployment,
        size=size,
        language=language,
        look_every=options.look_every,
    )


@torch.inference_mode()
def action_errors(agent: Path, windows: Windows) -> tuple[ActionError, ...]:
    """Return the errors of a policy's chunks on all windows, and those of holding still."""
    policy, generator = load_policy(agent), torch.Generator().manual_seed(0)
    bounds = policy.config()["statistics"]["action"]
    middle = (torch.tensor(bounds["min"]) + torch.tensor(bounds["max"])) / 2
    ours, still = [], []
    for first in windows.first_frames().split(AT_ONCE):
        batch = windows.batch(windows.windows_from(first, policy.horizon))
        recorded, valid = batch.actions, batch.valid
        chunk = policy.sample(batch.observation, generator)
        held = held_still(windows.spaces, batch.observation.proprio, middle=middle)
        ours.append((chunk - recorded).abs()[valid])
        still.append((held[:, None] - recorded).abs()[valid])
    action = windows.spaces.action
    return tuple(
        ActionError(name, unit, policy=float(p), hold_still=float(s))
        for name, unit, p, s in zip(
            action.names,
            action.units,
            torch.cat(ours).mean(0),
            torch.cat(still).mean(0),
            strict=True,
        )
    )


def held_still(
    spaces: Spaces, state: Float[torch.Tensor, "b s"], *, middle: Float[torch.Tensor, " a"]
) -> Float[torch.Tensor, "b a"]:
    """Return the actions of a robot that holds still: no change; for targets the state value of
    the same name, or, where there is none, the middle of what the demonstrations do.
    """
    places = {name: place for place, name in enumerate(spaces.state.names)}
    columns = [
        torch.zeros(len(state))
        if relative
        else state[:, places[name]]
        if name in places
        else middle[k].expand(len(state))
        for k, (name, relative) in enumerate(
            zip(spaces.action.names, spaces.action.relative, strict=True)
        )
    ]
    return torch.stack(columns, dim=1)
