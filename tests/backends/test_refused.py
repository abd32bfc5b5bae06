from __future__ import annotations

import pytest

from tests.backends.test_openai_compatible import REQUEST
from trueup.backends.refused import RefusedBackend
from trueup.errors import AdaptError


async def test_every_request_is_told_why_the_model_does_not_run() -> None:
    reason = AdaptError("no route", where="c.yaml:3", hint="trueup check m")
    backend = RefusedBackend("m", reason)
    backend.check(REQUEST.path, {})
    for _ in range(2):
        with pytest.raises(AdaptError, match="no route") as caught:
            await backend.open(REQUEST).__aenter__()
        assert caught.value is not reason  # a traceback of its own
        assert (caught.value.where, caught.value.hint) == ("c.yaml:3", "trueup check m")
    health = await backend.health()
    assert (health.state, health.last_error) == ("failed", "no route")
    await backend.close()
