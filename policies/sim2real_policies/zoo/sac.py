"""Hyperparameters for ``rl_zoo3.train --algo sac --conf-file sim2real_policies.zoo.sac``."""

from sim2real_policies.zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("sac")
