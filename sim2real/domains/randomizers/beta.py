"""Independent Beta distributions: density, divergence and entropy with their derivatives, all in double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, polygamma

Array = NDArray[np.float64]


def log_density(x: Array, a: Array, b: Array) -> Array:
    """Return the logarithm of the density of each sample.

    Args:
        x: Samples between 0 and 1, both excluded, shape (n, d).
        a: First parameters, above 0, shape (d,).
        b: Second parameters, above 0, shape (d,).

    Returns:
        Σ_i (a_i − 1) log x_i + (b_i − 1) log(1 − x_i) − log B(a_i, b_i), shape (n,).
    """
    terms: Array = (a - 1.0) * np.log(x) + (b - 1.0) * np.log1p(-x) - betaln(a, b)
    return np.asarray(terms.sum(axis=1))


def log_density_gradient(x: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Return the derivatives of :func:`log_density` with respect to ``a`` and ``b``, each of shape (n, d)."""
    both = digamma(a + b)
    return np.log(x) - digamma(a) + both, np.log1p(-x) - digamma(b) + both


def kl_divergence(a: Array, b: Array, a_old: Array, b_old: Array) -> float:
    """Return KL(Beta(a, b) ‖ Beta(a_old, b_old)) [nats], summed over dimensions; all of shape (d,).

    It is log B(a', b') − log B(a, b) + (a − a')ψ(a) + (b − b')ψ(b) + (a' − a + b' − b)ψ(a + b), the old ones primed.
    """
    terms = (
        betaln(a_old, b_old)
        - betaln(a, b)
        + (a - a_old) * digamma(a)
        + (b - b_old) * digamma(b)
        + (a_old - a + b_old - b) * digamma(a + b)
    )
    return float(np.sum(terms))


def kl_gradient(a: Array, b: Array, a_old: Array, b_old: Array) -> tuple[Array, Array]:
    """Return the derivatives of :func:`kl_divergence` with respect to ``a`` and ``b``, each of shape (d,)."""
    both = (a_old - a + b_old - b) * polygamma(1, a + b)
    return (a - a_old) * polygamma(1, a) + both, (b - b_old) * polygamma(1, b) + both


def entropy(a: Array, b: Array) -> Array:
    """Return the differential entropy of each dimension [nats], shape (d,): 0 for a uniform one, less for others."""
    found: Array = betaln(a, b) - (a - 1.0) * digamma(a) - (b - 1.0) * digamma(b) + (a + b - 2.0) * digamma(a + b)
    return found
