"""Worlds that are seen: they are learned through convolutions, and all that holds of trainings holds of theirs."""

import numpy as np
import pytest
import torch
from spot import ID, SMALL, SMALL_OF
from stable_baselines3 import SAC
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.bundle import load_policy
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training import learner as factory
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config, run_training, train


def config_of(algo="sac", form="picture", *, steps=120, **extra):
    return make_config(
        World.of(ID, kwargs={"form": form}),
        algo=algo,
        randomizer="uniform",
        steps=steps,
        seed=1,
        hyperparameters={**SMALL_OF[algo], **extra},
        eval_every=40,
        eval_episodes=2,
        checkpoint_every=50,
    )


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_what_is_seen_is_learned(tmp_path, algo):
    ends = []
    for seed in (0, 1):
        settings = {"hyperparameters": SMALL_OF[algo], "eval_every": 1000, "eval_episodes": 10}
        run = train(ID, algo=algo, steps=320 if algo == "ppo" else 160, seed=seed, out=tmp_path / str(seed), **settings)
        assert abs(run.curve[0]["return_mean"]) < 1.0  # of 8
        ends.append(run.curve[-1]["return_mean"])
    assert np.mean(ends) > 6.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algo", "form", "extra"),
    [
        ("sac", "picture", {"normalize_reward": True}),
        ("td3", "first", {}),
        ("tqc", "dict", {"n_envs": 2}),
        ("ppo", "picture", {}),
    ],
)
def test_an_interrupted_run_resumes_with_the_same_curve(tmp_path, algo, form, extra):
    config = config_of(algo, form, steps=192 if algo == "ppo" else 120, **extra)
    whole = run_training(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", listener=interrupt_at(100))
    assert_same_training(whole, run_training(config, tmp_path / "cut", resume=True))


def test_worker_processes_change_nothing(tmp_path):
    config = config_of(steps=60, n_envs=2)
    alone, shared = (run_training(config, tmp_path / str(n), workers=n) for n in (0, 1))
    assert_same_training(alone, shared)


@pytest.mark.parametrize("form", ["picture", "first", "dict"])
def test_the_policy_reads_what_the_env_gives(tmp_path, form):
    run = train(ID, kwargs={"form": form}, steps=40, hyperparameters=SMALL, eval_episodes=1, out=tmp_path / "run")
    env = World.of(ID, kwargs={"form": form}).make()
    observation, _ = env.reset(seed=0)
    policy = load_policy(tmp_path / "run")
    assert policy.observation_space == env.observation_space
    assert policy.network.policy == ("MultiInputPolicy" if form == "dict" else "CnnPolicy")
    assert list(policy.network.kwargs["features_extractor_kwargs"].values()) == [16]
    np.testing.assert_array_equal(policy.predict(observation), run.policy.predict(observation))
    assert policy.predict(observation).shape == (1,)
    policy.check_fits(env.observation_space, env.action_space)


@pytest.mark.parametrize(("form", "key"), [("picture", None), ("dict", "view")])
def test_the_replay_buffer_holds_pictures_as_the_networks_read_them(form, key):
    config = config_of(form=form, normalize_reward=True)
    envs = make_training_env(config.world, "none", config.hyperparameters, 1)
    learner = make_learner("sac", envs, config.hyperparameters, seed=0, steps=100)
    learner.learn(10)
    read = (lambda array: array) if key is None else (lambda array: array[key])
    buffer = learner.replay_buffer
    before, after = read(buffer.observations)[:8, 0], read(buffer.next_observations)[:8, 0]
    assert before.shape == (8, 1, 36, 40)
    np.testing.assert_array_equal(after[:7], before[1:])  # of one episode
    # The spot is a square of 8: its rows and columns come one after the other only where the axes are in order.
    for picture in (*before[:, 0], *after[:, 0]):
        rows, columns = np.nonzero(picture)
        assert np.ptp(rows) == np.ptp(columns) == 7
    sample = buffer.sample(8, env=learner.get_vec_normalize_env())
    assert read(sample.observations).dtype == torch.uint8
    assert learner.get_vec_normalize_env() is not None


def refused(tmp_path, world=ID, **arguments):
    with pytest.raises(Sim2RealError) as caught:
        train(world, out=tmp_path / "run", eval_episodes=1, **arguments)
    assert not (tmp_path / "run").exists()
    return str(caught.value)


def test_what_cannot_be_is_refused_before_anything_is_built(tmp_path):
    assert refused(tmp_path, kwargs={"height": 20}, steps=100) == (
        "pictures of 20 x 40 are too small for the convolutions, which need 36 x 36; scale them up, as "
        "gymnasium.wrappers.ResizeObservation does."
    )
    assert refused(tmp_path, "Pendulum-v1", steps=100, hyperparameters={"features_dim": 8}) == (
        "hyperparameter features_dim = 8 is for pictures, and the env gives none; leave it out, and give net_arch."
    )
    assert refused(tmp_path, steps=100, hyperparameters={"features_dim": 0}) == (
        "hyperparameter features_dim = 0 must be a whole number of at least 1."
    )


def test_a_replay_buffer_that_memory_cannot_hold_is_refused_before_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(factory, "_free_memory", lambda: 2880 * 90)
    arguments = {"hyperparameters": {**SMALL, "buffer_size": 1000}}
    assert refused(tmp_path, steps=100, **arguments) == (
        "hyperparameter buffer_size = 1000: 100 transitions of 2.9 kB take 0.0 GB of memory, and 0.0 GB are free; "
        "lower it to 90 or less."
    )
    assert train(ID, steps=90, eval_episodes=1, out=tmp_path / "fits", **arguments).curve  # more do not come


def test_stock_stable_baselines3_acts_the_same_after_conversion(tmp_path):
    from sim2real.deployment.sb3 import from_sb3_zip, to_sb3_zip

    run = train(ID, steps=40, hyperparameters=SMALL, eval_episodes=1, out=tmp_path / "run")
    env = World.of(ID).make()
    pictures = np.stack([env.reset(seed=seed)[0] for seed in range(5)])
    path, _ = to_sb3_zip(run.policy, tmp_path / "sb3.zip")
    expected = run.policy.predict(pictures)
    np.testing.assert_array_equal(SAC.load(path).predict(pictures, deterministic=True)[0], expected)
    back = from_sb3_zip(path)
    np.testing.assert_array_equal(back.predict(pictures), expected)
    np.testing.assert_array_equal(back.predict(pictures[0]), run.policy.predict(pictures[0]))
    back.check_fits(env.observation_space, env.action_space)
