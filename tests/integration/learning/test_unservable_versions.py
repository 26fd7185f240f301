"""Versions whose artifact is missing or not what was registered, while another one is served."""

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import grpc
import pytest

from tests.support.learning_engine import LearningEngine, prepare, query, running_engine
from tests.support.serving_engine import calling
from tests.support.trained_version import CHALLENGER, CHAMPION, add_versions

VERSIONS = 6
FORGED = VERSIONS + 1


@attrs.frozen
class Artifacts:
    """The files of versions, in the folder that is their store."""

    folder: Path

    def file(self, version: int) -> Path:
        [(sha256,)] = query(
            self.folder, f"SELECT artifact_sha256 FROM model_artifacts WHERE version = {version}"
        )
        [file] = (self.folder / "data/blobs").rglob(f"*{sha256}*")
        return file

    def remove(self, version: int) -> None:
        self.file(version).unlink()

    def flip_a_bit(self, version: int) -> None:
        content = bytearray(self.file(version).read_bytes())
        content[len(content) // 2] ^= 1
        self.file(version).write_bytes(content)

    def swap(self, version: int) -> None:
        self.file(version).write_bytes(self.file(2).read_bytes())


def forged(content: bytes) -> bytes:
    """Return an archive with another class in it, such as an intruder would register."""
    return content.replace(b"sklearn.linear_model", b"sklearn.linear_modeL")


DAMAGES: dict[int, Callable[[Artifacts, int], None]] = {
    3: Artifacts.remove,
    4: Artifacts.flip_a_bit,
    5: Artifacts.swap,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LearningEngine]:
    """Version 2 is champion, 6 is as good, 7 is forged; the others are damaged."""
    folder = tmp_path_factory.mktemp("damaged")
    prepare(folder, (CHAMPION, *[CHALLENGER] * (VERSIONS - 2)))
    add_versions(folder / "data", folder / "configs", "buys", (CHALLENGER,), forge=forged)
    for version, damage in DAMAGES.items():
        damage(Artifacts(folder), version)
    with running_engine(folder, scorers=2) as running:
        running.predict(timeout_s=60.0)
        running.wait_for_scorers(2)
        yield running
        running.check_log()


@pytest.mark.parametrize(
    ("version", "code", "detail", "reason"),
    [
        (3, grpc.StatusCode.UNAVAILABLE, "no blob named", "artifact_missing"),
        (4, grpc.StatusCode.DATA_LOSS, "is corrupt", "artifact_corrupt"),
        (5, grpc.StatusCode.DATA_LOSS, "is corrupt", "artifact_corrupt"),
        (FORGED, grpc.StatusCode.DATA_LOSS, "malformed_artifact", "malformed_artifact"),
    ],
    ids=["missing", "corrupt", "swapped", "forged"],
)
def test_a_version_that_cannot_be_loaded_does_not_become_champion(
    engine: LearningEngine, version: int, code: grpc.StatusCode, detail: str, reason: str
) -> None:
    with calling(engine, 2) as callers:
        with pytest.raises(grpc.RpcError) as raised:
            engine.set_champion(version)
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "cannot answer, so it is not made champion" in raised.value.details()
        assert detail in raised.value.details()
        callers.wait_for_answers(5)
    assert set(callers.versions) == {2}
    assert engine.aliases()["champion"] == 2
    assert engine.metric(f'trellis_artifacts_refused_total{{reason="{reason}"}}') >= 1
    # Who asks for it by its number is told why not, and nobody else notices.
    found, told = engine.refusal(version=version)
    assert found is code
    assert detail in told
    assert engine.predict().model_version == 2


def test_a_promotion_and_the_way_back_take_effect_at_once(engine: LearningEngine) -> None:
    assert engine.set_champion(6) == 2
    assert engine.predict().model_version == 6
    assert engine.set_champion(2) == 6
    assert engine.predict().model_version == 2
