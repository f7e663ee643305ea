import json
import pickle
import sys
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Sound

from sim2real.domains.adapter import DomainFile
from sim2real.domains.contract import domain_space, get_domain
from sim2real.domains.signals import SIGNALS
from sim2real.domains.targets import NOMINAL, Target, check_targets, find_target, list_targets, read_targets
from sim2real.domains.world import World, make_importable
from sim2real.errors import Sim2RealError

CART = DomainFile(
    parameters={
        "length": {"path": "unwrapped.length", "nominal": 0.5, "low": 0.25, "high": 1.0, "unit": "m"},
        "mass": {"path": "unwrapped.masspole", "nominal": 0.1, "low": 0.05, "high": 0.5, "train": [0.08, 0.12]},
    },
    signals={"observation_noise": {"std": 0.01}},
    targets={"long": {"description": "a long pole", "domain": {"length": 1.0}}},
)
WORLDS = [
    World(env="CartPole-v1"),
    World(env="Pendulum-v1", kwargs={"g": 9.0}),
    World.of("CartPole-v1", domain_file=CART),
    World.of("CartPole-v1", domain_file=CART).with_domain({"length": 1.0, "mass": 0.1}, "long"),
    World(env="tiny_envs:Sound-v0"),
]


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: f"{w.env}-{w.target}")
def test_a_world_comes_back_from_pickle_and_json_and_makes_the_same_env(world):
    def start(world):
        env = world.make(randomizer="uniform")
        observations = [env.reset(seed=3)[0].tobytes(), env.reset()[0].tobytes()]
        env.close()
        return observations, domain_space(env)

    for again in (
        pickle.loads(pickle.dumps(world)),
        World.from_dict(json.loads(json.dumps(world.to_dict(), allow_nan=False))),
    ):
        assert again == world
        assert start(again) == start(world)


def test_the_plain_form_of_a_world_is_a_copy():
    world = World.of("CartPole-v1", domain_file=CART)
    plain = world.to_dict()
    plain["kwargs"]["x"] = 1
    plain["domain_file"]["parameters"]["length"]["low"] = 9.0
    assert world.kwargs == {}
    assert world.domain_file == CART
    assert CART.parameters["length"]["low"] == 0.25


P = {"path": "unwrapped.x", "nominal": 1, "low": 0, "high": 2}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": 1}, "world: unknown key 'seed'. Known: env, kwargs, domain_file, domain, target."),
        ({"env": None}, "world: env = None must be the id of an env."),
        ({"env": 5}, "world: env = 5 must be the id of an env."),
        ({"kwargs": [1, 2]}, "world: kwargs = [1, 2] must be a mapping of names to values."),
        ({"kwargs": "abc"}, "world: kwargs = 'abc' must be a mapping of names to values."),
        ({"kwargs": {1: 2}}, "world: kwargs = {1: 2} must be a mapping of names to values."),
        ({"domain": [1]}, "world: domain = [1] must be a mapping of names to numbers."),
        ({"domain": {"p": "x"}}, "world: domain: p = 'x' must be a finite number."),
        ({"domain": {"p": float("inf")}}, "world: domain: p = inf must be a finite number."),
        ({"target": 3}, "world: target = 3 must be a name."),
        ({"domain_file": "x.yaml"}, "world: domain_file: expected a mapping of names to values, got 'x.yaml'."),
        (
            {"domain_file": {"folder": "/tmp"}},
            "world: domain_file: unknown key 'folder'. Known: parameters, after_set, signals, targets.",
        ),
        (
            {"domain_file": {"parameters": [1]}},
            "world: domain_file: parameters: expected a mapping of names to values, got [1].",
        ),
        (
            {"domain_file": {"parameters": {"p": 1}}},
            "world: domain_file: parameter 'p' must be a mapping like {path: unwrapped.p, nominal: 1.0, low: 0.5, "
            "high: 2.0}, got 1.",
        ),
        (
            {"domain_file": {"parameters": {"p": {**P, "high": "x"}}}},
            "world: domain_file: parameter 'p': high = 'x' must be a finite number.",
        ),
        (
            {"domain_file": {"signals": {"evil": {}}}},
            f"world: domain_file: signals: unknown key 'evil'. Known: {', '.join(SIGNALS)}.",
        ),
        (
            {"domain_file": {"signals": {"action_delay": {"env": 1}}}},
            "world: domain_file: signals: action_delay: unknown key 'env'. Known: high, train, jitter.",
        ),
        (
            {"domain_file": {"targets": 5}},
            "world: domain_file: targets: expected a mapping of names to values, got 5.",
        ),
        (
            {"domain_file": {"targets": {"a": 5}}},
            "world: domain_file: target 'a': expected a mapping of names to values, got 5.",
        ),
        (
            {"domain_file": {"parameters": {"p": P}, "after_set": 5}},
            "world: domain_file: after_set = 5 must be 'module:function'.",
        ),
    ],
)
def test_a_plain_form_that_was_tampered_with_is_refused(fields, message):
    with pytest.raises(Sim2RealError) as error:
        World.from_dict({"env": "CartPole-v1", **fields})
    assert str(error.value) == message


