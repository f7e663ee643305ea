"""Hyperparameters for ``rl_zoo3.train --algo td3 --conf-file sim2real_policies.zoo.td3``."""

from sim2real_policies.zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("td3")
