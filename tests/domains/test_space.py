import json
import pickle

import numpy as np
import pytest

from sim2real.domains.space import DomainSpace, Parameter
from sim2real.errors import Sim2RealError


@pytest.fixture
def space():
    return DomainSpace(
        {
            "mass": Parameter(nominal=1.0, low=0.5, high=2.0, unit="kg", operator="*", train=(0.8, 1.2)),
            "delay": {"nominal": 0.0, "low": 0.0, "high": 3.0},
        }
    )


def test_a_space_is_an_ordered_mapping_from_name_to_parameter(space):
    assert list(space) == ["mass", "delay"]
    assert len(space) == 2
    assert space["delay"] == Parameter(nominal=0.0, low=0.0, high=3.0)
    assert space["mass"].train_range == (0.8, 1.2)
    assert space["delay"].train_range == (0.0, 3.0)
    assert space.nominal() == {"mass": 1.0, "delay": 0.0}
    assert not DomainSpace()


def test_a_space_reads_as_a_table_of_operators_ranges_and_units(space):
    assert repr(space) == "DomainSpace(mass *U(0.8, 1.2) kg, delay =U(0, 3))"


def test_complete_fills_in_nominal_values_and_returns_plain_floats(space):
    full = space.complete({"delay": np.float32(2)})
    assert full == {"mass": 1.0, "delay": 2.0}
    assert type(full["delay"]) is float
    assert space.complete({"mass": "1e0"})["mass"] == 1.0  # YAML 1.1 reads 1e0 as a string
    assert space.complete({"mass": 0.5}) == {"mass": 0.5, "delay": 0.0}  # bounds belong to the space
    assert space.complete({"mass": 2.0}) == {"mass": 2.0, "delay": 0.0}


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"mas": 1.0}, "unknown domain parameter 'mas'. Did you mean 'mass'? Known: delay, mass."),
        (
            {"mass": 2.5},
            "domain parameter mass = 2.5 kg is outside its bounds [0.5, 2] kg; choose a value inside them.",
        ),
        ({"delay": -1}, "domain parameter delay = -1 is outside its bounds [0, 3]; choose a value inside them."),
        ({"mass": float("nan")}, "domain parameter mass = nan must be a finite number."),
        ({"mass": True}, "domain parameter mass = True must be a finite number."),
        ({"mass": "heavy"}, "domain parameter mass = 'heavy' must be a finite number."),
        ({"mass": None}, "domain parameter mass = None must be a finite number."),
        ({"mass": [1.0]}, "domain parameter mass = [1.0] must be a finite number."),
    ],
)
def test_complete_refuses_what_the_space_does_not_hold(space, domain, message):
    with pytest.raises(Sim2RealError) as error:
        space.complete(domain)
    assert str(error.value) == message


@pytest.mark.parametrize("domain", [["mass"], "mass", 1.0])
def test_complete_refuses_what_is_no_mapping(space, domain):
    with pytest.raises(Sim2RealError, match="expected a mapping of names to values"):
        space.complete(domain)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nominal": 1, "low": 2, "high": 0}, "low = 2 is above high = 0; swap them."),
        ({"nominal": 3, "low": 0, "high": 2}, "nominal = 3 is outside its bounds [0, 2]; widen the bounds."),
        ({"nominal": "x", "low": 0, "high": 2}, "nominal = 'x' must be a finite number."),
        ({"nominal": 1, "low": 0, "high": float("inf")}, "high = inf must be a finite number."),
        ({"nominal": 1, "low": False, "high": 2}, "low = False must be a finite number."),
        ({"nominal": 1, "low": 0, "high": 2, "operator": "/"}, "unknown operator '/'. Known: *, +, =."),
        ({"nominal": 1, "low": 0, "high": 2, "train": 1}, "train = 1 must be a pair [low, high]."),
        (
            {"nominal": 1, "low": 0, "high": 2, "train": (1, 3)},
            "train = [1, 3] must be ordered and inside the bounds [0, 2].",
        ),
        (
            {"nominal": 1, "low": 0, "high": 2, "train": [2, 1]},
            "train = [2, 1] must be ordered and inside the bounds [0, 2].",
        ),
    ],
)
def test_a_wrong_parameter_dies_at_construction(fields, message):
    with pytest.raises(Sim2RealError) as error:
        Parameter(**fields)
    assert str(error.value) == message
    with pytest.raises(Sim2RealError) as error:
        DomainSpace({"mass": fields})
    assert str(error.value) == f"parameter 'mass': {message}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"nominl": 1, "low": 0, "high": 2},
            "parameter 'mass': unknown key 'nominl'. Did you mean 'nominal'? "
            "Known: nominal, low, high, unit, operator, train.",
        ),
        ({"nominal": 1, "low": 0}, "parameter 'mass': 'high' is missing; give nominal, low and high."),
        (3.0, "parameter 'mass': expected a mapping of names to values, got 3.0."),
    ],
)
def test_a_parameter_of_the_wrong_form_is_named(fields, message):
    with pytest.raises(Sim2RealError) as error:
        DomainSpace({"mass": fields})
    assert str(error.value) == message


def test_a_parameter_cannot_be_changed_and_a_space_not_through_what_it_gives_out(space):
    with pytest.raises(AttributeError):
        space["mass"].high = 9.0
    space.nominal()["mass"] = 9.0
    assert space.nominal()["mass"] == 1.0


def test_joining_keeps_the_order_and_refuses_a_name_that_both_own(space):
    other = DomainSpace({"noise": Parameter(nominal=0, low=0, high=1)})
    assert list(space | other) == ["mass", "delay", "noise"]
    with pytest.raises(Sim2RealError) as error:
        space | space
    assert str(error.value) == "parameter 'mass' is owned twice; rename one of them."


def test_json_and_pickle_give_the_same_space_back(space):
    assert DomainSpace(json.loads(json.dumps(space.to_dict()))) == space
    assert pickle.loads(pickle.dumps(space)) == space
