"""Demonstrations moved inside their masks: each role lands where the camera would see it, and the
hand ends at the target's new place.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robot.batch import LanguageTokens
from robot.data.windows import NOT_LOOKED_AT, Windows
from robot.envs.make import EnvOptions, make_env
from robot.experiment.eyes import eyes_of
from robot.perception.compose.masking import Channel, Crop, Overlay
from robot.perception.compose.redraw import DESTINATION, HAND, TARGET, redrawn
from robot.train.options import Relocation
from robot.train.relocation import Eye, demonstration_of, moved_by, relocated
from robot.types import InputError, Label
from tests.robots import panda

SIZE, FILL, SPEED_M = 64, 128, 0.01
HOME, CUP, PLATE = (
    np.array([0.45, 0.0, 0.3]),
    np.array([0.6, 0.05, 0.0]),
    np.array([0.5, -0.15, 0.0]),
)
K = np.array([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]])
# at rest, 1 m above the table, looking down; and on the hand, 10 cm above the fingers
DOWN = np.array([[0, 1.0, 0, 0.55], [1.0, 0, 0, 0], [0, 0, -1.0, 1.0], [0, 0, 0, 1]])
ABOVE_FINGERS = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -0.1], [0, 0, 0, 1]])
EYES = (
    Eye(K=K, pose=DOWN, on_hand=False),
    Eye(
        K=K,
        pose=np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -0.1], [0, 0, 0, 1]]),
        on_hand=True,
    ),
)
TURN = np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, -1.0]])  # of the hand, which points down


def pixel(point: np.ndarray, T_base_camera: np.ndarray) -> np.ndarray:
    seen = T_base_camera[:3, :3].T @ (point - T_base_camera[:3, 3])
    return (K @ (seen / seen[2]))[:2] * SIZE


def blob(picture: np.ndarray, role: int, at: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw 5 x 5 pixels of a role around (u, v), as far as they are in the picture."""
    u, v = np.floor(at).astype(int)
    rows, columns = slice(max(v - 2, 0), max(v + 3, 0)), slice(max(u - 2, 0), max(u + 3, 0))
    picture[:3, rows, columns] = np.array(colour)[:, None, None]
    picture[3:, rows, columns] = 0
    picture[3 + role, rows, columns] = 255


def way(*points: np.ndarray) -> np.ndarray:
    legs = [
        np.linspace(a, b, max(2, round(np.linalg.norm(b - a) / SPEED_M)), endpoint=False)
        for a, b in zip(points, points[1:], strict=False)
    ]
    return np.concatenate([*legs, points[-1:]])


def demonstrations(*, destination: bool) -> Windows:
    """One demonstration: above the cup, down, closed, up and, with a plate, over it and open."""
    above, over = CUP + [0, 0, 0.1], PLATE + [0, 0, 0.1]
    approach = way(HOME, above, CUP)
    carried = way(CUP, above, *([over] if destination else []))
    position = np.concatenate([approach, carried, carried[-1:]])
    grasp, release = len(approach), len(position) - 1
    gripper = np.ones(len(position))
    gripper[grasp:] = 0
    if destination:
        gripper[release:] = 1
    moves = np.diff(position, axis=0, append=position[-1:])
    actions = np.column_stack([3 * moves, np.zeros((len(moves), 3)), gripper])
    six = np.tile(TURN[:, :2].T.reshape(6), (len(position), 1))
    proprio = np.column_stack([position, six, gripper])
    pictures = np.zeros((len(position), 2, 6, SIZE, SIZE), np.uint8)
    pictures[:, :, :3] = FILL
    for t, hand in enumerate(position):
        T_base_hand = np.eye(4)
        T_base_hand[:3, :3], T_base_hand[:3, 3] = TURN, hand
        for n, eye in enumerate(EYES):
            camera = T_base_hand @ eye.pose if eye.on_hand else eye.pose
            if destination:
                blob(pictures[t, n], DESTINATION, pixel(PLATE, camera), (0, 0, 250))
            blob(pictures[t, n], TARGET, pixel(hand if t >= grasp else CUP, camera), (250, 0, 0))
            if not eye.on_hand:
                blob(pictures[t, n], HAND, pixel(hand, camera) - [0, 8], (10, 10, 10))
    return Windows(
        composites=torch.from_numpy(pictures),
        proprio=torch.from_numpy(proprio).float(),
        actions=torch.from_numpy(actions).float(),
        goal_ids=torch.zeros(len(position), dtype=torch.long),
        starts=torch.tensor([0]),
        lengths=torch.tensor([len(position)]),
        weights=torch.tensor([1.0]),
        language=LanguageTokens(torch.zeros(1, 2, 384), torch.ones(1, 2, dtype=torch.bool)),
        spaces=panda(agentview=(SIZE, SIZE), wrist=(SIZE, SIZE)),
    )


