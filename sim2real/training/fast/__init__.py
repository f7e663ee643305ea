"""The fast learners: Stable-Baselines3's algorithms with their whole update as one compiled function."""
