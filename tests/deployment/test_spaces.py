import json
from collections import OrderedDict

import numpy as np
import pytest
from gymnasium import spaces

from sim2real.deployment.spaces import space_from_json, space_to_json
from sim2real.errors import Sim2RealError

SPACES = [
    spaces.Box(-1, 1, (3,), np.float32),
    spaces.Box(-np.inf, np.inf, (2, 2), np.float64),
    spaces.Box(np.array([-1, -np.inf, 0.1], np.float32), np.array([1, 0, np.inf], np.float32)),
    spaces.Box(0, 9, (), np.int64),
    spaces.Discrete(4),
    spaces.Discrete(4, start=-1),
    spaces.MultiBinary(3),
    spaces.MultiBinary([2, 3]),
    spaces.MultiDiscrete([4, 2]),
    spaces.Dict(OrderedDict(z=spaces.Discrete(2), a=spaces.Box(-1, 1, (1,), np.float32))),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_round_trip(space):
    twin = space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False)), "space")
    assert twin == space
    assert twin.dtype == space.dtype
    if isinstance(space, spaces.Box):
        np.testing.assert_array_equal(twin.low, space.low)
        np.testing.assert_array_equal(twin.high, space.high)
    if isinstance(space, spaces.Dict):
        assert list(twin) == list(space) == ["z", "a"]


@pytest.mark.parametrize(
    "space", [spaces.Text(3), spaces.Tuple([spaces.Discrete(2)]), spaces.Dict(a=spaces.Dict(b=spaces.Discrete(2)))]
)
def test_other_spaces_are_refused(space):
    with pytest.raises(Sim2RealError, match="not supported"):
        space_to_json(space)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (3, "space: expected the description of a space with a 'type'."),
        ({"type": "Discrete", "n": 3}, "space: 'start' is missing."),
        ({"type": "Discrete", "n": 0, "start": 0}, "space: n = 0 must be a whole number from 1 to 1000000."),
        ({"type": "Discrete", "n": 3, "start": 0, "m": 1}, "space: unknown key 'm'. Known: type, n, start."),
        ({"type": "Box", "shape": [1], "dtype": "float32", "low": 1, "high": 0}, "space: low is above high."),
        (
            {"type": "Box", "shape": [1], "dtype": "float32", "low": "x", "high": 0},
            "space: low = 'x' must be a number.",
        ),
        ({"type": "Dict", "spaces": [["a"]]}, "space: spaces must be a list of [key, space] pairs with distinct keys."),
    ],
)
def test_descriptions_that_are_wrong_are_refused(plain, message):
    with pytest.raises(Sim2RealError) as caught:
        space_from_json(plain, "space")
    assert str(caught.value) == message
