"""Evaluation: rollouts, the transfer metrics of Taylor & Stone (2009), and their intervals."""
