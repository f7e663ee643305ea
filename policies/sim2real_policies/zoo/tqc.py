"""Hyperparameters for ``rl_zoo3.train --algo tqc --conf-file sim2real_policies.zoo.tqc``."""

from sim2real_policies.zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("tqc")
