import json
import pickle

import numpy as np
import pytest
from tiny_envs import Sound

from sim2real.domains.adapter import DomainFile
from sim2real.domains.contract import domain_space, get_domain
from sim2real.domains.targets import NOMINAL, Target, find_target, list_targets, read_targets
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


@pytest.mark.parametrize(
    "fields", [{"env": "CartPole-v1", "seed": 1}, {"kwargs": {}}, {"env": "CartPole-v1", "domain_file": {"x": 1}}]
)
def test_a_plain_form_that_was_tampered_with_is_refused(fields):
    with pytest.raises(Sim2RealError):
        World.from_dict(fields)


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


def test_a_module_that_does_not_import_is_told_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_env.py").write_text("import no_such_engine\n")
    (tmp_path / "old_env.py").write_text("from json import no_such_name\n")
    for module, reason in (("half_env", "No module named 'no_such_engine'"), ("old_env", "cannot import name")):
        with pytest.raises(Sim2RealError) as error:
            World(env=f"{module}:X-v0").make()
        assert str(error.value).startswith(f"env '{module}:X-v0': importing '{module}' failed: {reason}")


def test_a_folder_is_made_importable_once(tmp_path, monkeypatch):
    import sys

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
        ("1: {domain: {gain: 1}}\n", "expected a mapping of names to values at the top."),
    ],
)
def test_a_wrong_targets_file_is_refused_with_its_path(tmp_path, text, message):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(Sim2RealError) as error:
        read_targets(path)
    assert str(error.value) == f"{path}: {message}"


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
