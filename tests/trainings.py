"""Trainings that are interrupted, and how two are compared."""

import numpy as np


def interrupt_at(step):
    """Return a listener that interrupts a training, as Ctrl-C does."""

    def listen(done):
        if done >= step:
            raise KeyboardInterrupt

    return listen


def assert_same_training(one, other):
    """Compare two trainings: what was measured in them, and the weights that they ended with."""
    assert one.curve == other.curve
    assert one.policy.weights.keys() == other.policy.weights.keys()
    for name, array in one.policy.weights.items():
        np.testing.assert_array_equal(array, other.policy.weights[name])
