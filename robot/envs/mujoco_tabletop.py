"""The tabletop on plain MuJoCo: the shipped Panda, our controller, and bodies that sleep."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from robot.envs.arm import PANDA_HAND, Arm
from robot.envs.mujoco_scene import load_scene
from robot.envs.osc import OperationalSpaceControl
from robot.envs.tabletop.scene import Scene
from robot.envs.tabletop.world import TabletopWorld

REST_RAD = (0.0, np.pi / 16, 0.0, -np.pi / 2 - np.pi / 3, 0.0, np.pi - 0.2, np.pi / 4)
REST_OPENING = 0.5208  # of the fingers at a reset, robosuite's
START_OPENING = 0.5  # that the fingers are first asked for
OPENING_PER_STEP = 0.1  # of a control step: the fingers' target moves no faster
CONTROL_EVERY = 5  # physics steps from one computation of the torques to the next: 10 ms


class MujocoTabletop(TabletopWorld):
    """The Panda at its table, with every body of the catalogue."""

    def __init__(self, *, control_dt_s: float) -> None:
        model = load_scene()
        model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP
        self.attach(model, mujoco.MjData(model), panda(model))
        self._control = OperationalSpaceControl(model, self.mj_data, self.arm)
        self._steps = round(control_dt_s / model.opt.timestep)
        self._opening = START_OPENING

    def begin(self, joints_rad: Float[np.ndarray, " j"]) -> None:
        mujoco.mj_resetData(self.mj_model, self.mj_data)
        self.mj_data.qpos[self.arm.joints] = joints_rad
        self.mj_data.qpos[self.arm.fingers] = self.arm.gripper.joints(REST_OPENING)
        self._control.begin(joints_rad)
        self._opening = START_OPENING

    def apply(self, scene: Scene) -> None:
        self._let_sleep(awake={p.body for p in scene.placements})
        super().apply(scene)

    def forward(self) -> None:
        """Bring all up to date, cameras and lights of the room as well: where bodies may sleep,
        MuJoCo leaves what never moves as it was at the reset.
        """
        super().forward()
        model, data = self.mj_model, self.mj_data
        for camera in np.flatnonzero(model.cam_bodyid == 0):
            data.cam_xpos[camera] = model.cam_pos[camera]
            mujoco.mju_quat2Mat(data.cam_xmat[camera], model.cam_quat[camera])
        lights = model.light_bodyid == 0
        data.light_xpos[lights] = model.light_pos[lights]

    def step(self, action: Float[np.ndarray, "7"]) -> None:
        """Execute one physical action: shift [m], rotation vector [rad], gripper target 0..1."""
        model, data = self.mj_model, self.mj_data
        self._opening += OPENING_PER_STEP * np.sign(action[6] - 0.5)
        self._opening = float(np.clip(self._opening, 0.0, 1.0))
        data.ctrl[len(self.arm.joints) :] = self.arm.gripper.joints(self._opening)
        for k in range(0, self._steps, CONTROL_EVERY):
            mujoco.mj_step1(model, data)
            if k == 0:
                self._control.aim(action[:3], action[3:6])
            data.ctrl[: len(self.arm.joints)] = self._control.torques()
            mujoco.mj_step2(model, data)
            if (more := min(CONTROL_EVERY, self._steps - k) - 1) > 0:
                mujoco.mj_step(model, data, more)

    def _let_sleep(self, *, awake: set[str]) -> None:
        """Let MuJoCo leave out the bodies that are parked, all along, and those that rest.

        Who sleeps at first is read when the data are reset, so they are, but for the arm.
        """
        model, data, never = self.mj_model, self.mj_data, mujoco.mjtSleepPolicy
        model.tree_sleep_policy[:] = int(never.mjSLEEP_NEVER)
        for name, ref in self.bodies.items():
            policy = never.mjSLEEP_ALLOWED if name in awake else never.mjSLEEP_INIT
            model.tree_sleep_policy[model.body_treeid[ref.body_id]] = int(policy)
            # no pairs with what is parked: its geoms, which take no part, would be asked one by one
            model.body_contype[ref.body_id] = model.body_conaffinity[ref.body_id] = name in awake
        arm = [*self.arm.joints, *self.arm.fingers]
        joints = data.qpos[arm].copy()
        mujoco.mj_resetData(model, data)
        data.qpos[arm] = joints


def panda(model: mujoco.MjModel) -> Arm:
    """Return where the parts of the shipped Panda are."""
    joints = [f"robot0_joint{k}" for k in range(1, 8)]
    fingers = [f"gripper0_right_{finger.joint}" for finger in PANDA_HAND.fingers]
    pads = [
        f"gripper0_right_finger{k}_{part}"
        for k in (1, 2)
        for part in ("collision", "pad_collision")
    ]
    return Arm(
        gripper=PANDA_HAND,
        rest_rad=np.array(REST_RAD),
        base=int(model.body("robot0_base").id),
        site=int(model.site("gripper0_right_grip_site").id),
        joints=[int(model.joint(name).qposadr[0]) for name in joints],
        dofs=[int(model.joint(name).dofadr[0]) for name in joints],
        fingers=[int(model.joint(name).qposadr[0]) for name in fingers],
        finger_bodies=frozenset(int(model.geom(name).bodyid[0]) for name in pads),
    )
