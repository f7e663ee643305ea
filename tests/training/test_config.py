"""What determines a training is checked before anything is made."""

import gymnasium as gym
import numpy as np
import pytest
import yaml

import sim2real_policies
from sim2real.deployment.normalizer import Normalizer
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.hyperparameters import default_algorithm, resolve_hyperparameters, tuned_steps
from sim2real.training.learner import make_training_env
from sim2real.training.train import make_config, train

REACH = "sim2real_envs:sim2real/PandaReach-v0"
WIDTHS = "a list of layer widths, like [64, 64], or one each for actor and critic, by name"


TUNED = {
    "sac": {"default": {"n_timesteps": 7}, "envs": {"A": {"n_timesteps": 10}, "A?control=joint": {"n_timesteps": 20}}},
    "td3": {"default": {}, "envs": {"A": {}, "B": {}, "C": {}}},
    "tqc": {"default": {}, "envs": {}},
    "ppo": {"default": {}, "envs": {"B": {"n_timesteps": 30}, "A?map=2": {"n_timesteps": 40}}},
}


class Seeing(gym.Env):
    """Sees a picture and two numbers."""

    observation_space = gym.spaces.Dict(
        {"image": gym.spaces.Box(0, 255, (36, 36, 3), np.uint8), "observation": gym.spaces.Box(-9.0, 9.0, (2,))}
    )
    action_space = gym.spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"image": np.full((36, 36, 3), 200, np.uint8), "observation": np.array([3.0, -5.0], np.float32)}, {}

    def step(self, action):
        return self.reset()[0], 0.0, False, False, {}


class Photo(Seeing):
    """Sees the picture alone."""

    observation_space = Seeing.observation_space["image"]

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]["image"], {}


