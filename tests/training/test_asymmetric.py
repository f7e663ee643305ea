"""Critics that read what the simulator knows, beside an actor that sees what the sensors show."""

from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv
from trainings import assert_same_training, interrupt_at
from watched import ASYMMETRIC, ID, Watched

from sim2real.deployment.asymmetric import Standardized, privileged_scale
from sim2real.deployment.bundle import load_policy, pack
from sim2real.deployment.networks import NetworkSpec, build
from sim2real.deployment.normalizer import Normalizer, RunningStatistics
from sim2real.deployment.policy import Policy
from sim2real.deployment.sb3 import to_sb3_zip
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.asymmetric import AsymmetricReplayBuffer, TellPrivileged
from sim2real.training.fast.sac import FastSAC
from sim2real.training.fast.update import sample_batch
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config, run_training


def training(algo="sac", *, kwargs=None, steps=120, **hyperparameters):
    world = World.of(ID, kwargs=kwargs)
    return make_config(
        world, algo=algo, randomizer="uniform", seed=3, steps=steps, hyperparameters={**ASYMMETRIC, **hyperparameters}
    )


def learner_of(config, steps=120):
    vec_env = make_training_env(config.world, config.randomizer, config.hyperparameters, config.n_envs)
    return make_learner(config.algo, vec_env, config.hyperparameters, seed=0, steps=steps)


