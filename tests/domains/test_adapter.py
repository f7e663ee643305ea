import sys

import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Echo

from sim2real.domains.adapter import AdaptDomain, DomainFile
from sim2real.domains.contract import domain_space, get_domain, set_domain
from sim2real.domains.signals import SIGNALS
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

LENGTH = {"path": "unwrapped.length", "nominal": 0.5, "low": 0.25, "high": 1.0, "unit": "m"}
P = "p: {path: x, nominal: 1, low: 0, high: 2}\n"


class Model(Echo):
    """Numbers in the places where they lie in real simulators."""

    def __init__(self):
        super().__init__()
        self.gravity = 10.0
        self.bias = 2.0
        self.zero = 0.0
        self.flag = True
        self.name = "model"
        self.body_mass = np.array([1.0, 2.0, 4.0])
        self.links = [{"size": 1.0}, 3.0]
        self.fixed = (1.0, 2.0)
        self._hidden = 1.0

    @property
    def weight(self):
        return self.gravity * self.body_mass[0]


def adapted(path, operator="=", nominal=1.0, low=0.0, high=5.0):
    fields = {"path": path, "nominal": nominal, "low": low, "high": high, "operator": operator}
    return AdaptDomain(Model(), {"p": fields})


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "domain.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("operator", "value", "expected"), [("=", 3.0, 3.0), ("*", 0.5, 5.0), ("*", 1.0, 10.0), ("+", 1.5, 11.5)]
)
def test_an_operator_acts_on_what_the_env_was_built_with(operator, value, expected):
    env = adapted("unwrapped.gravity", operator)
    for _ in range(3):  # never twice on top of itself
        env.reset(options={"domain": {"p": value}})
        assert env.unwrapped.gravity == pytest.approx(expected)
        assert get_domain(env) == {"p": pytest.approx(value)}


def test_a_path_reaches_into_arrays_lists_and_objects():
    env = AdaptDomain(
        gym.wrappers.TimeLimit(Model(), 5),
        {
            "mass": {"path": "unwrapped.body_mass[1]", "nominal": 2, "low": 0, "high": 9},
            "link": {"path": "unwrapped.links[1]", "nominal": 3, "low": 0, "high": 9},
            "gravity": {"path": "env.gravity", "nominal": 10, "low": 0, "high": 20},
        },
    )
    env.reset(options={"domain": {"mass": 5.0, "link": 4.0}})
    np.testing.assert_array_equal(env.unwrapped.body_mass, [1.0, 5.0, 4.0])
    assert env.unwrapped.links[1] == 4.0
    assert get_domain(env) == {"mass": 5.0, "link": 4.0, "gravity": 10.0}


def test_the_domain_is_read_from_the_attribute_itself():
    env = adapted("unwrapped.bias")
    env.reset(options={"domain": {"p": 3.0}})
    env.unwrapped.bias = 4.0
    assert get_domain(env) == {"p": 4.0}


def test_the_attribute_is_set_before_the_env_is_reset_and_the_hook_has_run():
    seen = []

    class Watches(Model):
        def reset(self, **kwargs):
            seen.append((self.gravity, self.bias))
            return super().reset(**kwargs)

    def hook(env):
        env.unwrapped.bias = 2.0 * env.unwrapped.gravity

    fields = {"path": "unwrapped.gravity", "nominal": 10.0, "low": 0.0, "high": 20.0}
    env = AdaptDomain(Watches(), {"g": fields}, after_set=hook)
    set_domain(env, {"g": 7.0})
    assert env.unwrapped.gravity == 10.0
    env.reset(seed=0)
    assert seen == [(7.0, 14.0)]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "is empty; write attribute names and [index], like unwrapped.x[0]."),
        (".x", "is not a path; write attribute names and [index], like unwrapped.x[0]."),
        ("unwrapped.", "is not a path; write attribute names and [index], like unwrapped.x[0]."),
        ("unwrapped..x", "is not a path; write attribute names and [index], like unwrapped.x[0]."),
        ("unwrapped.x[-1]", "is not a path; write attribute names and [index], like unwrapped.x[0]."),
        ("unwrapped.x y", "is not a path; write attribute names and [index], like unwrapped.x[0]."),
        ("unwrapped.name", "is 'model', not a number; point it at a number."),
        ("unwrapped.flag", "is True, not a number; point it at a number."),
        ("unwrapped.body_mass", "is array([1., 2., 4.]), not a number; point it at a number."),
        ("unwrapped.links[0]", "is {'size': 1.0}, not a number; point it at a number."),
    ],
)
def test_a_path_that_leads_to_no_number_is_refused(path, message):
    with pytest.raises(Sim2RealError) as error:
        adapted(path)
    assert str(error.value) == f"parameter 'p': path {path!r} {message}"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("unwrapped.gravty", ": unknown attribute 'gravty'. Did you mean 'gravity'? Known: "),
        ("unwrapped.body_mass[7]", ": unknown attribute '7'."),
        ("unwrapped.gravity[0]", ": unknown attribute '0'."),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_a_guess(path, message):
    with pytest.raises(Sim2RealError) as error:
        adapted(path)
    assert str(error.value).startswith(f"parameter 'p': path {path!r}{message}")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("unwrapped.fixed[0]", "'tuple' object does not support item assignment"),
        ("unwrapped.weight", "property 'weight' of 'Model' object has no setter"),
    ],
)
def test_a_number_that_cannot_be_set_is_refused(path, message):
    env = adapted(path)
    with pytest.raises(Sim2RealError) as error:
        env.reset(seed=0)
    assert str(error.value) == f"parameter 'p': path {path!r} cannot be set: {message}."


