"""How long an upload may take before the command gives up."""

from engine.cli.upload import sending_time_s


def test_it_grows_with_the_file() -> None:
    assert sending_time_s(0) == 120
    assert sending_time_s(1 << 20) == 121
    assert sending_time_s(1 << 30) == 120 + 1024