def test_the_scale_is_that_of_all_rows_so_far():
    rows = np.random.default_rng(0).normal([3.0, -100.0], [0.5, 20.0], (300, 2)).astype(np.float32)
    scale, reference = Standardized(spaces.Box(-np.inf, np.inf, (2,))), RunningMeanStd(epsilon=0.0, shape=(2,))
    assert scale(torch.tensor([[0.5, -0.5]])).tolist() == [[0.5, -0.5]]
    for part in np.split(rows, [1, 50, 290]):
        scale.update(torch.from_numpy(part))
        reference.update(part)
    np.testing.assert_allclose(scale.mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale.var, reference.var, rtol=1e-4)
    assert scale.count == 300.0
    said = scale(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(said, (rows - rows.mean(0)) / rows.std(0), atol=1e-4)
    assert scale(torch.tensor([[1e9, 0.0]]))[0, 0] == 10.0
    scale.learning = False
    scale.update(torch.zeros(5, 2))
    assert scale.count == 300.0
    scale.forget()
    assert scale(torch.tensor([[0.5, -0.5]])).tolist() == [[0.5, -0.5]]


def test_a_number_that_was_always_the_same_says_nothing():
    scale = Standardized(spaces.Box(-np.inf, np.inf, (2,)))
    scale.update(torch.tensor([[0.1, 1.0], [0.1, 3.0]]))
    assert scale(torch.tensor([[0.2, 3.0]])).tolist() == [[0.0, 1.0]]
    scale.update(torch.tensor([[0.3, 1.0]]))
    assert scale(torch.tensor([[0.2, 3.0]]))[0, 0] > 0.0


@pytest.mark.parametrize("normalizer", ["own", "none", "returns"])
def test_it_becomes_what_a_normalizer_does(normalizer):
    row = RunningStatistics(mean=np.array([1.0, -2.0]), var=np.array([4.0, 1e-4]), count=70.0)
    returns = RunningStatistics(mean=np.array(1.0), var=np.array(4.0), count=7.0)
    given = {
        "own": Normalizer(statistics={None: row}, clip=3.0, epsilon=1e-3),
        "none": None,
        "returns": Normalizer(statistics={}, returns=returns),
    }[normalizer]
    scale = Standardized(spaces.Box(-np.inf, np.inf, (2,)))
    scale.update(torch.full((5, 2), 3.0))
    scale.become(given)
    numbers = np.array([[1.5, -2.01], [1e3, 5.0]], np.float32)
    wanted = numbers if given is None else given(numbers)
    np.testing.assert_allclose(scale(torch.from_numpy(numbers)), wanted, rtol=1e-5)


@pytest.mark.parametrize("algo", ["sac", "td3", "tqc"])
def test_critics_that_are_told_what_the_actor_sees_learn_as_symmetric_ones(algo, tmp_path):
    settings = {"normalize_observation": False, "n_envs": 2}
    told = training(algo, kwargs={"told": "seen"}, **settings)
    seen = training(algo, kwargs={"told": "seen"}, **settings, asymmetric_critic=False)

    def unscaled(learner):
        privileged_scale(learner.policy).learning = False
        return ()

    one = run_training(told, tmp_path / "told", prepare=unscaled)
    other = run_training(seen, tmp_path / "seen")
    assert one.curve == other.curve
    for name, array in other.policy.weights.items():
        np.testing.assert_array_equal(one.policy.weights[name], array)


def test_the_critics_read_the_state_and_nothing_else():
    learner = learner_of(training())
    learner.learn(80)
    assert learner.critic.q_networks[0][0].in_features == 3 + 1
    assert learner.actor.latent_pi[0].in_features == 2
    np.random.seed(0)  # noqa: NPY002
    batch = sample_batch(learner, 32)
    buffer, scale = learner.replay_buffer, privileged_scale(learner.policy)
    told = buffer.privileged[:80].reshape(-1, 3)
    np.testing.assert_allclose(scale.mean, told.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scale.var, told.var(0), rtol=1e-3, atol=1e-5)
    assert scale is learner.critic_target.features_extractor
    blind = batch._replace(observations=torch.zeros_like(batch.observations))
    said = learner._losses.critic_loss(learner._critics.values, torch.zeros(32), batch)[0]
    assert learner._losses.critic_loss(learner._critics.values, torch.zeros(32), blind)[0] == said


def test_the_buffer_holds_the_states_of_its_own_steps():
    vec_env = DummyVecEnv([lambda: TellPrivileged(gym.wrappers.TimeLimit(Watched(), 7))] * 2)
    space = vec_env.observation_space
    buffer = AsymmetricReplayBuffer(50, space, vec_env.action_space, n_envs=2, privileged_dim=3)
    vec_env.seed(0)
    seen, rng = vec_env.reset(), np.random.default_rng(0)
    for _ in range(20):
        actions = rng.uniform(-1.0, 1.0, (2, 1)).astype(np.float32)
        after, rewards, dones, infos = vec_env.step(actions)
        last = after.copy()
        for env in np.flatnonzero(dones):
            last[env] = infos[env]["terminal_observation"]
        buffer.add(seen, last, actions, rewards, dones, infos)
        seen = after
    np.testing.assert_array_equal(buffer.privileged[:20, :, :2], buffer.observations[:20])
    np.testing.assert_array_equal(buffer.next_privileged[:20, :, :2], buffer.next_observations[:20])
    assert buffer.dones[:20].sum() == 4
    assert (buffer.next_privileged[:20, :, 2] == 1.0).all()


def test_it_goes_on_after_an_interruption_as_without(tmp_path):
    config = replace(training(steps=300, n_envs=2), checkpoint_every=120)
    whole = run_training(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(whole, run_training(config, tmp_path / "cut", resume=True))


def test_a_bundle_keeps_the_critics_and_acts_without_the_state(tmp_path):
    run = run_training(training(), tmp_path / "run")
    policy = load_policy(tmp_path / "run")
    assert policy.network.asymmetric
    assert policy.network.kwargs["privileged_dim"] == 3
    assert policy.observation_space.shape == (2,)
    assert policy.predict(np.zeros(2, np.float32)).shape == (1,)
    assert pack(policy) == pack(run.policy)
    scale = privileged_scale(policy.module)
    assert scale.count > 100.0
    learner = learner_of(training())
    policy.copy_into(learner)
    assert privileged_scale(learner.policy).count == scale.count
    for name, tensor in policy.module.critic.state_dict().items():
        assert torch.equal(learner.critic.state_dict()[name], tensor)
    assert policy.interface.privileged_channels == Watched().privileged_channels
    with pytest.raises(Sim2RealError, match=r"^Stable-Baselines3 has no policy whose critics read something else"):
        to_sb3_zip(policy, tmp_path / "policy.zip")


def test_a_bundle_with_statistics_that_are_none_is_refused(tmp_path):
    policy = run_training(training(), tmp_path / "run").policy
    weights = policy.weights
    weights["critic.features_extractor.var"] = -weights["critic.features_extractor.var"]
    weights["critic_target.features_extractor.var"] = weights["critic.features_extractor.var"]
    with pytest.raises(Sim2RealError, match=r"^the statistics of what the critics read are none: var and count"):
        Policy(policy.network, policy.observation_space, policy.action_space, weights)


def test_a_learner_of_a_file_goes_on(tmp_path):
    learner = learner_of(training())
    learner.learn(80)
    learner.save(tmp_path / "learner.zip")
    again = FastSAC.load(tmp_path / "learner.zip", env=learner.env)
    again.learn(80, reset_num_timesteps=False)
    assert privileged_scale(again.policy).count == 160


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("short", "privileged_observation() has shape (1,), and privileged_channels name 3 numbers."),
        ("rows", "privileged_observation() has shape (1, 3), and privileged_channels name 3 numbers."),
        ("text", "privileged_observation() must return numbers, got 'gain'."),
        ("nan", "privileged_observation(): gain[0] (channel 2) is nan; critics need finite numbers."),
    ],
)
def test_what_is_told_wrongly_is_said(how, message):
    with pytest.raises(Sim2RealError) as raised:
        TellPrivileged(Watched(as_told=how)).reset(seed=0)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("env", "settings", "message"),
    [
        (
            "point_mass:tests/PointMass-v0",
            {},
            "hyperparameter asymmetric_critic = true needs an env that tells what the simulator knows "
            "(privileged_channels, privileged_observation()); set it to false.",
        ),
        (
            ID,
            {"use_sde": True},
            "hyperparameter asymmetric_critic = true does not go with state-dependent exploration (use_sde); set it to "
            "false.",
        ),
        (
            ID,
            {"n_steps": 3},
            "hyperparameter asymmetric_critic = true does not go with n_steps above 1; set it to false.",
        ),
        (
            ID,
            {"net_arch": []},
            "hyperparameter asymmetric_critic = true does not go with a net_arch without hidden layers; set it to "
            "false.",
        ),
        (ID, {"asymmetric_critic": 1}, "hyperparameter asymmetric_critic = 1 must be true or false."),
    ],
)
def test_what_does_not_go_with_it_is_said_before_anything_is_built(env, settings, message):
    make = partial(make_config, World.of(env), algo="sac", randomizer="none", seed=0, steps=100)
    with pytest.raises(Sim2RealError) as raised:
        make(hyperparameters={**ASYMMETRIC, **settings})
    assert str(raised.value) == message