def centre(plane: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(plane > 127)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


def test_what_does_not_move_is_drawn_as_it_was():
    windows = demonstrations(destination=True)
    picture = windows.composites[5, 0].numpy()
    still = dict.fromkeys((TARGET, DESTINATION, HAND), (CUP, np.zeros(3)))
    drawn = redrawn(picture, still, K=K, T_base_camera=DOWN, fill=FILL)
    assert np.abs(drawn.astype(int) - picture).max() <= 1


def test_what_lets_go_on_the_way_is_not_copied():
    windows = demonstrations(destination=True)
    windows.composites[:, :, 3 + DESTINATION] = 0
    assert demonstration_of(windows, 0) is None


@pytest.mark.parametrize("destination", [False, True])
def test_the_hand_starts_where_it_did_and_takes_the_target_at_its_new_place(destination):
    original = demonstration_of(demonstrations(destination=destination), 0)
    assert original is not None
    shift = np.array([-0.12, 0.08])
    copy = moved_by(original, shift, eyes=EYES, fill=FILL, every=1)
    assert np.allclose(copy.position[0], HOME, atol=1e-3)
    assert np.allclose(copy.position[copy.grasp], CUP + [*shift, 0], atol=0.011)
    end = PLATE if destination else CUP + [*shift, 0]
    assert np.allclose(copy.position[-1], end + [0, 0, 0.1], atol=0.011)
    speed = np.linalg.norm(np.diff(copy.position, axis=0), axis=1)
    assert speed.max() < 1.5 * SPEED_M
    # what is asked for leads to where the hand goes: three times what the arm makes of it
    asked = copy.actions[: copy.grasp, :3].sum(axis=0) / 3
    assert np.allclose(asked, copy.position[copy.grasp] - HOME, atol=0.02)


def test_every_role_is_where_each_camera_would_see_it():
    original = demonstration_of(demonstrations(destination=True), 0)
    assert original is not None
    shift = np.array([-0.1, 0.06])
    copy = moved_by(original, shift, eyes=EYES, fill=FILL, every=1)
    checked = 0
    for step in (0, copy.grasp // 2, copy.grasp - 2, copy.grasp + 12):
        hand = copy.position[step]
        T_base_hand = np.eye(4)
        T_base_hand[:3, :3], T_base_hand[:3, 3] = TURN, hand
        target = hand if step > copy.grasp else CUP + [*shift, 0]
        for n, eye in enumerate(EYES):
            camera = T_base_hand @ eye.pose if eye.on_hand else eye.pose
            for role, at in ((TARGET, target), (DESTINATION, PLATE)):
                expected = pixel(at, camera)
                plane = copy.composites[step, n, 3 + role]
                if (np.abs(expected - SIZE / 2) > SIZE / 2 - 4).any() or not (plane > 127).any():
                    continue
                assert np.abs(centre(plane) - expected).max() < 1.6, (step, n, role)
                checked += 1
    assert checked >= 8


def test_copies_stand_beside_the_demonstrations():
    windows = demonstrations(destination=False)
    options = Relocation(copies=3, x_m=(0.45, 0.65), y_m=(-0.15, 0.15))
    more = relocated(windows, options, eyes=EYES, deployment=Overlay(), look_every=2)
    assert len(more.starts) == 4 and len(more) == int(more.lengths.sum())
    assert torch.equal(more.proprio[: len(windows)], windows.proprio)
    assert more.look_of is not None and (more.look_of == NOT_LOOKED_AT).any()
    again = relocated(windows, options, eyes=EYES, deployment=Overlay(), look_every=2)
    assert torch.equal(again.composites, more.composites)
    places = [
        more.proprio[s : s + n][more.actions[s : s + n, 6] < 0.5][0, :2].numpy()
        for s, n in zip(more.starts.tolist()[1:], more.lengths.tolist()[1:], strict=True)
    ]
    assert min(np.linalg.norm(p - CUP[:2]) for p in places) > 0.01
    assert all(0.44 < p[0] < 0.66 and -0.16 < p[1] < 0.16 for p in places)


def test_what_cannot_be_moved_is_refused():
    windows = demonstrations(destination=False)
    options = Relocation(copies=1, x_m=(0.4, 0.6), y_m=(-0.1, 0.1))
    with pytest.raises(InputError, match="overlay"):
        relocated(windows, options, eyes=EYES, deployment=Channel(), look_every=1)
    with pytest.raises(InputError, match="overlay"):
        relocated(windows, options, eyes=EYES, deployment=Crop(), look_every=1)
    with pytest.raises(InputError, match="calibrated cameras"):
        relocated(windows, options, eyes=EYES[:1], deployment=Overlay(), look_every=1)
    with pytest.raises(InputError, match="low < high"):
        Relocation(copies=1, x_m=(0.6, 0.4), y_m=(-0.1, 0.1))


def test_the_eyes_of_a_simulated_arm_see_the_target_where_it_is():
    options = EnvOptions(backend="mujoco", image_size=SIZE)
    eyes = eyes_of(options, task="pick")
    env = make_env("pick", options)
    env.reset(seed=3, options={"scene": "patch"})
    target = env.object_states()[env.task.scene.target][:3] + [0, 0, 0.02]
    position, rotation = env.arm.pose_in_base(env.data)
    base = env.arm.base
    in_base = env.data.xmat[base].reshape(3, 3).T @ (target - env.data.xpos[base])
    T_base_hand = np.eye(4)
    T_base_hand[:3, :3], T_base_hand[:3, 3] = rotation, position
    labels = env.label_maps()
    for eye, camera in zip(eyes, env.cameras, strict=True):
        pose = T_base_hand @ eye.pose if eye.on_hand else eye.pose
        seen = pose[:3, :3].T @ (in_base - pose[:3, 3])
        expected = (eye.K @ (seen / seen[2]))[:2] * SIZE
        found = labels[camera] == Label.TARGET
        assert np.abs(centre(255 * found.astype(np.uint8)) - expected).max() < 3, camera
    assert [eye.on_hand for eye in eyes] == [False, True]
    env.close()
