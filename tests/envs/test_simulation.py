"""The two clocks of a simulation, and its gravity."""

import math

import pytest

from sim2real.errors import Sim2RealError
from sim2real_envs.simulation import Simulation, count_substeps


@pytest.mark.parametrize(
    ("control_dt", "physics_dt", "substeps"), [(0.04, 0.004, 10), (0.1, 1 / 240, 24), (0.3, 0.1, 3)]
)
def test_substeps_are_derived(control_dt, physics_dt, substeps):
    assert count_substeps(control_dt, physics_dt) == substeps


def test_clocks_that_do_not_fit_are_refused():
    with pytest.raises(Sim2RealError) as error:
        count_substeps(0.04, 0.003)
    assert str(error.value) == (
        "physics_dt = 0.003 s does not divide control_dt = 0.04 s; the nearest that does is 0.00307692 s."
    )


@pytest.mark.parametrize("value", [0.0, -0.04, math.nan])
def test_times_must_be_positive(value):
    with pytest.raises(Sim2RealError, match=r"control_dt = .* must be a positive time in seconds"):
        count_substeps(value, 0.004)


def test_a_call_makes_all_steps_unless_bullet_would_miscount():
    for control_dt, physics_dt, asked, steps in (
        (0.04, 0.004, None, 10),
        (0.04, 0.004, 5, 5),
        (7 * 0.0013, 0.0013, None, 1),
    ):
        simulation = Simulation(control_dt=control_dt, physics_dt=physics_dt, steps_a_call=asked)
        assert simulation.steps_a_call == steps
        simulation.close()


def test_tilt_turns_gravity_the_other_way_and_is_read_back():
    simulation = Simulation(control_dt=0.04, physics_dt=0.004)
    assert simulation.read_gravity_tilt() == 0.0
    simulation.set_gravity_tilt(0.2)
    assert simulation.read_gravity_tilt() == pytest.approx(0.2)
    assert simulation.gravity == pytest.approx([9.81 * math.sin(0.2), 0.0, -9.81 * math.cos(0.2)])
    simulation.close()
    simulation.close()
