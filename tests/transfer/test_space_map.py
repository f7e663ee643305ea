"""Space maps: which number is which, as the user is shown it and as it is done."""

import re

import gymnasium as gym
import numpy as np
import pytest
from shapes import face

from sim2real.domains.channels import Channel
from sim2real.domains.contract import Interface
from sim2real.domains.units import conversion
from sim2real.errors import Sim2RealError
from sim2real.transfer.space_map import interpolation, map_spaces, read_map


def words(space_map, kind="observation"):
    """Return what is said of each channel: what, policy, env."""
    return [(link.what, link.policy, link.env) for link in getattr(space_map, kind).links]


def of(observation, action=(("push", 1, "1", -1.0, 1.0),), choices=None):
    """Return an interface with channels (name, width, unit, low, high)."""
    sides = []
    for rows in (observation, action):
        channels = tuple(Channel(name=n, width=w, unit=u, low=lo, high=hi) for n, w, u, lo, hi in rows)
        ends = [np.repeat([getattr(c, end) for c in channels], [c.width for c in channels]) for end in ("low", "high")]
        sides.append((gym.spaces.Box(*(end.astype(np.float32) for end in ends)), channels))
    (seen, seen_channels), (done, done_channels) = sides
    return Interface(seen, gym.spaces.Discrete(choices) if choices else done, seen_channels, done_channels)


def test_the_same_spaces_are_the_same():
    found = map_spaces(face(), face())
    np.testing.assert_array_equal(found.observation.matrix, np.eye(2))
    np.testing.assert_array_equal(found.action.matrix, np.eye(1))
    assert not found.observation.offset.any()
    assert words(found) == [("kept", "position[1] m", "position[1] m"), ("kept", "velocity[1] m/s", "velocity[1] m/s")]
    assert found.warnings == ()


def test_channels_are_found_wherever_they_stand():
    found = map_spaces(face(), face(order=("velocity", "position")))
    np.testing.assert_array_equal(found.observation.matrix, [[0.0, 1.0], [1.0, 0.0]])
    assert [what for what, *_ in words(found)] == ["moved", "moved"]


def test_units_are_converted():
    found = map_spaces(face(), face(unit="mm"))
    np.testing.assert_allclose(found.observation.matrix, [[0.001, 0.0], [0.0, 1.0]], rtol=1e-15)
    assert words(found)[0] == ("re-scaled", "position[1] m", "position[1] mm")
    assert found.observation.links[0].how == "× 0.001"
    warm = map_spaces(of([("heat", 1, "kelvin", 0.0, 400.0)]), of([("heat", 1, "degC", -50.0, 100.0)]))
    np.testing.assert_allclose(warm.observation.matrix @ [20.0] + warm.observation.offset, [293.15])


def test_pure_numbers_go_from_bounds_to_bounds():
    found = map_spaces(of([("grip", 2, "1", 0.0, 1.0)]), of([("grip", 2, "1", 0.0, 255.0)]))
    np.testing.assert_allclose(found.observation.matrix @ [51.0, 255.0] + found.observation.offset, [0.2, 1.0])
    acted = map_spaces(
        of([("x", 1, "m", -1, 1)], [("gas", 1, "1", -1.0, 1.0)]),
        of([("x", 1, "m", -1, 1)], [("gas", 1, "1", 0.0, 10.0)]),
    )
    np.testing.assert_allclose(acted.action.matrix @ [0.0] + acted.action.offset, [5.0])


def test_an_angle_is_no_pure_number_and_no_frequency():
    assert conversion("deg", "rad") == (pytest.approx(np.pi / 180), 0.0)
    assert conversion("km/h", "m/s")[0] == pytest.approx(1 / 3.6)
    for pair in (("rad", "1"), ("rad/s", "Hz"), ("m", "deg")):
        with pytest.raises(Sim2RealError, match="cannot be converted"):
            conversion(*pair)
    with pytest.raises(
        Sim2RealError, match=r"^'furlongg' or 'm' is no unit that is known; write it as 'm/s', 'rad', 'N m'\.$"
    ):
        conversion("furlongg", "m")