def test_a_plain_form_that_is_no_mapping_is_refused():
    with pytest.raises(Sim2RealError) as error:
        World.from_dict([1])
    assert str(error.value) == "world: expected a mapping of names to values, got [1]."


# --- a policy of a stranger names the function that is called ---

HOOK = """
import gymnasium as gym
calls = []
def recompute(env):
    calls.append(env)
gym.register("Hooked-v0", entry_point="gymnasium.envs.classic_control.cartpole:CartPoleEnv", max_episode_steps=9)
"""


def carried(env, after_set):
    """Return the world as it comes out of a policy."""
    parameters = {"length": {"path": "unwrapped.length", "nominal": 0.5, "low": 0.25, "high": 1.0}}
    return World.from_dict({"env": env, "domain_file": {"parameters": parameters, "after_set": after_set}})


@pytest.fixture
def hooked(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "hooked").mkdir()
    (tmp_path / "hooked/__init__.py").write_text(HOOK)
    (tmp_path / "hooked/parts.py").write_text("from hooked import recompute\n")
    (tmp_path / "hooked_too.py").write_text("raise SystemExit('imported')\n")
    yield tmp_path
    for name in ("hooked", "hooked.parts"):
        sys.modules.pop(name, None)
    gym.registry.pop("Hooked-v0", None)


@pytest.mark.parametrize(
    ("env", "after_set"),
    [
        ("CartPole-v1", "hooked_too:recompute"),
        ("hooked:Hooked-v0", "hooked_too:recompute"),
        ("hooked:Hooked-v0", "os:system"),
        (":CartPole-v1", "hooked_too:recompute"),
    ],
)
@pytest.mark.usefixtures("hooked")
def test_a_policys_world_never_calls_a_function_outside_the_envs_own_module(env, after_set):
    with pytest.raises(Sim2RealError) as error:
        carried(env, after_set).make()
    assert str(error.value) == (
        f"the policy's world calls after_set = {after_set!r}, which is not of the env's own module; give the domain "
        "file yourself with --domain FILE if you trust it."
    )


@pytest.mark.parametrize("after_set", ["hooked:recompute", "hooked.parts:recompute"])
@pytest.mark.usefixtures("hooked")
def test_a_policys_world_calls_a_function_of_the_envs_own_module(after_set):
    world = pickle.loads(pickle.dumps(carried("hooked:Hooked-v0", after_set)))
    world.make().reset(seed=0)
    assert len(sys.modules["hooked"].calls) == 1


def test_a_function_outside_the_envs_module_is_called_from_a_file_of_the_user(hooked):
    path = hooked / "cart.yaml"
    path.write_text(
        "length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0}\nafter_set: hooked:recompute\n"
    )
    world = World.of("CartPole-v1", domain_file=path)
    pickle.loads(pickle.dumps(world)).make().reset(seed=0)  # as a worker gets it
    assert len(sys.modules["hooked"].calls) == 1
    assert "folder" not in world.to_dict()["domain_file"]
    with pytest.raises(Sim2RealError, match="the policy's world calls after_set = 'hooked:recompute'"):
        World.from_dict(world.to_dict()).make()


