"""The services over real parts, asked by a real client: store, features, registry, dead letters."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import grpc
import pyarrow as pa
import pytest
import trio
from google.protobuf.timestamp_pb2 import Timestamp

from engine.clock import read_clock_us
from engine.config import EntitySpec, FeaturesFile, FeatureSpec, OnlineConfig
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.intake.dead_letters import DeadLetters
from engine.intake.validation import Rules
from engine.learning.alias_moves import AliasMoves
from engine.learning.live_quality import LiveQuality
from engine.models import ModelRegistry
from engine.records import EVENTS_SCHEMA, Append, Upsert, WriteRequest
from engine.services import FeatureService, IntakeService, ModelService
from engine.store import Store, StoreSettings, open_store
from proto.trellis.v1 import dead_letters_pb2, features_pb2, models_pb2
from tests.integration.learning.loop_world import PlayedLoader
from tests.support.predictions import make_calls

FEATURES = FeaturesFile(
    entities={"user": EntitySpec("user_id")},
    features={
        spec.name: spec
        for spec in (
            FeatureSpec("clicks", "events", {"action": "click"}, "count", window_s=3_600),
            FeatureSpec("spend", "events", {"action": "buy"}, "sum", "value", window_s=3_600),
            FeatureSpec("last_action", "events", {}, "last", "action"),
            FeatureSpec("clicked", expression="clicks > 0", type="bool"),
        )
    },
)
MINUTE_US = 60_000_000
NEW_YEAR = datetime(2026, 1, 1)  # noqa: DTZ001 - the file keeps UTC without a zone
START_US = 1_700_000_000_000_000


@attrs.frozen
class Engine:
    """What a test talks to."""

    store: Store
    call: Callable[..., Any]

    async def add_event(self, user_id: int, action: str, at_us: int, value: float | None) -> int:
        row = {
            "user_id": user_id,
            "action": action,
            "event_time": at_us,
            "ingest_time": at_us,
            "value": value,
            "topic": "t",
            "partition": 0,
            "offset": self.store.writer.commit_seq,
        }
        batch = pa.RecordBatch.from_pylist([row], schema=EVENTS_SCHEMA)
        receipt = await self.store.writer.submit(WriteRequest((Append("events", batch),)))
        return receipt.commit_seq

    async def refusal(self, method: str, request: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as raised:
            await self.call(method, request)
        return raised.value.code(), raised.value.details()


@pytest.fixture
async def engine(tmp_path: Path, serving: Any) -> AsyncIterator[Engine]:
    settings = StoreSettings(path=tmp_path / "trellis.duckdb", reader_threads=2, threads=1)
    async with open_store(settings) as store, _served(store, serving) as running:
        yield running


@asynccontextmanager
async def _served(store: Store, serving: Any) -> AsyncIterator[Engine]:
    feature_set = compile_feature_set(FEATURES)
    online = OnlineStore(feature_set, OnlineConfig())
    store.writer.add_commit_listener(online.apply)
    await online.rebuild(store.reader)
    registry = ModelRegistry(
        store.writer, store.reader, {n: f.entity for n, f in FEATURES.features.items()}
    )
    await registry.load()
    features = FeatureStore(feature_set, online, store.reader)
    rules = Rules(oldest_us=0, max_future_us=300_000_000, max_message_bytes=1_000_000)
    servicers = (
        FeatureService(features, registry, store.writer, make_calls(store, features, registry)),
        ModelService(
            registry,
            aliases := AliasMoves(registry, PlayedLoader()),
            LiveQuality({}, FEATURES, registry, aliases, store.reader, store.writer),
        ),
        IntakeService(DeadLetters(store.reader, store.writer, rules, read_clock_us)),
    )
    async with serving(*servicers) as running:
        with running.channel() as channel:

            async def call(method: str, request: Any) -> Any:
                service, name = method.split("/")
                reply = type(request).__name__.removesuffix("Request") + "Response"
                module = {"FeatureService": features_pb2, "ModelService": models_pb2}
                reply_type = getattr(module.get(service, dead_letters_pb2), reply)
                ask = channel.unary_unary(
                    f"/trellis.v1.{service}/{name}",
                    request_serializer=type(request).SerializeToString,
                    response_deserializer=reply_type.FromString,
                )
                return await trio.to_thread.run_sync(lambda: ask(request, timeout=10))

            yield Engine(store, call)


def timestamp(time_us: int) -> Timestamp:
    return Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1_000)


def shown(values: Any) -> list[tuple[str, Any, str]]:
    return [
        (
            value.name,
            getattr(value, value.WhichOneof("value")) if value.WhichOneof("value") else None,
            features_pb2.FeatureStatus.Name(value.status).removeprefix("FEATURE_STATUS_"),
        )
        for value in values
    ]


def get(**fields: Any) -> features_pb2.GetFeaturesRequest:
    return features_pb2.GetFeaturesRequest(**fields)


async def register(engine: Engine, name: str, *features: str, **more: Any) -> Any:
    request = models_pb2.RegisterModelRequest(model=name, features=features, **more)
    return await engine.call("ModelService/RegisterModel", request)


async def test_a_models_features_come_in_its_order_with_type_status_and_time(
    engine: Engine,
) -> None:
    await register(engine, "churn", "last_action", "spend", "clicks", "clicked")
    await engine.add_event(7, "click", START_US, None)
    commit_seq = await engine.add_event(7, "buy", START_US + 5, 2.5)
    as_of = timestamp(START_US + MINUTE_US)
    reply = await engine.call(
        "FeatureService/GetFeatures", get(model="churn", entity_key=7, as_of=as_of)
    )
    assert (reply.model, reply.model_version, reply.entity_key) == ("churn", 1, 7)
    assert (reply.as_of, reply.commit_seq) == (as_of, commit_seq)
    assert shown(reply.features) == [
        ("last_action", "buy", "PRESENT"),
        ("spend", 2.5, "PRESENT"),
        ("clicks", 1, "PRESENT"),
        ("clicked", True, "PRESENT"),
    ]
    assert reply.features[0].event_time == timestamp(START_US + 5)
    assert reply.features[2].event_time == timestamp(START_US)


async def test_an_unknown_entity_has_missing_values(engine: Engine) -> None:
    key = -(2**63)
    reply = await engine.call(
        "FeatureService/GetFeatures", get(features=["last_action", "clicks"], entity_key=key)
    )
    assert (reply.model, reply.model_version, reply.entity_key) == ("", 0, key)
    assert shown(reply.features)[0] == ("last_action", None, "MISSING")
    assert not reply.features[0].HasField("event_time")
    assert abs(reply.as_of.seconds - time.time()) < 60


async def test_an_answer_is_reproduced_from_its_time_and_commit(engine: Engine) -> None:
    await engine.add_event(7, "click", START_US, None)
    request = get(features=["clicks", "last_action"], entity_key=7)
    request.as_of.CopyFrom(timestamp(START_US + MINUTE_US))
    before = await engine.call("FeatureService/GetFeatures", request)
    await engine.add_event(7, "buy", START_US + 1, 1.0)
    after = await engine.call("FeatureService/GetFeatures", request)
    assert shown(after.features)[1] == ("last_action", "buy", "PRESENT")
    request.commit_seq = before.commit_seq
    assert await engine.call("FeatureService/GetFeatures", request) == before


async def test_a_batch_is_answered_in_its_order(engine: Engine) -> None:
    await register(engine, "churn", "clicks", "last_action")
    await engine.add_event(1, "click", START_US, None)
    await engine.add_event(2, "view", START_US, None)
    keys = [2, 1, 3, 1]
    request = features_pb2.BatchGetFeaturesRequest(
        model="churn", entity_keys=keys, as_of=timestamp(START_US + MINUTE_US)
    )
    reply = await engine.call("FeatureService/BatchGetFeatures", request)
    assert (reply.model, reply.model_version, reply.as_of) == ("churn", 1, request.as_of)
    assert [row.entity_key for row in reply.rows] == keys
    assert [shown(row.features)[1][1] for row in reply.rows] == ["view", "click", None, "click"]
    for row in reply.rows:
        single = get(model="churn", entity_key=row.entity_key, as_of=request.as_of)
        alone = await engine.call("FeatureService/GetFeatures", single)
        assert list(alone.features) == list(row.features)


async def test_a_batch_of_a_thousand_keys_is_answered(engine: Engine) -> None:
    request = features_pb2.BatchGetFeaturesRequest(features=["clicks"], entity_keys=range(1_000))
    reply = await engine.call("FeatureService/BatchGetFeatures", request)
    assert [row.entity_key for row in reply.rows] == list(range(1_000))


@pytest.mark.parametrize(
    ("request_", "code", "start"),
    [
        (get(entity_key=1), "INVALID_ARGUMENT", "model: set exactly one of model and features"),
        (get(entity_key=1, model="m", features=["clicks"]), "INVALID_ARGUMENT", "model: "),
        (get(features=["clicks"]), "INVALID_ARGUMENT", "entity_key: is missing"),
        (get(entity_key=1, model="churm"), "NOT_FOUND", "no model named 'churm'; close to it: c"),
        (get(entity_key=1, model="churn", version=9), "NOT_FOUND", "no model version named "),
        (get(entity_key=1, model="churn", version=-1), "INVALID_ARGUMENT", "version: "),
        (get(entity_key=1, features=["clicks"], version=1), "INVALID_ARGUMENT", "version: "),
        (get(entity_key=1, features=["click"]), "NOT_FOUND", "no feature named 'click'; close to "),
        (get(entity_key=1, features=["clicks"] * 2), "INVALID_ARGUMENT", "features: "),
        (get(entity_key=1, features=["clicks"] * 257), "INVALID_ARGUMENT", "features: 257 names"),
        (
            get(entity_key=1, features=["clicks"], as_of=Timestamp(seconds=-1)),
            "INVALID_ARGUMENT",
            "as_of: is before 1970",
        ),
        (
            get(entity_key=1, features=["clicks"], commit_seq=99),
            "FAILED_PRECONDITION",
            "commit_seq 99 is later than the last commit, 1; ask again",
        ),
        (
            get(entity_key=1, features=["clicks"], commit_seq=-1),
            "INVALID_ARGUMENT",
            "commit_seq: -1",
        ),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_told_what_is_wrong(
    engine: Engine, request_: Any, code: str, start: str
) -> None:
    await register(engine, "churn", "clicks")
    status, text = await engine.refusal("FeatureService/GetFeatures", request_)
    assert status.name == code
    assert text.startswith(start)


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_has_one_to_a_thousand_keys(engine: Engine, count: int) -> None:
    request = features_pb2.BatchGetFeaturesRequest(features=["clicks"], entity_keys=range(count))
    status, text = await engine.refusal("FeatureService/BatchGetFeatures", request)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert text == f"entity_keys: {count} keys; a batch has 1 to 1000"


async def test_a_time_to_come_is_answered(engine: Engine) -> None:
    as_of = timestamp(read_clock_us() + 10 * 86_400_000_000)
    reply = await engine.call(
        "FeatureService/GetFeatures", get(features=["clicks"], entity_key=1, as_of=as_of)
    )
    assert reply.as_of == as_of


async def test_models_are_registered_found_and_listed(engine: Engine) -> None:
    made = await register(engine, "churn", "clicks", "spend", description="who leaves")
    assert made.created
    assert not (await register(engine, "churn", "clicks", "spend")).created
    second = await register(engine, "churn", "spend")
    assert (second.model.version, second.model.latest_version) == (2, 2)
    for name in ("buyers", "visitors"):
        await register(engine, name, "clicks")

    first = models_pb2.GetModelRequest(model="churn", version=1)
    found = (await engine.call("ModelService/GetModel", first)).model
    assert list(found.features) == ["clicks", "spend"]
    assert (found.entity, found.description, found.latest_version) == ("user", "who leaves", 2)
    assert found.source == models_pb2.MODEL_SOURCE_REGISTERED
    assert abs(found.created_at.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() < 60

    pages = []
    token = ""
    while True:
        request = models_pb2.ListModelsRequest(page_size=2, page_token=token)
        page = await engine.call("ModelService/ListModels", request)
        pages.append([model.model for model in page.models])
        token = page.next_page_token
        if not token:
            break
    assert pages == [["buyers", "churn"], ["visitors"]]


@pytest.mark.parametrize("token", ["garbage", "churn", "after:", "xafter:churn"])
async def test_a_page_token_that_no_reply_gave_is_refused(engine: Engine, token: str) -> None:
    request = models_pb2.ListModelsRequest(page_token=token)
    status, text = await engine.refusal("ModelService/ListModels", request)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert text == "page_token: is not one that a reply gave"


async def test_a_wrong_registration_is_told_what_is_wrong(engine: Engine) -> None:
    request = models_pb2.RegisterModelRequest(model="Churn", features=["clicks"])
    status, text = await engine.refusal("ModelService/RegisterModel", request)
    assert (status.name, text[:16]) == ("INVALID_ARGUMENT", "model: 'Churn' i")
    request = models_pb2.RegisterModelRequest(model="churn", features=["klicks"])
    status, text = await engine.refusal("ModelService/RegisterModel", request)
    assert status is grpc.StatusCode.NOT_FOUND
    assert text.startswith("no feature named 'klicks'; close to it: clicks")


async def add_dead_letters(engine: Engine, *payloads: bytes | None) -> None:
    columns = (
        "dead_letter_id",
        "topic",
        "partition",
        "offset",
        "broker_incarnation",
        "received_at",
        "payload",
        "reason",
        "detail",
    )
    rows = [
        (
            f"t/0/{n}@one",
            "t",
            0,
            n,
            "one",
            NEW_YEAR + timedelta(seconds=n),
            payload,
            "invalid_json",
            "x",
        )
        for n, payload in enumerate(payloads)
    ]
    await engine.store.writer.submit(WriteRequest((Upsert("dead_letters", columns, rows),)))


def dead(**fields: Any) -> dead_letters_pb2.ListDeadLettersRequest:
    return dead_letters_pb2.ListDeadLettersRequest(**fields)


async def test_dead_letters_are_listed_page_by_page(engine: Engine) -> None:
    await add_dead_letters(engine, b"x" * 1_000, b"{", None)
    page = await engine.call("IntakeService/ListDeadLetters", dead(page_size=2))
    assert [letter.dead_letter_id for letter in page.dead_letters] == ["t/0/2@one", "t/0/1@one"]
    rest = await engine.call(
        "IntakeService/ListDeadLetters",
        dead(page_size=2, page_token=page.next_page_token, max_payload_bytes=10),
    )
    [first] = rest.dead_letters
    assert (first.payload, first.payload_size_bytes) == (b"x" * 10, 1_000)
    assert (first.reason, first.received_at.ToDatetime()) == ("invalid_json", NEW_YEAR)
    assert not first.HasField("replayed_at")
    assert not rest.next_page_token


async def test_dead_letters_are_replayed_once(engine: Engine) -> None:
    good = b'{"user_id": 7, "action": "click", "timestamp": 1700000000}'
    await add_dead_letters(engine, good, b"{")
    replay = dead_letters_pb2.ReplayDeadLettersRequest
    reply = await engine.call("IntakeService/ReplayDeadLetters", replay(all_pending=True))
    assert (reply.replayed, reply.failed) == (1, 1)
    assert [failure.dead_letter_id for failure in reply.failures] == ["t/0/1@one"]
    again = replay(dead_letter_ids=["t/0/0@one"])
    reply = await engine.call("IntakeService/ReplayDeadLetters", again)
    assert (reply.replayed, reply.already_replayed) == (0, 1)
    rows = await engine.store.reader.fetch_rows("SELECT user_id FROM events")
    assert rows == [(7,)]
    replayed = dead(state=dead_letters_pb2.DEAD_LETTER_STATE_REPLAYED)
    page = await engine.call("IntakeService/ListDeadLetters", replayed)
    assert [letter.HasField("replayed_at") for letter in page.dead_letters] == [True]


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListDeadLetters", dead(page_size=501), "page_size"),
        ("ListDeadLetters", dead(page_token="nonsense"), "page_token"),
        ("ListDeadLetters", dead(page_token="9" * 40 + ":x"), "page_token"),
        ("ListDeadLetters", dead(max_payload_bytes=5_000), "max_payload_bytes"),
        ("ListDeadLetters", dead(state=9), "state"),
        ("ReplayDeadLetters", dead_letters_pb2.ReplayDeadLettersRequest(), "dead_letter_ids"),
        (
            "ReplayDeadLetters",
            dead_letters_pb2.ReplayDeadLettersRequest(all_pending=True, reason="x"),
            "dead_letter_ids",
        ),
    ],
)
async def test_a_wrong_request_for_dead_letters_names_the_field(
    engine: Engine, method: str, request_: Any, field: str
) -> None:
    status, text = await engine.refusal(f"IntakeService/{method}", request_)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"{field}: ")
