"""The loopback hub and its cache, as the tests of the hub have them."""

from tests.checkpoint.hub.conftest import cache, hub, is_impatient

__all__ = ["cache", "hub", "is_impatient"]