def test_of_takes_a_world_as_it_is_and_reads_a_file(tmp_path):
    world = World(env="CartPole-v1")
    assert World.of(world) is world
    path = tmp_path / "cart.yaml"
    path.write_text("length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0}\n")
    assert World.of("CartPole-v1", domain_file=path) == World.of("CartPole-v1", domain_file=str(path))
    assert World.of("CartPole-v1", kwargs={"a": 1}).kwargs == {"a": 1}
    with pytest.raises(Sim2RealError):  # silently dropping it would train in another world
        World.of(world, domain_file=path)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            "CartPol-v1",
            "unknown env 'CartPol-v1'. Did you mean 'CartPole-v1'? 'sim2real envs' lists the worlds; "
            "an env of your own is 'module:Name-v0'.",
        ),
        (
            "no_such_pkg:Cart-v0",
            "unknown env 'no_such_pkg:Cart-v0': there is no module 'no_such_pkg' here; run from the folder that "
            "holds it, or add that folder to PYTHONPATH.",
        ),
        (
            "tiny_envs:sound-v0",
            "unknown env 'tiny_envs:sound-v0'. Did you mean 'Sound-v0'? 'sim2real envs' lists the worlds; "
            "an env of your own is 'module:Name-v0'.",
        ),
        (
            "",
            "unknown env ''. 'sim2real envs' lists the worlds; an env of your own is 'module:Name-v0'.",
        ),
    ],
)
def test_an_unknown_env_is_refused(env, message):
    with pytest.raises(Sim2RealError) as error:
        World(env=env).make()
    assert str(error.value) == message


def test_an_unknown_argument_of_an_env_is_told_in_plain_words():
    with pytest.raises(Sim2RealError) as error:
        World(env="CartPole-v1", kwargs={"gravty": 1.0}).make()
    assert str(error.value) == ("env 'CartPole-v1': got an unexpected keyword argument 'gravty'; check its arguments.")


@pytest.mark.parametrize(
    ("env", "kwargs", "reason"),
    [
        ("Picky-v0", {"distance": "abc"}, "could not convert string to float: 'abc'"),
        ("Picky-v0", {"distance": [1]}, "float() argument must be a string or a real number, not 'list'"),
    ],
)
def test_an_argument_that_the_env_cannot_take_is_told_in_one_line(env, kwargs, reason):
    gym.register("Picky-v0", entry_point=Picky)
    try:
        with pytest.raises(Sim2RealError) as error:
            World(env=env, kwargs=kwargs).make()
        assert str(error.value) == f"env 'Picky-v0' refused its arguments {kwargs}: {reason}; check them."
        assert isinstance(error.value.__cause__, (TypeError, ValueError))
        with pytest.raises(Sim2RealError, match=r"^distance = -1 must be positive\.$"):
            World(env=env, kwargs={"distance": -1}).make()
        with pytest.raises(RuntimeError, match="no licence"):
            World(env=env, kwargs={"distance": 99}).make()
        with pytest.raises(TypeError):  # without arguments it is a mistake in the env
            World(env=env).make()
    finally:
        del gym.registry["Picky-v0"]


class Picky(Sound):
    def __init__(self, distance=None):
        if float(distance) < 0:
            raise Sim2RealError(f"distance = {distance} must be positive.")
        if distance == 99:
            raise RuntimeError("no licence")
        super().__init__()


def test_a_module_that_does_not_import_is_told_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_env.py").write_text("import no_such_engine\n")
    (tmp_path / "old_env.py").write_text("from json import no_such_name\n")
    for module, reason in (("half_env", "No module named 'no_such_engine'"), ("old_env", "cannot import name")):
        with pytest.raises(Sim2RealError) as error:
            World(env=f"{module}:X-v0").make()
        assert str(error.value).startswith(f"env '{module}:X-v0': importing '{module}' failed: {reason}")


def test_a_folder_is_made_importable_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    make_importable(tmp_path)
    make_importable(str(tmp_path))
    assert sys.path.count(str(tmp_path.resolve())) == 1


def test_a_world_that_cannot_be_made_is_closed_again(monkeypatch):
    closed = []
    monkeypatch.setattr(Sound, "close", lambda self: closed.append(self))
    for wrong in (
        lambda: World(env="tiny_envs:Sound-v0").make(randomizer="unifrom"),
        lambda: World.of("tiny_envs:Sound-v0", domain_file=CART).make(),
        lambda: World(env="tiny_envs:Sound-v0").with_domain({"gain": 9.0}, "mine").make(),
    ):
        closed.clear()
        with pytest.raises(Sim2RealError):
            wrong()
        assert closed


