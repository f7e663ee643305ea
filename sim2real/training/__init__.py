"""Training: one learner factory over Stable-Baselines3, checkpoints that resume exactly, and the run folder."""
