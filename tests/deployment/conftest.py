from __future__ import annotations

import pytest
from deployment_models import CASES


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)
