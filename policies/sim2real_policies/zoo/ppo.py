"""Hyperparameters for ``rl_zoo3.train --algo ppo --conf-file sim2real_policies.zoo.ppo``."""

from sim2real_policies.zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("ppo")
