"""One PyBullet world with its clocks: a thin wrapper round a physics client of its own."""

from __future__ import annotations

import math
import weakref

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.engines import check_time

GRAVITY = 9.81
"""Magnitude of gravity [m/s^2]."""


_CONTACT_THRESHOLD = 0.02
"""Distance at which Bullet forgets a contact point unless told otherwise [m]."""

_threshold_in_force = _CONTACT_THRESHOLD


class Simulation:
    """A world without shapes and without graphics, bitwise repeatable.

    Args:
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.
        steps_a_call: How many physics steps the engine makes at once, with nothing to be changed between them; all of a
            control step if ``None``. Saves a microsecond a step. Bullet then bounds the impulse of a motor by its force
            times the length of the *call*: a force to be held has to be sent as :attr:`steps_a_call` times less.
        iterations: Of the solver at most; it stops earlier at a residual of 1e-3. Ten suit what moves freely; a chain
            of forces, as in what a hand holds, takes more.
        few_bodies: Look for contacts between all bodies at every step. With a handful that is fast, and what is found
            does not depend on where they have been before, as it does with the tree that Bullet keeps otherwise.

    Raises:
        Sim2RealError: The two times do not fit together.
    """

    def __init__(
        self,
        *,
        control_dt: float,
        physics_dt: float,
        steps_a_call: int | None = None,
        iterations: int = 10,
        few_bodies: bool = False,
    ) -> None:
        self.substeps = count_substeps(control_dt, physics_dt)
        self.steps_a_call = _steps_in_a_call(self.substeps if steps_a_call is None else steps_a_call, physics_dt)
        self.control_dt = control_dt
        self.physics_dt = physics_dt
        self.client: int = p.connect(p.DIRECT)
        # Also runs when the object is forgotten, or the interpreter ends; a second call does nothing.
        self.close = weakref.finalize(self, p.disconnect, self.client)
        if few_bodies:
            p.resetSimulation(flags=p.RESET_USE_SIMPLE_BROADPHASE, physicsClientId=self.client)
        p.setPhysicsEngineParameter(
            fixedTimeStep=self.steps_a_call * physics_dt,
            numSubSteps=self.steps_a_call if self.steps_a_call > 1 else 0,
            numSolverIterations=iterations,
            solverResidualThreshold=1e-3,
            deterministicOverlappingPairs=1,
            physicsClientId=self.client,
        )
        self._contact_threshold = _CONTACT_THRESHOLD
        self.focus()
        self.gravity = np.zeros(3)
        self.set_gravity_tilt(0.0)

    def set_contact_threshold(self, threshold: float) -> None:
        """Set the distance at which a contact point is forgotten [m]."""
        self._contact_threshold = threshold
        self.focus()

    def focus(self) -> None:
        """Make this world the one that the process simulates, before anything that looks for contacts.

        Bullet keeps the contact threshold once for the whole process: a world would feel that of another one.

        Raises:
            Sim2RealError: The world is closed.
        """
        global _threshold_in_force
        if not self.close.alive:
            raise Sim2RealError("the env is closed; make a new one.")
        if _threshold_in_force != self._contact_threshold:
            p.setPhysicsEngineParameter(contactBreakingThreshold=self._contact_threshold, physicsClientId=self.client)
            _threshold_in_force = self._contact_threshold

    def set_gravity_tilt(self, tilt: float) -> None:
        """Lean the world's base by ``tilt`` [rad] about its y axis, which turns gravity the other way."""
        self.gravity = np.array([GRAVITY * math.sin(tilt), 0.0, -GRAVITY * math.cos(tilt)])
        p.setGravity(*self.gravity.tolist(), physicsClientId=self.client)

    def read_gravity_tilt(self) -> float:
        """Read the tilt [rad] back from the engine."""
        parameters = p.getPhysicsEngineParameters(physicsClientId=self.client)
        return math.atan2(parameters["gravityAccelerationX"], -parameters["gravityAccelerationZ"])

    def step(self) -> None:
        """Simulate one control step."""
        for _ in range(self.substeps // self.steps_a_call):
            p.stepSimulation(self.client)


def _steps_in_a_call(steps: int, physics_dt: float) -> int:
    """Return ``steps`` if Bullet will count just as many, and 1 if not.

    It divides the time it is given by that of a step and keeps what is left over for the next call: a remainder in the
    last bit would make one call a step shorter than the others.
    """
    call = steps * physics_dt
    step = call / steps
    return steps if int(call / step) == steps and steps * step == call else 1


def count_substeps(control_dt: float, physics_dt: float) -> int:
    """Return how many physics steps make one control step.

    Raises:
        Sim2RealError: A time is not positive, or the physics step does not divide the control step.
    """
    check_time("control_dt", control_dt)
    check_time("physics_dt", physics_dt)
    ratio = control_dt / physics_dt
    substeps = round(ratio)
    if substeps < 1 or abs(ratio - substeps) > 1e-6 * ratio:
        nearest = control_dt / max(1, substeps)
        raise Sim2RealError(
            f"physics_dt = {physics_dt:g} s does not divide control_dt = {control_dt:g} s; "
            f"the nearest that does is {nearest:.6g} s."
        )
    return substeps