gym.register("tests/Seeing-v0", Seeing, max_episode_steps=5)
gym.register("tests/Photo-v0", Photo, max_episode_steps=5)


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """Hyperparameters of three algorithms for three envs."""
    (tmp_path / "hyperparameters").mkdir()
    for algo, content in TUNED.items():
        (tmp_path / "hyperparameters" / f"{algo}.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(sim2real_policies, "files", lambda _: tmp_path)


def refused(tmp_path, env="Pendulum-v1", **arguments):
    with pytest.raises(Sim2RealError) as error:
        train(env, **{"steps": 100, "out": tmp_path / "run", **arguments})
    assert not (tmp_path / "run").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_numbers_out_of_range_are_refused(tmp_path):
    assert refused(tmp_path, steps=0) == "steps = 0 must be a whole number of at least 1."
    assert refused(tmp_path, steps=-5) == "steps = -5 must be a whole number of at least 1."
    assert refused(tmp_path, seed=-1) == "seed = -1 must be a whole number that is not negative."
    assert refused(tmp_path, eval_episodes=0) == "eval_episodes = 0 must be a whole number of at least 1."
    assert refused(tmp_path, n_envs=0) == "n_envs = 0 must be a whole number of at least 1."


def test_unknown_names_come_with_a_suggestion(tmp_path):
    assert refused(tmp_path, algo="sca") == ("unknown algorithm 'sca'. Did you mean 'sac'? Known: ppo, sac, td3, tqc.")
    assert refused(tmp_path, randomizer="unifrom").startswith("unknown randomizer 'unifrom'. Did you mean 'uniform'?")
    message = refused(tmp_path, hyperparameters={"learning_rat": 0.1})
    assert message.startswith("unknown sac hyperparameter 'learning_rat'. Did you mean 'learning_rate'?")
    assert refused(tmp_path, "Pendulum-v7").startswith("unknown env 'Pendulum-v7'. Did you mean 'Pendulum-v1'?")


def test_values_that_cannot_be_are_refused(tmp_path):
    assert refused(tmp_path, hyperparameters={"learning_rate": -1}) == (
        "hyperparameter learning_rate = -1 must be a number above 0 and at most 1."
    )
    assert refused(tmp_path, hyperparameters={"net_arch": [0]}).startswith("hyperparameter net_arch = [0] must be")
    assert refused(tmp_path, hyperparameters={"activation": "rely"}).startswith(
        "unknown activation 'rely'. Did you mean 'relu'?"
    )
    assert refused(tmp_path, hyperparameters={"batch_size": 0}) == (
        "hyperparameter batch_size = 0 must be a whole number of at least 1."
    )


@pytest.mark.parametrize(
    ("algo", "name", "value", "words"),
    [
        ("sac", "gamma", "abc", "a number of at least 0 and at most 1"),
        ("sac", "gamma", 7, "a number of at least 0 and at most 1"),
        ("sac", "tau", None, "a number above 0 and at most 1"),
        ("sac", "train_freq", 0, "a whole number of at least 1"),
        ("sac", "gradient_steps", "x", "a whole number of at least -1"),
        ("sac", "normalize_observation", "banana", "true or false"),
        ("sac", "ent_coef", "auto_0", "a number of at least 0, auto, or auto_START with a number above 0"),
        ("td3", "action_noise", -1, "a number of at least 0, or null"),
        ("sac", "learning_rate", 1e30, "a number above 0 and at most 1"),
        ("ppo", "gae_lambda", 1.5, "a number of at least 0 and at most 1"),
        ("sac", "net_arch", {"pi": 8, "qf": [8]}, WIDTHS),
        ("ppo", "net_arch", {"pi": {"pi": [8]}, "vf": [8]}, WIDTHS),
    ],
)
def test_every_hyperparameter_has_its_range(tmp_path, algo, name, value, words):
    message = refused(tmp_path, algo=algo, hyperparameters={name: value})
    assert message == f"hyperparameter {name} = {value!r} must be {words}."


@pytest.mark.parametrize(("algo", "critic", "other"), [("sac", "qf", "vf"), ("td3", "qf", "vf"), ("ppo", "vf", "qf")])
def test_actor_and_critic_may_have_widths_of_their_own(tmp_path, algo, critic, other):
    net_arch = {"pi": [8], critic: [6, 4]}
    small = {"net_arch": net_arch, "batch_size": 16, **({"n_steps": 16, "n_envs": 1} if algo == "ppo" else {})}
    run = train("Pendulum-v1", algo=algo, steps=16, hyperparameters=small, eval_episodes=1, out=tmp_path / "own")
    assert run.policy.network.kwargs["net_arch"] == net_arch
    assert refused(tmp_path, algo=algo, hyperparameters={"net_arch": {"pi": [8], other: [6]}}) == (
        f"hyperparameter net_arch = {{'pi': [8], '{other}': [6]}} must have the keys pi and {critic}, for actor and "
        "critic."
    )


def test_a_buffer_smaller_than_a_batch_is_refused(tmp_path):
    assert refused(tmp_path, hyperparameters={"buffer_size": 10, "batch_size": 20}) == (
        "hyperparameter buffer_size = 10 is less than batch_size = 20; raise it."
    )


def test_networks_that_diverge_are_named(tmp_path):
    message = refused(tmp_path, steps=300, hyperparameters={"learning_rate": 1.0, "learning_starts": 10, "tau": 1.0})
    assert "lower learning_rate = 1" in message or "the policy has diverged" in message


def test_discrete_actions_are_not_for_sac(tmp_path):
    assert refused(tmp_path, "CartPole-v1", algo="sac") == (
        "algorithm 'sac' needs continuous (Box) actions, the env has Discrete(2); use ppo."
    )


def test_a_read_only_place_is_named(tmp_path):
    with pytest.raises(Sim2RealError, match="cannot write to /proc/nowhere"):
        train("Pendulum-v1", steps=100, out="/proc/nowhere")


def test_ppo_does_the_whole_rollouts_that_fit():
    world = World.of("CartPole-v1")
    settings = {"algo": "ppo", "randomizer": "none", "seed": 0, "hyperparameters": {"n_steps": 64}, "n_envs": 4}
    assert make_config(world, steps=700, **settings).steps == 512
    with pytest.raises(Sim2RealError, match="less than one PPO rollout of n_steps x n_envs = 64 x 4 = 256"):
        make_config(world, steps=200, **settings)


def test_overrides_win_over_tuned_values_and_tuned_ones_over_defaults():
    world = World.of(REACH)
    assert resolve_hyperparameters("sac", world)["net_arch"] == [64, 64]
    assert resolve_hyperparameters("sac", World.of("MountainCarContinuous-v0"))["net_arch"] == [128, 128]
    assert resolve_hyperparameters("sac", world, {"net_arch": [8]})["net_arch"] == [8]


def test_a_config_is_plain_and_complete():
    config = make_config(World.of(REACH), algo="td3", randomizer="uniform", steps=1000, seed=5)
    plain = config.to_dict()
    assert World.from_dict(plain["world"]) == config.world
    assert plain["steps"] == 1000
    assert plain["hyperparameters"]["policy_delay"] == 2


@pytest.mark.parametrize(
    ("env", "kwargs", "algo", "steps"),
    [
        ("A", {}, "sac", 10),
        ("module:A", {"control": "joint"}, "sac", 20),
        ("A", {"control": "other"}, "sac", 10),
        ("A", {"control": "ee", "map": 2}, "ppo", 40),  # the variant is tuned for another algorithm than its env
        ("B", {}, "td3", None),  # tuned for two
        ("C", {}, "td3", None),
        ("D", {}, "sac", 7),  # for none
    ],
)
def test_algorithm_and_budget_are_those_that_are_tuned_for_the_env(tuned, env, kwargs, algo, steps):
    world = World(env=env, kwargs=kwargs)
    assert default_algorithm(world) == algo
    assert tuned_steps(algo, world) == steps


def test_what_is_left_open_is_tuned_and_what_is_given_wins():
    reach = make_config(World.of(REACH), randomizer="uniform", seed=0)
    assert (reach.algo, reach.steps) == ("sac", 10_000)
    assert "n_timesteps" not in reach.hyperparameters
    assert make_config(World.of(REACH), randomizer="uniform", seed=0, steps=500).steps == 500
    cart = make_config(World.of("CartPole-v1"), randomizer="none", seed=0)
    assert cart.algo == "ppo"
    assert 49_000 < cart.steps <= 50_000  # whole rollouts


def test_a_budget_that_nobody_knows_is_asked_for(tmp_path):
    assert refused(tmp_path, "MountainCarContinuous-v0", steps=None) == (
        "how many steps sac needs in 'MountainCarContinuous-v0' is not known; give steps."
    )
    assert refused(tmp_path, REACH, algo="ppo", steps=None).startswith("how many steps ppo needs in ")
    assert refused(tmp_path, "Pendulum-v7", steps=None).startswith("unknown env 'Pendulum-v7'.")


def test_the_budget_is_no_hyperparameter(tmp_path):
    message = refused(tmp_path, hyperparameters={"n_timesteps": 500})
    assert message.startswith("unknown sac hyperparameter 'n_timesteps'.")


def test_a_run_that_left_its_budget_open_records_and_resumes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim2real.training.train.tuned_steps", lambda algo, world: 40)
    arguments = {"eval_episodes": 1, "hyperparameters": {"net_arch": [4], "batch_size": 4}}
    run = train("Pendulum-v1", **arguments)
    assert str(run.folder) == "runs/Pendulum-v1-sac-seed0"
    assert "\nalgo: sac\n" in (config := (run.folder / "config.yaml").read_text())
    assert "\nsteps: 40\n" in config
    assert run.policy.metadata.provenance["steps"] == 40
    assert train("Pendulum-v1", resume=True, **arguments).curve == run.curve
    monkeypatch.setattr("sim2real.training.train.tuned_steps", lambda algo, world: 50)
    with pytest.raises(Sim2RealError, match="holds another run: its steps is 40, not 50"):
        train("Pendulum-v1", resume=True, **arguments)


def test_pictures_are_not_normalized():
    settings = {"normalize_observation": True, "normalize_reward": True, "gamma": 0.9}
    env = make_training_env(World.of("tests/Seeing-v0"), "none", settings, 2)
    seen = env.reset()
    normalizer = Normalizer.from_vec_normalize(env)
    assert list(normalizer.statistics) == ["observation"]
    raw = env.get_original_obs()
    for part in (seen, normalizer(raw)):
        assert part["image"].dtype == np.uint8
        np.testing.assert_array_equal(part["image"], raw["image"])
        np.testing.assert_array_equal(part["observation"], seen["observation"])
    assert np.abs(seen["observation"]).max() < 1.0
    env = make_training_env(World.of("tests/Photo-v0"), "none", settings, 2)
    assert env.reset().dtype == np.uint8
    assert Normalizer.from_vec_normalize(env).statistics == {}