# --- targets ---


@pytest.fixture
def ladder(tmp_path):
    path = tmp_path / "targets.yaml"
    path.write_text(
        "mild: {description: a little heavier, domain: {gain: 0.9}}\n"
        "worn: {domain: {gain: 0.5, drag: 1.0}}\n"
        "far: {domain: {gain: 3.0}}\n"
        "typo: {domain: {gian: 1.0}}\n"
        "cart: {env: CartPole-v1}\n"
    )
    return path


WORLD = World(env="tiny_envs:Sound-v0")


def test_a_targets_file_is_read(ladder):
    targets = read_targets(ladder)
    assert list(targets) == ["mild", "worn", "far", "typo", "cart"]
    assert targets["mild"] == Target(name="mild", description="a little heavier", domain={"gain": 0.9})


def test_a_target_is_a_world_with_a_complete_domain(ladder):
    world = find_target(WORLD, "mild", ladder)
    assert world == World(env=WORLD.env, domain={"gain": 0.9, "drag": 0.1}, target="mild")
    env = world.make(randomizer="uniform")
    env.reset(seed=0)
    assert get_domain(env) == {"gain": 0.9, "drag": 0.1}


def test_nominal_and_a_domain_and_a_world_are_targets_too():
    nominal = find_target(WORLD, NOMINAL)
    assert nominal.domain == {"gain": 1.0, "drag": 0.1}
    assert (find_target(WORLD, {"drag": 1}).domain, find_target(WORLD, {"drag": 1}).target) == (
        {"gain": 1.0, "drag": 1.0},
        "custom",
    )
    assert find_target(WORLD, nominal) is nominal
    assert find_target(WORLD, WORLD) == nominal
    assert find_target(nominal, "nominal") == nominal


def test_targets_ship_with_the_env_stand_in_its_domain_file_and_in_a_users_file(ladder, monkeypatch):
    monkeypatch.setattr(Sound, "targets_file", str(ladder), raising=False)
    assert list(list_targets(WORLD)) == ["nominal", "mild", "worn", "far", "typo", "cart"]
    assert list(list_targets(World.of("CartPole-v1", domain_file=CART))) == ["nominal", "long"]
    mine = ladder.with_name("mine.yaml")
    mine.write_text("mild: {domain: {gain: 0.8}}\nmine: {}\n")
    targets = list_targets(WORLD, mine)
    assert targets["mild"].domain == {"gain": 0.8}  # the users own wins
    assert "mine" in targets
    assert "worn" in targets


def test_a_target_may_be_another_env(ladder):
    assert find_target(WORLD, "cart", ladder) == World(env="CartPole-v1", domain={}, target="cart")


