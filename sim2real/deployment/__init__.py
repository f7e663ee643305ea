"""Deployment: the policy bundle, a zip that opens without unpickling anything, and the policy it holds."""
