"""The configuration and the workers name the same types of job."""

from engine.config import BUILT_IN_JOB_TYPES
from engine.tasks.handlers import BUILT_IN


def test_what_the_configuration_takes_for_built_in_has_a_handler():
    assert set(BUILT_IN_JOB_TYPES) == set(BUILT_IN)
