"""Beta distributions against scipy and against numerical quadrature and differences in double precision."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sim2real.domains.randomizers import beta

CASES = [(100.0, 100.0, 80.0, 120.0), (1.0, 199.0, 1.2, 150.0), (1.0, 1.0, 3.0, 2.0), (2.5, 1.5, 1.0, 1.0)]


def parameters(case):
    return [np.array([value]) for value in case]


@pytest.mark.parametrize("case", CASES)
def test_the_divergence_is_the_integral_that_defines_it(case):
    new, old = stats.beta(*case[:2]), stats.beta(*case[2:])
    mode = new.ppf([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    expected, _ = quad(
        lambda x: new.pdf(x) * (new.logpdf(x) - old.logpdf(x)),
        0,
        1,
        points=mode,
        epsabs=1e-12,
        epsrel=1e-12,
        limit=500,
    )
    assert beta.kl_divergence(*parameters(case)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_of_the_divergence_is_its_slope(case):
    a, b, *old = parameters(case)
    by_a, by_b = beta.kl_gradient(a, b, *old)

    def slope(move):
        h = 1e-3  # Richardson: the error of the central difference goes from h² to h⁶
        steps = [(move(h / 2**k) - move(-h / 2**k)) / (2 * h / 2**k) for k in range(3)]
        once = [(4 * fine - rough) / 3 for rough, fine in itertools.pairwise(steps)]
        return (16 * once[1] - once[0]) / 15

    assert by_a[0] == pytest.approx(slope(lambda h: beta.kl_divergence(a + h, b, *old)), abs=1e-8)
    assert by_b[0] == pytest.approx(slope(lambda h: beta.kl_divergence(a, b + h, *old)), abs=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_density_and_entropy_are_those_of_scipy(case):
    a, b = parameters(case)[:2]
    x = stats.beta(*case[:2]).ppf(np.linspace(0.01, 0.99, 9))[:, None]
    np.testing.assert_allclose(beta.log_density(x, a, b), stats.beta.logpdf(x[:, 0], *case[:2]), atol=1e-10)
    assert beta.entropy(a, b)[0] == pytest.approx(float(stats.beta.entropy(*case[:2])), abs=1e-10)
    one = np.ones(1)
    assert beta.kl_divergence(a, b, one, one) == pytest.approx(-beta.entropy(a, b)[0], abs=1e-10)


def test_dimensions_add_up():
    a, b, a_old, b_old = (np.array(row) for row in zip(*CASES, strict=True))
    single = sum(beta.kl_divergence(*parameters(case)) for case in CASES)
    assert beta.kl_divergence(a, b, a_old, b_old) == pytest.approx(single)
    x = np.full((1, len(CASES)), 0.3)
    by_a, by_b = beta.log_density_gradient(x, a, b)
    h = 1e-6
    for i in range(len(CASES)):
        step = np.eye(len(CASES))[i] * h
        up, down = beta.log_density(x, a + step, b), beta.log_density(x, a - step, b)
        assert by_a[0, i] == pytest.approx((up - down)[0] / (2 * h), rel=1e-4)
        up, down = beta.log_density(x, a, b + step), beta.log_density(x, a, b - step)
        assert by_b[0, i] == pytest.approx((up - down)[0] / (2 * h), rel=1e-4)