def test_ppo_has_no_such_critic():
    with pytest.raises(Sim2RealError, match=r"^unknown ppo hyperparameter 'asymmetric_critic'"):
        make_config(
            World.of(ID),
            algo="ppo",
            randomizer="none",
            seed=0,
            steps=4096,
            hyperparameters={"asymmetric_critic": True},
        )


def test_no_memory_is_taken_for_critics_that_the_weights_cannot_fill():
    kwargs = {"net_arch": [4096, 1], "activation_fn": "relu", "privileged_dim": 100_000}
    spec = NetworkSpec(algo="sac", policy="MlpPolicy", kwargs=kwargs)
    space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    with pytest.raises(Sim2RealError, match=r"^10000 weights are too few for net_arch \[4096, 1\]\.$"):
        build(spec, space, space, 10_000)


def test_networks_that_contradict_themselves_are_refused():
    kwargs = {"net_arch": [8], "activation_fn": "relu", "privileged_dim": 3, "share_features_extractor": True}
    with pytest.raises(Sim2RealError, match=r"they cannot share_features_extractor\.$"):
        NetworkSpec(algo="sac", policy="MlpPolicy", kwargs=kwargs)
    with pytest.raises(Sim2RealError, match=r"privileged_dim = 0 must be a whole number from 1 to 100000\.$"):
        NetworkSpec(algo="sac", policy="MlpPolicy", kwargs={**kwargs, "privileged_dim": 0})
