from pathlib import Path

from tests.faults.learning_kills import kill_while_learning


def test_killing_an_engine_that_learns_leaves_every_alias_on_a_whole_version(
    tmp_path: Path,
) -> None:
    outcome = kill_while_learning(tmp_path, rounds=2, seed=20_260_101)
    assert outcome.violations == []
    assert outcome.moves > 0
    assert outcome.versions > 0
