"""The fast learners are Stable-Baselines3's to rounding: from one state and one batch, one update is the same."""

import os
import subprocess
import sys
import warnings
from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import TQC
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sim2real.training.fast.sac import FastSAC
from sim2real.training.fast.td3 import FastTD3
from sim2real.training.fast.tqc import FastTQC
from sim2real.training.fast.update import sample_batch
from sim2real.training.learner import turned_env

PAIRS = {"sac": (SAC, FastSAC), "td3": (TD3, FastTD3), "tqc": (TQC, FastTQC)}
CASES = {
    "sac": [
        {},
        {"ent_coef": 0.2},
        {"ent_coef": "auto_0.1", "target_entropy": -1.0, "target_update_interval": 2},
        {"policy_kwargs": {"net_arch": [7], "activation_fn": torch.nn.Tanh, "n_critics": 3}},
        {"n_steps": 3},
    ],
    "td3": [
        {},
        {"policy_kwargs": {"net_arch": [7, 5], "activation_fn": torch.nn.ELU}, "policy_delay": 3},
        {"n_steps": 2},
    ],
    "tqc": [
        {},
        {"ent_coef": 0.2, "top_quantiles_to_drop_per_net": 0},
        {"policy_kwargs": {"net_arch": [7], "activation_fn": torch.nn.Tanh, "n_critics": 3, "n_quantiles": 5}},
        {"n_steps": 3, "target_update_interval": 2},
    ],
}