def test_what_is_new_and_what_is_gone_is_said():
    found = map_spaces(face(order=("position", "temperature")), face(order=("velocity", "position"), push="thrust"))
    assert words(found) == [
        ("moved", "position[1] m", "position[1] m"),
        ("gone", "temperature[1] degC", ""),
        ("new", "", "velocity[1] m/s"),
    ]
    assert words(found, "action") == [("new", "", "thrust[1] 1"), ("gone", "push[1] 1", "")]
    assert not found.action.matrix.any()


def test_samples_are_interpolated_from_end_to_end():
    found = map_spaces(face(order=("beacons",), beacons=5), face(order=("beacons",), beacons=3))
    matrix = found.observation.matrix
    np.testing.assert_allclose(matrix @ [0.0, 1.0, 4.0], [0.0, 0.5, 1.0, 2.5, 4.0])
    assert found.observation.links[0].what == "interpolated"
    assert found.observation.links[0].how == "3 to 5 samples"
    np.testing.assert_array_equal(interpolation(4, 4), np.eye(4))
    np.testing.assert_array_equal(interpolation(3, 1), np.ones((3, 1)))
    np.testing.assert_allclose(interpolation(7, 4).sum(axis=1), 1.0)


def test_of_other_widths_the_first_numbers_are_the_same():
    found = map_spaces(of([("joint", 3, "rad", -4.0, 4.0)]), of([("joint", 2, "rad", -7.0, 7.0)]))
    np.testing.assert_array_equal(found.observation.matrix, [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert found.observation.links[0].how == "number 2 of 3 not there"
    more = map_spaces(of([("joint", 2, "rad", -4.0, 4.0)]), of([("joint", 4, "rad", -7.0, 7.0)]))
    assert [(link.what, link.how) for link in more.observation.links] == [("kept", ""), ("new", "numbers 2, 3 of 4")]


def test_without_names_numbers_are_matched_by_position_and_the_cost_is_told():
    found = map_spaces(face(named=False), face(order=("velocity", "position", "temperature")))
    np.testing.assert_array_equal(found.observation.matrix, np.eye(2, 3))
    assert found.warnings[0] == (
        "the policy names no observation channels: its numbers are matched by their position, which is wrong wherever "
        "a number stands in another place or unit. Name them (observation_channels of the env) or say in a map which "
        "is which."
    )
    narrow = face(named=False)._replace(action=gym.spaces.Box(-1.0, 1.0, (1,)))
    wide = face(named=False)._replace(action=gym.spaces.Box(0.0, 4.0, (2,)))
    acted = map_spaces(narrow, wide).action
    np.testing.assert_allclose(acted.matrix @ [0.5] + acted.offset, [3.0, 0.0])


def test_the_user_may_say_otherwise(tmp_path):
    file = tmp_path / "map.yaml"
    file.write_text(
        "observation:\n"
        "  position: {from: place, scale: -1, offset: 0.5}\n"
        "  joint: {from: joint, elements: [1, null, 0], scale: [1, 1, 2]}\n"
        "  speed: {from: {vx: 1.0, vy: -0.5}, offset: 0.25}\n"
        "  gone: null\n"
        "  fixed: {offset: 3}\n"
        "action:\n"
        "  left: {from: {gas: 1.0, wheel: -0.5}}\n"
    )
    policy = of(
        [
            ("position", 1, "m", -9, 9),
            ("joint", 3, "rad", -4, 4),
            ("speed", 1, "m/s", -9, 9),
            ("gone", 1, "m", -9, 9),
            ("fixed", 1, "m", -9, 9),
        ],
        [("gas", 1, "1", -1, 1), ("wheel", 1, "1", -1, 1)],
    )
    env = of(
        [
            ("place", 1, "cm", -9, 9),
            ("joint", 2, "rad", -4, 4),
            ("vx", 1, "m/s", -9, 9),
            ("vy", 1, "m/s", -9, 9),
            ("gone", 1, "m", -9, 9),
        ],
        [("left", 1, "1", -1, 1)],
    )
    found = map_spaces(policy, env, read_map(file))
    seen = found.observation.matrix @ [100.0, 2.0, 3.0, 4.0, 5.0, 6.0] + found.observation.offset
    np.testing.assert_allclose(seen, [-0.5, 3.0, 0.0, 4.0, 1.75, 0.0, 3.0])
    np.testing.assert_allclose(found.action.matrix @ [0.8, 0.4], [0.6])
    assert [(link.what, link.how) for link in found.observation.links] == [
        ("re-scaled", "× −0.01 + 0.5"),
        ("re-scaled", "number 1 of 3 not there, × [1, 2]"),
        ("combined", "1 vx − 0.5 vy + 0.25"),
        ("gone", "its mean in training"),
        ("constant", "3"),
        ("new", ""),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"observations": {}},
            "map: unknown key 'observations'. Did you mean 'observation'? Known: observation, action.",
        ),
        (
            {"observation": {"positon": None}},
            "unknown observation channel of the policy 'positon'. Did you mean 'position'? Known: position, velocity.",
        ),
        (
            {"observation": {"position": "place"}},
            "unknown observation channel of the env 'place'. Known: position, velocity.",
        ),
        (
            {"action": {"push": {"from": "pull"}}},
            "unknown action channel of the policy 'pull'. Known: push.",
        ),
        (
            {"observation": {"position": "velocity"}},
            "observation channel 'position' of the policy is in 'm', 'velocity' of the env in 'm/s': 'm/s' cannot be "
            "converted into 'm'. Say in a map where it comes from, or that it is null.",
        ),
        (
            {"observation": {"position": {"from": "position", "elements": [0, 1]}}},
            "map: observation: position: elements = [0, 1] must be a list of 1, one a number.",
        ),
        (
            {"observation": {"position": {"from": "position", "elements": [1]}}},
            "map: observation: position: element 1 must be a whole number from 0 to 0, or null.",
        ),
        (
            {"observation": {"position": {"from": {"position": 0}}}},
            "map: observation: position: the weight of position = 0 must be a finite number, not 0.",
        ),
        (
            {"observation": {"position": {"elements": [0], "from": {"position": 1}}}},
            "map: observation: position: elements goes with one channel's name, write from: NAME.",
        ),
        (
            {"observation": {"position": {}}},
            "map: observation: position: say where it comes from (from: NAME), or that it is null.",
        ),
        (
            {"observation": {"position": {"from": "position", "scale": 0}}},
            "map: observation: position: scale = 0 must not be 0; null says that it is not there.",
        ),
        (
            {"observation": {"position": {"from": "position", "offset": [1, 2]}}},
            "map: observation: position: offset = [1, 2] must be a finite number, or a list of 1.",
        ),
        (
            {"observation": {"position": 3}},
            "map: observation: position: expected a mapping of names to values, got 3.",
        ),
    ],
)
def test_contradictions_are_refused(overrides, message):
    with pytest.raises(Sim2RealError) as caught:
        map_spaces(face(), face(), overrides)
    assert str(caught.value) == message


