"""One MuJoCo world with its clocks: the sibling of :mod:`sim2real_envs.simulation` for the second engine."""

from __future__ import annotations

import logging
import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real_envs.simulation import GRAVITY, count_substeps

# What MuJoCo has to say goes to the program's log, not into a file MUJOCO_LOG.TXT where the user happens to be.
mujoco.set_mju_user_warning(logging.getLogger(__name__).warning)


class MujocoSimulation:
    """A compiled world, bitwise repeatable.

    Args:
        spec: What is in the world; its time step and gravity are set here.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: The two times do not fit together.
    """

    def __init__(self, spec: mujoco.MjSpec, *, control_dt: float, physics_dt: float) -> None:
        self.substeps = count_substeps(control_dt, physics_dt)
        self._closed = False
        self.control_dt = control_dt
        self.physics_dt = physics_dt
        spec.option.timestep = physics_dt
        # A world that explodes shall say so, not begin anew in the middle of an episode.
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.model: mujoco.MjModel = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._spare = mujoco.MjData(self.model)
        self.set_gravity_tilt(0.0)

    @property
    def gravity(self) -> NDArray[np.float64]:
        """Acceleration of free fall, shape (3,) [m/s^2]."""
        return np.array(self.model.opt.gravity)

    def set_gravity_tilt(self, tilt: float) -> None:
        """Lean the world's base by ``tilt`` [rad] about its y axis, which turns gravity the other way."""
        self.model.opt.gravity[:] = (GRAVITY * math.sin(tilt), 0.0, -GRAVITY * math.cos(tilt))

    def read_gravity_tilt(self) -> float:
        """Read the tilt [rad] back from the engine."""
        x, _, z = self.model.opt.gravity
        return math.atan2(x, -z)

    def focus(self) -> None:
        """Do nothing with an open world: unlike Bullet's, MuJoCo's share nothing within a process.

        Raises:
            Sim2RealError: The world is closed.
        """
        if self._closed:
            raise Sim2RealError("the env is closed; make a new one.")

    def reset(self) -> None:
        """Forget everything that has happened: positions and velocities of the model, no contacts, no warm start."""
        mujoco.mj_resetData(self.model, self.data)

    def derive_constants(self) -> None:
        """Compute anew what MuJoCo derives from masses and sizes, after they have been changed in the model."""
        mujoco.mj_setConst(self.model, self._spare)  # spoils the data it is given

    def step(self) -> None:
        """Simulate one control step."""
        mujoco.mj_step(self.model, self.data, self.substeps)

    def close(self) -> None:
        """Refuse to go on; the memory goes with the object."""
        self._closed = True