class Noise(gym.Env):
    """Observations of uneven scale, rewards that depend on the action, ends now and then."""

    observation_space = gym.spaces.Box(-9.0, 9.0, (5,), np.float32)
    action_space = gym.spaces.Box(-2.0, 2.0, (3,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def _observe(self):
        return (self.np_random.normal(size=5) * [0.01, 1, 3, 1, 1] + 2).clip(-9, 9).astype(np.float32)

    def step(self, action):
        ended, cut = self.np_random.random(2) < 0.1
        return self._observe(), float(action.sum()), bool(ended), bool(cut and not ended), {}


class Shots(Noise):
    """Observations that are pictures, the smallest that convolutions read."""

    observation_space = gym.spaces.Box(0, 255, (36, 40, 2), np.uint8)

    def _observe(self):
        return self.np_random.integers(256, size=(36, 40, 2), dtype=np.uint8)


PICTURES = {"policy": "CnnPolicy", "kind": Shots}
SEEING = {"net_arch": [8], "features_extractor_kwargs": {"features_dim": 6}}
for algo, options in (("sac", {}), ("td3", {"policy_delay": 1}), ("tqc", {"n_steps": 2})):
    CASES[algo].append({**PICTURES, **options, "policy_kwargs": SEEING})


def pair(algo, normalized=False, policy="MlpPolicy", kind=Noise, **arguments):
    """Return a stock and a fast learner in the same state, with the same replay."""
    learners = []
    for cls in PAIRS[algo]:
        env = turned_env(DummyVecEnv([lambda: gym.wrappers.TimeLimit(kind(), 40)]))
        if normalized:
            env = VecNormalize(env, norm_obs=kind is Noise, norm_reward=True)
        settings = {"policy_kwargs": {"net_arch": [16, 16]}, **deepcopy(arguments)}
        learner = cls(policy, env, learning_starts=200, batch_size=64, seed=2, device="cpu", **settings)
        if isinstance(learner, (FastSAC, FastTD3, FastTQC)):
            learner.compiled = False
        learner.learn(200)
        learners.append(learner)
    stock, fast = learners
    fast.set_parameters(stock.get_parameters())
    fast.replay_buffer = stock.replay_buffer
    return stock, fast


def numbers(learner):
    """Return every tensor that learning changes, by name."""
    found = {}
    for name, state in learner.get_parameters().items():
        if "optimizer" not in name:
            found.update({f"{name}.{key}": value for key, value in state.items()})
            continue
        for index, slots in state["state"].items():
            if not slots["step"]:  # as good as none yet
                continue
            found.update({f"{name}.{index}.{key}": value for key, value in slots.items()})
    if getattr(learner, "log_ent_coef", None) is not None:
        found["log_ent_coef"] = learner.log_ent_coef.detach()
    return {name: tensor.numpy().copy() for name, tensor in found.items()}


def train_alike(learners, gradient_steps, seed=0):
    for learner in learners:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - where SB3's buffers draw from
        learner.train(gradient_steps, 64)


def assert_equal(stock, fast, tolerance=1e-5):
    expected, found = numbers(stock), numbers(fast)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(("algo", "arguments"), [(algo, case) for algo in CASES for case in CASES[algo]])
@pytest.mark.parametrize("normalized", [False, True])
def test_an_update_is_the_stock_one(algo, arguments, normalized):
    stock, fast = pair(algo, normalized, **arguments)
    before = numbers(fast)
    # Of the many weights of convolutions some have a gradient of next to nothing, of which Adam makes a step.
    tolerance = 1e-4 if "kind" in arguments else 1e-5
    train_alike((stock, fast), 1)
    assert_equal(stock, fast, tolerance)
    train_alike((stock, fast), 5, seed=1)
    assert_equal(stock, fast, tolerance)
    moved = numbers(fast)
    assert any(not np.array_equal(before[name], moved[name]) for name in before if "actor" in name)


@pytest.mark.slow
@pytest.mark.parametrize("algo", PAIRS)
def test_a_compiled_update_is_the_stock_one(algo):
    stock, fast = pair(algo)
    fast.compiled = True
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="learning goes on uncompiled")
        train_alike((stock, fast), 4)
    assert_equal(stock, fast)


@pytest.mark.parametrize("algo", PAIRS)
def test_files_go_both_ways_and_learning_goes_on_the_same(algo, tmp_path):
    stock, fast = pair(algo)
    train_alike((stock, fast), 3)
    stock.save(tmp_path / "stock.zip")
    fast.save(tmp_path / "fast.zip")
    cls, fast_cls = PAIRS[algo]
    from_fast = cls.load(tmp_path / "fast.zip", env=stock.env)
    from_stock = fast_cls.load(tmp_path / "stock.zip", env=stock.env)
    from_stock.compiled = False
    for learner in (from_fast, from_stock):
        learner.replay_buffer = stock.replay_buffer
        learner.set_logger(stock.logger)
        learner.policy.set_training_mode(False)
    assert_equal(stock, from_fast)
    assert_equal(stock, from_stock)
    train_alike((stock, from_fast, from_stock), 3, seed=4)
    assert_equal(stock, from_fast)
    assert_equal(stock, from_stock)
    observation = np.ones((1, 5), np.float32)
    np.testing.assert_allclose(
        stock.predict(observation, deterministic=True)[0],
        from_stock.predict(observation, deterministic=True)[0],
        atol=1e-5,
    )


@pytest.mark.parametrize("algo", PAIRS)
def test_what_acts_sees_every_update(algo):
    _, fast = pair(algo)
    observation = np.ones((1, 5), np.float32)
    before = fast.predict(observation, deterministic=True)[0]
    train_alike((fast,), 4)
    assert not np.array_equal(fast.predict(observation, deterministic=True)[0], before)


def test_frozen_parameters_and_their_moments_keep_every_bit():
    _, fast = pair("sac")
    train_alike((fast,), 2)
    for parameter in fast.actor.parameters():
        parameter.requires_grad_(False)
    fast.hold_entropy(True)
    before = numbers(fast)
    train_alike((fast,), 3, seed=1)
    after = numbers(fast)
    for name, value in before.items():
        frozen = name.startswith(("policy.actor", "actor.optimizer", "ent_coef_optimizer", "log_ent_coef"))
        assert np.array_equal(value, after[name]) == frozen, name


def towards_zero(losses, actor, batch):
    """Draw the weights of an actor's last layer to what the batch says."""
    last = [value for name, value in actor.items() if name in ("mu.weight", "mu.4.weight")]
    return batch.extras["weight"].squeeze() * sum(value.square().sum() for value in last)


@pytest.mark.slow
@pytest.mark.parametrize("algo", PAIRS)
def test_a_term_of_the_loss_and_rates_of_layers_are_compiled_with_the_rest(algo):
    found = []
    for compiled in (False, True):
        _, fast = pair(algo)
        fast.compiled = compiled
        before = numbers(fast)
        first = "mu.0" if algo == "td3" else "latent_pi.0"
        fast.add_term(towards_zero)
        fast.batches = lambda learner, size: sample_batch(learner, size)._replace(
            extras={"weight": torch.tensor([0.3])}
        )
        some = torch.randint(2, (16, 16), generator=torch.Generator().manual_seed(0))
        elements = {"0.weight": some[:, :8], "0.bias": some[0]}
        fast.scale_rates({f"{first}.weight": 0.0, f"{first}.bias": 0.5}, {"2.weight": 0.0, **elements})
        train_alike((fast,), 3)
        fast.scale_rates({f"{first}.weight": 1.0}, {})
        train_alike((fast,), 2, seed=1)
        found.append(numbers(fast))
        frozen = [name for name in before if name.endswith(".2.weight") and name.startswith("policy.critic.q")]
        assert frozen
        for name in frozen:
            np.testing.assert_array_equal(before[name], found[-1][name])
        for name, learned in elements.items():
            for critic in ("policy.critic.qf0", "policy.critic.qf1"):
                moved = before[f"{critic}.{name}"] != found[-1][f"{critic}.{name}"]
                assert moved.any()
                assert not moved[learned.numpy() == 0].any()
        assert not np.array_equal(before[f"policy.actor.{first}.weight"], found[-1][f"policy.actor.{first}.weight"])
        assert_steps_of_the_usual_length_after_a_thaw(fast, first)
    eager, compiled = found
    for name, value in eager.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def assert_steps_of_the_usual_length_after_a_thaw(fast, first):
    """Freeze the actor's first layer for long, thaw it, and look at the step that it makes then."""
    rate = fast.actor.optimizer.param_groups[0]["lr"]
    fast.scale_rates({f"{first}.weight": 0.0}, {})
    train_alike((fast,), 100)
    before = numbers(fast)[f"policy.actor.{first}.weight"]
    fast.scale_rates({f"{first}.weight": 1.0}, {})
    train_alike((fast,), getattr(fast, "policy_delay", 1), seed=1)  # one step of the actor
    moved = np.abs(numbers(fast)[f"policy.actor.{first}.weight"] - before)
    assert 0.0 < moved.mean() < 1.2 * rate


def test_what_thaws_makes_steps_of_the_usual_length():
    _, fast = pair("sac")
    assert_steps_of_the_usual_length_after_a_thaw(fast, "latent_pi.0")


def test_a_changed_learning_rate_takes_effect():
    stock, fast = pair("sac")
    for learner in (stock, fast):
        learner.lr_schedule = lambda _: 0.05
    train_alike((stock, fast), 2)
    assert_equal(stock, fast, tolerance=1e-4)


def test_an_unknown_form_learns_as_stock_does_and_says_so():
    with pytest.warns(UserWarning, match="at the speed of Stable-Baselines3: it has state-dependent exploration"):
        learner = FastSAC("MlpPolicy", Noise(), use_sde=True, learning_starts=10, policy_kwargs={"net_arch": [8]})
    learner.learn(20)
    assert learner._n_updates > 0


@pytest.mark.slow
def test_without_a_compiler_learning_goes_on_and_one_line_says_so(tmp_path):
    program = (
        "import warnings, torch\n"
        "from test_fast import Noise\n"
        "from sim2real.training.fast.sac import FastSAC\n"
        "learner = FastSAC('MlpPolicy', Noise(), learning_starts=10, policy_kwargs={'net_arch': [8]})\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    learner.learn(30)\n"
        "said = [str(w.message) for w in caught if 'uncompiled' in str(w.message)]\n"
        "assert len(said) == 1 and '\\n' not in said[0], said\n"
        "assert learner._n_updates == 20, learner._n_updates\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
        "CXX": "/nowhere/c++",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("algo", ["sac", "tqc"])  # of TD3 the whole actor is one network, which has its output layer
def test_a_network_without_hidden_layers_has_the_update_of_stable_baselines3(algo):
    stock, fast = PAIRS[algo]
    settings = {"policy_kwargs": {"net_arch": []}, "seed": 0, "learning_starts": 5, "batch_size": 8, "buffer_size": 100}
    with pytest.warns(UserWarning, match=r"it has a network without hidden layers\."):
        learners = [kind("MlpPolicy", "Pendulum-v1", device="cpu", **settings).learn(20) for kind in (stock, fast)]
    for one, other in zip(*(learner.policy.parameters() for learner in learners), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)
