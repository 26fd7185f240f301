"""What holds for all tests."""

from hypothesis import settings

# How long an example takes says nothing here: other tests run beside it.
settings.register_profile("trellis", deadline=None)
settings.load_profile("trellis")