def test_a_target_may_change_arguments_of_the_env(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("moon: {kwargs: {g: 1.6}}\n")
    world = find_target(World(env="Pendulum-v1", kwargs={"g": 9.0}), "moon", path)
    assert world == World(env="Pendulum-v1", kwargs={"g": 1.6}, domain={}, target="moon")
    assert world.make().unwrapped.g == 1.6


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mlid", "unknown target 'mlid'. Did you mean 'mild'? Known: cart, far, mild, nominal, typo, worn."),
        (
            "far",
            "target 'far': domain parameter gain = 3 is outside its bounds [0.5, 2]; choose a value inside them.",
        ),
        ("typo", "target 'typo': unknown domain parameter 'gian'. Did you mean 'gain'? Known: drag, gain."),
        ({"gain": 0.0}, "domain parameter gain = 0 is outside its bounds [0.5, 2]; choose a value inside them."),
        ({"gain": True}, "domain parameter gain = True must be a finite number."),
    ],
)
def test_a_wrong_target_is_refused(ladder, target, message):
    with pytest.raises(Sim2RealError) as error:
        find_target(WORLD, target, ladder)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mild: 3\n", "target 'mild': expected a mapping of names to values, got 3."),
        (
            "mild: {dmain: {gain: 1}}\n",
            "target 'mild': unknown key 'dmain'. Did you mean 'domain'? Known: description, env, kwargs, domain.",
        ),
        ("mild: {domain: [1]}\n", "target 'mild': domain must be a mapping, got [1]."),
        ("mild: {kwargs: 1}\n", "target 'mild': kwargs must be a mapping, got 1."),
        ("mild: {env: 1}\n", "target 'mild': env must be an id, got 1."),
        ("mild: {description: 1}\n", "target 'mild': description must be text, got 1."),
        (
            "1: {domain: {gain: 1}}\n",
            "the name 1 is not text; put it in quotes (YAML takes on, off, yes and no for true and false).",
        ),
    ],
)
def test_a_wrong_targets_file_is_refused_with_its_path(tmp_path, text, message):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(Sim2RealError) as error:
        read_targets(path)
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "far: {domain: {gain: 3.0}}\n",
            "target 'far': domain parameter gain = 3 is outside its bounds [0.5, 2]; choose a value inside them.",
        ),
        (
            "typo: {domain: {gian: 1.0}}\n",
            "target 'typo': unknown domain parameter 'gian'. Did you mean 'gain'? Known: drag, gain.",
        ),
        (
            "cart: {env: CartPol-v1}\n",
            "target 'cart': unknown env 'CartPol-v1'. Did you mean 'CartPole-v1'? 'sim2real envs' lists the worlds; "
            "an env of your own is 'module:Name-v0'.",
        ),
        (
            "cart: {env: CartPole-v1, domain: {gain: 1.0}}\n",
            "target 'cart': unknown domain parameter 'gain'. Known: none are defined.",
        ),
        (
            "bent: {kwargs: {bend: 1}}\n",
            "target 'bent': env 'tiny_envs:Sound-v0': got an unexpected keyword argument 'bend'; check its arguments.",
        ),
    ],
)
def test_a_target_that_cannot_be_made_is_found_before_it_is_used(tmp_path, monkeypatch, text, message):
    path = tmp_path / "t.yaml"
    path.write_text("mild: {domain: {gain: 0.9}}\n" + text)
    with pytest.raises(Sim2RealError) as error:
        check_targets(WORLD, path)
    assert str(error.value) == message
    monkeypatch.setattr(Sound, "targets_file", str(path), raising=False)  # shipped with the env
    with pytest.raises(Sim2RealError) as error:
        check_targets(WORLD)
    assert str(error.value) == message


def test_the_targets_of_a_domain_file_are_checked():
    assert check_targets(World.of("CartPole-v1", domain_file=CART)) == ("nominal", "long")
    wrong = replace(CART, targets={"a": {"domain": {"mass": 3}}})
    with pytest.raises(Sim2RealError) as error:
        check_targets(World.of("CartPole-v1", domain_file=wrong))
    assert str(error.value) == (
        "target 'a': domain parameter mass = 3 is outside its bounds [0.05, 0.5]; choose a value inside them."
    )


def test_targets_that_are_all_right_are_named_and_each_env_is_made_once(tmp_path, monkeypatch):
    path = tmp_path / "t.yaml"
    path.write_text("mild: {domain: {gain: 0.9}}\nworn: {domain: {gain: 0.5}}\ncart: {env: CartPole-v1}\n")
    made = []
    monkeypatch.setattr(World, "make", lambda self, make=World.make: made.append(self.env) or make(self))
    assert check_targets(WORLD.with_domain({"gain": 0.7, "drag": 0.1}, "mine"), path) == (
        "nominal",
        "mild",
        "worn",
        "cart",
    )
    assert made == [WORLD.env, WORLD.env, "CartPole-v1"]  # the first one to see what it ships with


def test_a_number_as_the_name_of_a_target_in_a_domain_file_is_refused(tmp_path):
    path = tmp_path / "cart.yaml"
    path.write_text("targets: {1: {}}\n")
    with pytest.raises(Sim2RealError, match="targets"):
        find_target(World.of("CartPole-v1", domain_file=path), "mild")


def test_the_same_seed_in_the_same_target_is_the_same_episode(ladder):
    def run():
        env = find_target(WORLD, "worn", ladder).make()
        env.reset(seed=5)
        return [env.step(np.full(1, 0.7, np.float32))[0].tobytes() for _ in range(10)]

    assert run() == run()
