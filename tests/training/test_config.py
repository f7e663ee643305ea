"""What determines a training is checked before anything is made."""

import pytest

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.hyperparameters import resolve_hyperparameters
from sim2real.training.train import make_config, train

REACH = "sim2real_envs:sim2real/PandaReach-v0"


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
    assert refused(tmp_path, algo="sca") == ("unknown algorithm 'sca'. Did you mean 'sac'? Known: ppo, sac, td3.")
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
    ],
)
def test_every_hyperparameter_has_its_range(tmp_path, algo, name, value, words):
    message = refused(tmp_path, algo=algo, hyperparameters={name: value})
    assert message == f"hyperparameter {name} = {value!r} must be {words}."


def test_a_buffer_smaller_than_a_batch_is_refused(tmp_path):
    assert refused(tmp_path, hyperparameters={"buffer_size": 10, "batch_size": 20}) == (
        "hyperparameter buffer_size = 10 is less than batch_size = 20; raise it."
    )


def test_networks_that_diverge_are_named(tmp_path):
    message = refused(tmp_path, steps=300, hyperparameters={"learning_rate": 1.0, "learning_starts": 10, "tau": 1.0})
    assert "lower learning_rate = 1" in message or "the policy has diverged" in message


def test_discrete_actions_are_not_for_sac(tmp_path):
    assert refused(tmp_path, "CartPole-v1", algo="sac") == (
        "algorithm 'sac' needs continuous (Box) actions, the env has Discrete(2); use --algo ppo."
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