def test_a_number_named_twice_and_sums_of_other_widths_are_refused():
    joints = of([("joint", 2, "rad", -4, 4), ("base", 1, "rad", -4, 4)])
    with pytest.raises(Sim2RealError, match=re.escape("elements = [1, 1] name a number of joint twice.")):
        map_spaces(joints, joints, {"observation": {"joint": {"from": "joint", "elements": [1, 1]}}})
    with pytest.raises(Sim2RealError, match="joint has 2 numbers and base 1; a sum needs equal widths"):
        map_spaces(joints, joints, {"observation": {"base": {"from": {"joint": 1.0}}}})


def test_the_same_name_in_other_kinds_of_units_is_refused():
    with pytest.raises(Sim2RealError) as caught:
        map_spaces(face(), face(unit="deg"))
    assert str(caught.value) == (
        "observation channel 'position' of the policy is in 'm', 'position' of the env in 'deg': 'deg' cannot be "
        "converted into 'm'. Say in a map where it comes from, or that it is null."
    )


def test_pictures_dicts_and_wrong_widths_are_refused():
    picture = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    with pytest.raises(Sim2RealError, match="between pictures and numbers an encoder is needed"):
        map_spaces(face(), face(named=False)._replace(observation=picture))
    with pytest.raises(Sim2RealError, match=r"FlattenObservation makes one"):
        map_spaces(face(), face(named=False)._replace(observation=gym.spaces.Dict({"a": picture})))
    with pytest.raises(Sim2RealError, match=r"^the env: observation_channels are 2 wide and the observation 3\.$"):
        map_spaces(face(), face()._replace(observation=gym.spaces.Box(-1.0, 1.0, (3,))))