def test_a_zero_cannot_be_scaled():
    with pytest.raises(Sim2RealError) as error:
        adapted("unwrapped.zero", "*")
    assert str(error.value) == (
        "parameter 'p': path 'unwrapped.zero' is 0, which operator '*' cannot scale; use '=' or '+'."
    )
    env = adapted("unwrapped.zero", "+")
    env.reset(options={"domain": {"p": 0.5}})
    assert get_domain(env) == {"p": 0.5}


def test_a_domain_file_in_full(write, tmp_path):
    (tmp_path / "cart_hooks.py").write_text(
        "def recompute(env):\n"
        "    cart = env.unwrapped\n"
        "    cart.total_mass = cart.masspole + cart.masscart\n"
        "    cart.polemass_length = cart.masspole * cart.length\n"
    )
    path = write(
        "# a pole that can be swapped\n"
        "length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0, unit: m, train: [0.4, 0.6]}\n"
        "mass: {path: unwrapped.masspole, nominal: 1, low: 0.5, high: 4, operator: '*'}\n"
        "after_set: cart_hooks:recompute\n"
        "signals: {observation_noise: {std: 0.01, high: 2, train: [0, 1]}}\n"
        "targets: {long: {description: twice as long, domain: {length: 1.0}}}\n"
    )
    file = DomainFile.read(path)
    assert file.folder == str(tmp_path)
    world = World.of("CartPole-v1", domain_file=path)
    assert world.domain_file == file
    env = world.make()
    assert list(domain_space(env)) == ["length", "mass", "observation_noise"]
    assert domain_space(env)["length"].train == (0.4, 0.6)
    _, info = env.reset(seed=0, options={"domain": {"length": 0.8, "mass": 2.0}})
    assert info["domain"] == {"length": 0.8, "mass": 2.0, "observation_noise": 0.0}
    cart = env.unwrapped
    assert (cart.masspole, cart.total_mass) == (pytest.approx(0.2), pytest.approx(1.2))
    assert cart.polemass_length == pytest.approx(0.16)
    env.reset()
    assert cart.total_mass == pytest.approx(1.1)
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "p: 3\n",
            "parameter 'p' must be a mapping like {path: unwrapped.p, nominal: 1.0, low: 0.5, high: 2.0}, got 3.",
        ),
        (
            "p: {nominal: 1, low: 0, high: 2}\n",
            "parameter 'p': 'path' is missing; give an attribute path from the env.",
        ),
        ("p: {path: x, low: 0, high: 2}\n", "parameter 'p': 'nominal' is missing; give nominal, low and high."),
        (
            "p: {path: x, nominal: 1, lo: 0, high: 2}\n",
            "parameter 'p': unknown key 'lo'. Did you mean 'low'? Known: nominal, low, high, unit, operator, train.",
        ),
        ("p: {path: x, nominal: 1, low: 2, high: 0}\n", "parameter 'p': low = 2 is above high = 0; swap them."),
        ("p: {path: x, nominal: yes, low: 0, high: 2}\n", "parameter 'p': nominal = True must be a finite number."),
        ("p: {path: x, nominal: .nan, low: 0, high: 2}\n", "parameter 'p': nominal = nan must be a finite number."),
        (
            "p: {path: x, nominal: 1, low: 0, high: 2, operator: x}\n",
            "parameter 'p': unknown operator 'x'. Known: *, +, =.",
        ),
        (
            "signals: {action_dely: {}}\n",
            f"signals: unknown key 'action_dely'. Did you mean 'action_delay'? Known: {', '.join(SIGNALS)}.",
        ),
        (
            "signals: {action_delay: {hihg: 2}}\n",
            "signals: action_delay: unknown key 'hihg'. Did you mean 'high'? Known: high, train, jitter.",
        ),
        (
            "signals: {action_delay: {std: 2}}\n",
            "signals: action_delay: unknown key 'std'. Known: high, train, jitter.",
        ),
        ("signals: {action_delay: 2}\n", "signals: action_delay: expected a mapping of names to values, got 2."),
        ("targets: [a]\n", "targets: expected a mapping of names to values, got ['a']."),
        ("after_set: recompute\n", "after_set = 'recompute' must be 'module:function'."),
        ("after_set: 5\n", "after_set = 5 must be 'module:function'."),
        (
            P + "after_set: no_such_hooks:f\n",
            "after_set = 'no_such_hooks:f': cannot import 'no_such_hooks' (No module named 'no_such_hooks').",
        ),
        (P + "after_set: json:recompute\n", "after_set = 'json:recompute': 'json' has no function 'recompute'."),
        (
            "signals: {action_delay: {high: 2}}\nafter_set: json:loads\n",
            "after_set = 'json:loads' is called when parameters are set, and there are none; name some or leave it "
            "out.",
        ),
        (
            P + "taregts: {a: {domain: {p: 1}}}\n",
            "unknown key 'taregts'. Did you mean 'targets'? A parameter is a mapping like {path: unwrapped.taregts, "
            "nominal: 1.0, low: 0.5, high: 2.0}.",
        ),
        (
            "aftr_set: json:loads\n",
            "unknown key 'aftr_set'. Did you mean 'after_set'? A parameter is a mapping like "
            "{path: unwrapped.aftr_set, nominal: 1.0, low: 0.5, high: 2.0}.",
        ),
        (
            "target: {nominal: 1, low: 0, high: 2}\n",
            "parameter 'target': 'path' is missing; give an attribute path from the env.",
        ),
        (
            "targets: {on: {domain: {p: 1}}}\n",
            "targets: the name True is not text; put it in quotes (YAML takes on, off, yes and no for true and false).",
        ),
        ("targets: {a: 5}\n", "target 'a': expected a mapping of names to values, got 5."),
        (
            "targets: {a: {domian: {}}}\n",
            "target 'a': unknown key 'domian'. Did you mean 'domain'? Known: description, env, kwargs, domain.",
        ),
        (
            "p: {path: x, nominal: 1, low: 0, high: 2, unit: 1}\n",
            "parameter 'p': unit = 1 must be text, like 'kg'.",
        ),
        ("", "expected a mapping of names to values at the top."),
        ("- p\n", "expected a mapping of names to values at the top."),
    ],
)
def test_a_wrong_domain_file_is_refused_with_its_path(write, text, message):
    path = write(text)
    with pytest.raises(Sim2RealError) as error:
        DomainFile.read(path)
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p: {path: x}\np: {path: y}\n", "key 'p' stands twice"),
        ("p: {path: x, low: 0, low: 1}\n", "key 'low' stands twice"),
        ("p: [1\n", "while parsing a flow sequence"),
        ("? [p]\n: 1\n", "found unhashable key"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_in_one_line(write, text, message):
    path = write(text)
    with pytest.raises(Sim2RealError) as error:
        DomainFile.read(path)
    assert str(error.value).startswith(f"{path} is not valid YAML: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_yaml_may_share_fields_between_parameters(write):
    file = DomainFile.read(
        write("a: &a {path: unwrapped.x, nominal: 1, low: 0, high: 2}\nb: {<<: *a, path: unwrapped.y}\n")
    )
    assert file.parameters["b"] == {"path": "unwrapped.y", "nominal": 1, "low": 0, "high": 2}


def test_a_hook_whose_module_is_broken_is_a_mistake_of_the_user(write, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_hooks.py").write_text("def recompute(:\n")
    with pytest.raises(Sim2RealError, match="cannot import 'broken_hooks'"):
        DomainFile.read(write(P + "after_set: broken_hooks:recompute\n"))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Sim2RealError) as error:
        DomainFile.read(tmp_path / "none.yaml")
    assert str(error.value) == f"cannot read {tmp_path / 'none.yaml'}: No such file or directory."


def test_a_parameter_that_the_env_does_not_have_is_told_with_the_env():
    file = DomainFile(parameters={"length": {**LENGTH, "path": "unwrapped.lenght"}})
    with pytest.raises(Sim2RealError) as error:
        World.of("CartPole-v1", domain_file=file).make()
    assert str(error.value).startswith(
        "domain file for CartPole-v1: parameter 'length': path 'unwrapped.lenght': unknown attribute 'lenght'. "
        "Did you mean 'length'? Known: "
    )


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ({"action_delay": {"high": "abc"}}, "parameter 'action_delay': high = 'abc' must be a finite number."),
        ({"observation_noise": {"train": 5}}, "parameter 'observation_noise': train = 5 must be a pair [low, high]."),
        ({"observation_noise": {"std": "abc"}}, "observation_noise: std = 'abc' must be a positive number."),
    ],
)
def test_a_wrong_signal_is_named(signals, message):
    with pytest.raises(Sim2RealError) as error:
        World.of("Pendulum-v1", domain_file=DomainFile(signals=signals)).make()
    assert str(error.value) == f"domain file for Pendulum-v1: {message}"
