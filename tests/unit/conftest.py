"""Settings of the unit tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes any single example slow; slowness is measured in benchmarks/, not here.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
