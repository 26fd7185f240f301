from pathlib import Path

from tests.faults.engine_kills import kill_and_restart


def test_killing_the_engine_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    outcome = kill_and_restart(tmp_path, rounds=5, seed=20_260_101)
    assert outcome.clean, outcome
    assert outcome.sent > 0
