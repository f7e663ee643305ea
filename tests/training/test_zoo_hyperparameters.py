"""The tuned hyperparameters in the zoo's words; tests/ecosystem trains with them in the zoo itself."""

import importlib
import inspect

import pytest
from torch import nn

from sim2real.deployment.networks import algorithm_class
from sim2real_policies import ALGORITHMS, tuned_hyperparameters

OF_THE_ZOO = {"n_timesteps", "n_envs", "normalize", "noise_type", "noise_std", "env_kwargs"}
"""Names that the zoo reads itself; all others go to the algorithm."""


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_the_zoo_is_told_what_is_tuned(algo):
    hyperparams = importlib.import_module(f"sim2real_policies.zoo.{algo}").hyperparams
    assert {"default", "sim2real/PandaReach-v0"} <= hyperparams.keys()
    arguments = inspect.signature(algorithm_class(algo)).parameters.keys()
    for env_id, values in hyperparams.items():
        tuned = tuned_hyperparameters(algo, env_id)
        assert values.keys() <= arguments | OF_THE_ZOO
        assert {name: values[name] for name in tuned.keys() & values.keys()} == {
            name: value for name, value in tuned.items() if name in values
        }
        renamed = {"net_arch", "activation", "normalize_observation", "normalize_reward", "hindsight", "action_noise"}
        assert tuned.keys() - values.keys() <= renamed
        networks = eval(values["policy_kwargs"], {"nn": nn})
        assert networks["net_arch"] == tuned["net_arch"]
        assert networks["activation_fn"].__name__.lower() == tuned["activation"].replace("_", "")
        normalized = eval(values.get("normalize", "dict(norm_obs=False, norm_reward=False)"))
        assert normalized == {"norm_obs": tuned["normalize_observation"], "norm_reward": tuned["normalize_reward"]}
        assert values.get("noise_std") == tuned.get("action_noise")


def test_a_world_learned_with_hindsight_has_the_zoo_sample_as_many_goals():
    values = importlib.import_module("sim2real_policies.zoo.sac").hyperparams["sim2real/PandaPush-v0"]
    sampled = eval(values["replay_buffer_kwargs"])["n_sampled_goal"]
    assert sampled / (sampled + 1) == tuned_hyperparameters("sac", "sim2real/PandaPush-v0")["hindsight"]
    assert (values["policy"], values["env_kwargs"]) == ("MultiInputPolicy", {"observation": "goal"})


def test_an_unknown_budget_is_asked_for():
    with pytest.raises(ValueError, match="unknown, give --n-timesteps"):
        int(importlib.import_module("sim2real_policies.zoo.sac").hyperparams["default"]["n_timesteps"])
