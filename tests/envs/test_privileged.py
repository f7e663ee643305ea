"""What worlds that are seen by a camera tell a teacher: what those of numbers show."""

import numpy as np
import pytest

from sim2real.domains.contract import interface
from sim2real.domains.world import World


@pytest.mark.parametrize(
    ("name", "kwargs", "silent"),
    [
        ("Labyrinth", {"layout": "medium-1"}, {}),
        ("Drive", {"rays": 16}, {"lidar_noise": 0.0, "lidar_dropout": 0.0}),
        ("SkidDrive", {}, {"lidar_noise": 0.0, "lidar_dropout": 0.0}),
    ],
)
def test_a_teacher_reads_what_is_shown_without_a_camera(name, kwargs, silent):
    seeing = World.of(f"sim2real/{name}-v0", kwargs={**kwargs, "observation": "camera"}).make()
    numbers = World.of(f"sim2real/{name}-v0", kwargs=kwargs).with_domain(silent, "silent").make()
    assert interface(numbers).privileged_channels is None
    assert interface(seeing).as_teacher() == interface(numbers)
    seeing.reset(seed=3)
    shown, _ = numbers.reset(seed=3)
    for _ in range(8):
        told = seeing.get_wrapper_attr("privileged_observation")()
        assert told.dtype == np.float32
        np.testing.assert_array_equal(told, shown)
        action = np.full(seeing.action_space.shape, 0.3, np.float32)
        seeing.step(action)
        shown, *_ = numbers.step(action)
    seeing.close()
    numbers.close()
