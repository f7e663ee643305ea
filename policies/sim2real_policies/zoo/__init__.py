r"""The tuned hyperparameters as RL Baselines3 Zoo reads them: one module an algorithm.

A module is a file of hyperparameters for the zoo's ``--conf-file``::

    python -m rl_zoo3.train --algo sac --env sim2real/PandaReach-v0 \
        --gym-packages sim2real_envs --conf-file sim2real_policies.zoo.sac

The zoo trains in the nominal domain. Where sim2real's hindsight works on flat observations, the zoo's needs goal
observations, so that those worlds are made with them.
"""

from __future__ import annotations

from typing import Any

from sim2real_policies import tuned_hyperparameters, tuned_worlds

_ACTIVATIONS = {"relu": "ReLU", "tanh": "Tanh", "elu": "ELU", "silu": "SiLU", "gelu": "GELU", "leaky_relu": "LeakyReLU"}


def zoo_hyperparameters(algo: str) -> dict[str, dict[str, Any]]:
    """Return what is tuned for an algorithm, by env, in the zoo's words; ``"default"`` is for all other envs.

    Args:
        algo: One of :data:`~sim2real_policies.ALGORITHMS`.
    """
    return {name: _translated(tuned_hyperparameters(algo, name)) for name in ("default", *tuned_worlds(algo))}


def _translated(tuned: dict[str, Any]) -> dict[str, Any]:
    values = dict(tuned)
    layers, activation = values.pop("net_arch"), _ACTIVATIONS[values.pop("activation")]
    observation, reward = values.pop("normalize_observation"), values.pop("normalize_reward")
    hindsight, noise = values.pop("hindsight", 0.0), values.pop("action_noise", None)
    values.setdefault("n_timesteps", "unknown, give --n-timesteps")  # the zoo wants the key even where that is given
    values["policy"] = "MlpPolicy"
    # As text that the zoo evaluates: its own form, and one that can be written to the config it keeps.
    values["policy_kwargs"] = f"dict(net_arch={layers}, activation_fn=nn.{activation})"
    if observation or reward:
        values["normalize"] = f"dict(norm_obs={observation}, norm_reward={reward})"
    if noise is not None:
        values |= {"noise_type": "normal", "noise_std": noise}
    if hindsight:
        # Of k sampled goals to one that was meant, k / (k + 1) of a batch are sampled.
        sampled = round(hindsight / (1.0 - hindsight))
        values |= {
            "policy": "MultiInputPolicy",
            "env_kwargs": {"observation": "goal"},
            "replay_buffer_class": "HerReplayBuffer",
            "replay_buffer_kwargs": f"dict(n_sampled_goal={sampled}, goal_selection_strategy='future')",
        }
    return values
