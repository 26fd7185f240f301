"""The registry over a real data file."""

import itertools
import json
import logging
from typing import Any

import attrs
import pytest
import trio

from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.models import ModelRegistry, Source, SyncReport
from engine.records import Receipt, Upsert, WriteRequest
from engine.store import Store, StoreSettings, open_store

ENTITY_OF = dict.fromkeys(("clicks_5m", "spend_24h", "last_action", "plan"), "user") | {
    "stock": "product"
}


@attrs.frozen
class Declared:
    name: str
    features: tuple[str, ...]
    entity: str = "user"
    description: str = ""


def registry_of(store: Store) -> ModelRegistry:
    ticks = itertools.count(1_700_000_000_000_001)
    return ModelRegistry(store.writer, store.reader, ENTITY_OF, lambda: next(ticks))


async def loaded(store: Store) -> ModelRegistry:
    registry = registry_of(store)
    await registry.load()
    return registry


async def test_a_registered_model_is_there_after_a_restart(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        made = await registry.register("churn", ["plan", "clicks_5m"], "who leaves")
        await registry.register("churn", ["clicks_5m", "plan"])
        before = registry.list()
    assert made.created
    assert (made.version.version, made.version.features) == (1, ("plan", "clicks_5m"))
    assert made.version.created_at_us == 1_700_000_000_000_001
    async with open_store(settings) as store:
        assert (await loaded(store)).list() == before
    [model] = before
    assert (model.description, model.latest.version, model.find(1)) == (
        "who leaves",
        2,
        made.version,
    )


async def test_registering_twice_is_registering_once(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        first = await registry.register("churn", ["plan"], "who leaves")
        commit_seq = store.writer.commit_seq
        again = await registry.register("churn", ["plan"])
        assert (again.version, again.created) == (first.version, False)
        assert store.writer.commit_seq == commit_seq


async def test_a_new_description_makes_no_version(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", ["plan"], "old")
        assert not (await registry.register("churn", ["plan"], "new")).created
        assert (await loaded(store)).list() == registry.list()
        assert registry.find("churn").description == "new"
        assert registry.find("churn").latest.version == 1


async def test_concurrent_registrations_get_versions_of_their_own(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        lists = list(itertools.permutations(["plan", "clicks_5m", "spend_24h"]))
        async with trio.open_nursery() as nursery:
            for features in lists:
                nursery.start_soon(registry.register, "churn", features)
        model = registry.find("churn")
        assert [version.version for version in model.versions] == [1, 2, 3, 4, 5, 6]
        assert {version.features for version in model.versions} == set(lists)
        assert (await loaded(store)).list() == registry.list()


async def test_every_change_is_logged(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", ["plan"], "old")
        await registry.register("churn", ["clicks_5m"])
        await registry.register("churn", ["clicks_5m"], "new")
        rows = await store.reader.fetch_rows(
            "SELECT model, version, change, detail FROM model_log ORDER BY logged_at"
        )
    assert [row[:3] for row in rows] == [
        ("churn", 1, "created"),
        ("churn", 2, "version added"),
        ("churn", 2, "described"),
    ]
    assert json.loads(rows[1][3]) == {
        "description": "old",
        "features": ["clicks_5m"],
        "source": "registered",
    }


async def test_the_champion_is_served_by_default(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", ["plan"])
        await registry.register("churn", ["clicks_5m"])
        assert registry.get("churn").version == 2
        alias = (
            "model_aliases",
            ("model_alias", "model", "alias", "version", "updated_at"),
            [("churn/champion", "churn", "champion", 1, "2026-01-01 00:00:00")],
        )
        await store.writer.submit(WriteRequest((Upsert(*alias),)))
        registry = await loaded(store)
        assert registry.get("churn").version == 1
        assert registry.get("churn", 0).version == 1
        assert registry.get("churn", 2).version == 2
        assert dict(registry.find("churn").aliases) == {"champion": 1}


@pytest.mark.parametrize(
    ("name", "features", "entity", "field"),
    [
        ("", ["plan"], "user", "model"),
        ("Churn", ["plan"], "user", "model"),
        ("1st", ["plan"], "user", "model"),
        ("churn\n", ["plan"], "user", "model"),
        ("c" * 65, ["plan"], "user", "model"),
        ("churn", [], "user", "features"),
        ("churn", ["plan"] * 257, "user", "features"),
        ("churn", ["plan", "clicks_5m", "plan"], "user", "features"),
        ("churn", ["plan", "stock"], "user", "features"),
    ],
)
async def test_what_is_no_model_is_refused_naming_the_field(
    settings: StoreSettings, name: str, features: list[str], entity: str, field: str
) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        with pytest.raises(InvalidArgumentError) as raised:
            await registry.register(name, features, entity=entity)
        assert raised.value.field == field
        assert registry.list() == ()
        assert store.writer.commit_seq == 0


async def test_unknown_names_are_answered_with_close_ones(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", ["plan"])
        with pytest.raises(NotFoundError, match="close to it: clicks_5m"):
            await registry.register("other", ["click_5m"])
        with pytest.raises(NotFoundError, match="no entity named 'users'; close to it: user"):
            await registry.register("other", ["plan"], entity="users")
        with pytest.raises(NotFoundError, match="no model named 'chrun'; close to it: churn"):
            registry.get("chrun")
        with pytest.raises(NotFoundError, match="'churn/2'; close to it: churn/1"):
            registry.get("churn", 2)
        with pytest.raises(InvalidArgumentError, match="version: -1"):
            registry.get("churn", -1)


async def test_a_description_has_an_end(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        with pytest.raises(InvalidArgumentError, match="description: 1001 characters"):
            await registry.register("churn", ["plan"], "x" * 1_001)


async def test_a_model_keeps_its_entity(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", ["plan"])
        with pytest.raises(FailedPreconditionError, match="for the entity 'user'"):
            await registry.register("churn", ["stock"], entity="product")


async def test_declarations_are_synced_once_and_their_end_is_reported(
    settings: StoreSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    churn, buyers = Declared("churn", ("plan",)), Declared("buyers", ("clicks_5m", "spend_24h"))
    async with open_store(settings) as store:
        registry = await loaded(store)
        report = await registry.sync_declared({"churn": churn, "buyers": buyers})
        assert report == SyncReport(created=("churn", "buyers"), changed=(), removed=())
        assert store.writer.commit_seq == 1
        assert registry.get("churn").source is Source.DECLARED
    async with open_store(settings) as store:
        registry = await loaded(store)
        report = await registry.sync_declared({"churn": churn, "buyers": buyers})
        assert report == SyncReport((), (), ())
        assert store.writer.commit_seq == 1
        changed = attrs.evolve(churn, features=("plan", "last_action"))
        report = await registry.sync_declared({"churn": changed})
        assert report == SyncReport(created=(), changed=("churn",), removed=("buyers",))
        assert registry.get("churn").features == ("plan", "last_action")
        assert registry.get("churn", 1).features == ("plan",)
        assert registry.get("buyers").version == 1
    assert "model is no longer declared; it stays as it is" in caplog.messages


async def test_a_declared_model_is_changed_in_its_file_only(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.sync_declared({"churn": Declared("churn", ("plan",))})
        assert not (await registry.register("churn", ["plan"])).created
        with pytest.raises(FailedPreconditionError, match=r"declared in models\.yaml"):
            await registry.register("churn", ["clicks_5m"])
        await registry.sync_declared({})
        assert (await registry.register("churn", ["clicks_5m"])).created


async def test_features_that_are_gone_are_reported_at_load(
    settings: StoreSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(settings) as store:
        await (await loaded(store)).register("churn", ["plan", "last_action"])
        fewer = {name: entity for name, entity in ENTITY_OF.items() if name != "plan"}
        registry = ModelRegistry(store.writer, store.reader, fewer)
        await registry.load()
        assert registry.get("churn").features == ("plan", "last_action")
    [record] = [r for r in caplog.records if r.message == "model needs undefined features"]
    assert record.__dict__["lost"] == ["plan"]


class SlowWriter:
    """The real writer, held back until told."""

    def __init__(self, store: Store) -> None:
        self._writer = store.writer
        self.add_commit_listener = store.writer.add_commit_listener
        self.reached = trio.Event()
        self.go_on = trio.Event()

    async def submit(self, request: WriteRequest) -> Receipt:
        self.reached.set()
        await self.go_on.wait()
        return await self._writer.submit(request)


async def test_a_registration_that_is_given_up_half_way_leaves_memory_as_the_file(
    settings: StoreSettings,
) -> None:
    async with open_store(settings) as store:
        writer = SlowWriter(store)
        registry = ModelRegistry(writer, store.reader, ENTITY_OF)
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def give_up() -> None:
                    await writer.reached.wait()
                    scope.cancel()
                    writer.go_on.set()

                nursery.start_soon(give_up)
                await registry.register("churn", ["plan"])
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert (await loaded(store)).list() == registry.list()
        assert registry.get("churn").version == 1


async def test_a_refused_write_changes_nothing(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", ["plan"])
        before = registry.list()
        store.writer.close()
        with pytest.raises(Exception, match="shutting down"):
            await registry.register("churn", ["clicks_5m"])
        assert registry.list() == before


def test_models_compare_by_value() -> None:
    # `load` after a restart must give equal models; frozen aliases must not break that.
    from engine.models import Model, ModelVersion

    version = ModelVersion("m", 1, ("plan",), Source.REGISTERED, 1)
    made: list[Any] = [Model("m", "user", "", 1, (version,), {"champion": 1}) for _ in range(2)]
    assert made[0] == made[1]
