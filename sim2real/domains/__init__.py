"""Domains: the parameters in which a source and a target world differ, how they are drawn and how an env takes them."""
