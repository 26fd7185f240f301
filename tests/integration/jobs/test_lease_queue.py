"""The queue's laws, on every server it is to work with."""

import contextlib
import threading

import msgspec
import pytest

from engine.errors import BackendUnavailableError
from engine.jobs.lease_queue import LeaseQueue, QueueLostError
from engine.jobs.places import compute_place
from engine.jobs.queue_keys import QueueKeys
from engine.jobs.queue_records import (
    Enqueue,
    FinalRecord,
    Finish,
    Forget,
    GiveBack,
    LiveRecord,
    Restore,
    Spec,
    Unreserve,
    write_spec,
)
from tests.support.redis_servers import running_server

NOW = 1_000_000


def spec_of(text="{}"):
    return write_spec(Spec("noop", msgspec.Raw(text.encode()), 0, 3, 7, "request"))


def ready(order, *, run=1, pool="default", priority=0, attempt=0, failures=0):
    return LiveRecord("ready", run, attempt, failures, pool, compute_place(priority, order))


def enqueue(job_id, order=None, **options):
    return Enqueue(job_id, ready(order or int(job_id[1:]), **options), spec_of())


def delayed(job_id, due_us):
    record = LiveRecord("delayed", 1, 0, 0, "default", int(job_id[1:]), due_us=due_us)
    return Enqueue(job_id, record, spec_of())


def finish(job, state="SUCCEEDED", *, token=None, expires=NOW + 10):
    record = job.record
    final = FinalRecord(state, record.run, record.attempt, record.failures, record.pool, "{}")
    return Finish(job.job_id, record.run, record.token if token is None else token, final, expires)


def give_back(job, state="ready", slot="", *, failures=0, due_us=0, token=None):
    record = job.record
    return GiveBack(
        job.job_id,
        record.run,
        record.token if token is None else token,
        state,
        slot,
        record.attempt,
        failures,
        due_us,
    )


def put(queue, *changes):
    return queue.apply(changes, NOW).done


def claim(queue, slot="a", token="t1", most=10, pools=("default",)):
    claimed = queue.claim(slot, token, most, NOW, pools=pools)
    return list(claimed.jobs)


def ids(jobs):
    return [job.job_id for job in jobs]


def test_jobs_come_in_order_of_priority_then_acceptance(queue):
    put(queue, enqueue("j3"), enqueue("j1"), enqueue("j2"), enqueue("j9", priority=5))
    assert ids(claim(queue, most=3)) == ["j9", "j1", "j2"]


def test_the_foremost_of_several_pools_comes_first(queue):
    put(queue, enqueue("j1"), enqueue("j2", pool="heavy"), enqueue("j3"))
    put(queue, enqueue("j4", pool="heavy", priority=1))
    assert ids(claim(queue, most=3, pools=("default", "heavy"))) == ["j4", "j1", "j2"]


def test_only_named_pools_are_taken_from(queue):
    put(queue, enqueue("j1", pool="heavy"))
    assert claim(queue) == []


def test_enqueueing_again_changes_nothing(queue):
    assert put(queue, enqueue("j1"), enqueue("j1")) == (True, False)
    [job] = claim(queue)
    assert put(queue, enqueue("j1")) == (False,)
    assert put(queue, finish(job), enqueue("j1")) == (True, False)
    assert claim(queue, token="t2") == []


def test_a_later_run_is_a_new_one(queue):
    put(queue, enqueue("j1"))
    [job] = claim(queue)
    put(queue, finish(job, "DEAD"))
    assert queue.list_dead(10) == ["j1"]
    assert put(queue, enqueue("j1", run=2)) == (True,)
    [again] = claim(queue, token="t2")
    assert (again.record.run, again.record.attempt) == (2, 1)
    assert queue.list_dead(10) == []
    assert queue.stats()["default"].dead == 0


def test_the_payload_arrives_as_it_was(queue):
    text = '{"text": "' + "ä\\u0000\\n" * 5_000 + '"}'
    put(queue, Enqueue("j1", ready(1), spec_of(text)))
    [job] = claim(queue)
    assert bytes(job.spec.payload).decode() == text


def test_a_repeated_claim_returns_the_same_jobs(queue):
    put(queue, *(enqueue(f"j{n}") for n in range(1, 6)))
    first = claim(queue, most=2)
    assert claim(queue, most=2) == first
    assert claim(queue, most=5) == first


def test_a_slot_that_holds_jobs_can_have_more(queue):
    put(queue, *(enqueue(f"j{n}") for n in range(1, 6)))
    first = claim(queue, token="t1", most=2)
    second = claim(queue, token="t2", most=2)
    assert ids(second) == ["j3", "j4"]
    assert put(queue, *map(finish, first + second)) == (True,) * 4


def test_another_slot_does_not_get_what_is_leased(queue):
    put(queue, enqueue("j1"))
    claim(queue, slot="a")
    assert claim(queue, slot="b", token="t2") == []


def test_no_job_is_leased_twice_by_slots_that_claim_at_once(queue):
    put(queue, *(enqueue(f"j{n}") for n in range(1, 301)))
    taken = {}

    def work(slot):
        mine = taken[slot] = []
        for number in range(1_000):
            got = claim(queue, slot, f"{slot}{number}", most=7)
            if not got:
                return
            mine.extend(ids(got))

    threads = [threading.Thread(target=work, args=(slot,)) for slot in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [job_id for mine in taken.values() for job_id in mine]
    assert sorted(everything) == sorted(f"j{n}" for n in range(1, 301))


def test_a_stale_token_changes_nothing(queue):
    put(queue, enqueue("j1"))
    [old] = claim(queue, token="t1")
    put(queue, give_back(old))
    [new] = claim(queue, slot="b", token="t2")
    assert put(queue, finish(old), give_back(old)) == (False, False)
    assert queue.extend([("j1", "t1"), ("j1", "t2")], NOW) == (False, True)
    assert put(queue, finish(new), finish(new)) == (True, False)


def test_what_is_given_back_to_a_slot_comes_first_there_and_nowhere_else(queue):
    put(queue, *(enqueue(f"j{n}") for n in range(1, 4)))
    [first] = claim(queue, token="t1", most=1)
    put(queue, give_back(first, "reserved", "a", failures=1))
    assert ids(claim(queue, slot="b", token="t2", most=1)) == ["j2"]
    put(queue, enqueue("j0", order=1, priority=9))
    again = claim(queue, token="t3", most=2)
    assert ids(again) == ["j1", "j0"]
    assert (again[0].record.attempt, again[0].record.failures) == (2, 1)


def test_what_was_reserved_for_a_slot_can_be_anyones_again(queue):
    put(queue, enqueue("j1"), enqueue("j2"))
    [first] = claim(queue, most=1)
    put(queue, give_back(first, "reserved", "a"))
    assert put(queue, Unreserve("a"), Unreserve("a")) == (True, False)
    assert ids(claim(queue, slot="b", token="t2")) == ["j1", "j2"]


def test_slots_whose_names_begin_alike_are_apart(queue):
    put(queue, enqueue("j1"), enqueue("j2"))
    [first] = claim(queue, slot="pool/1", token="t1", most=1)
    [second] = claim(queue, slot="pool/10", token="t2", most=1)
    put(queue, give_back(first, "reserved", "pool/1"), give_back(second, "reserved", "pool/10"))
    assert ids(claim(queue, slot="pool/1", token="t3")) == ["j1"]


def test_what_is_given_back_keeps_its_place(queue):
    put(queue, *(enqueue(f"j{n}") for n in range(1, 5)))
    first, second = claim(queue, most=2)
    put(queue, give_back(second), give_back(first))
    assert ids(claim(queue, slot="b", token="t2")) == ["j1", "j2", "j3", "j4"]


def test_delayed_jobs_become_ready_when_they_are_due(queue):
    put(queue, delayed("j2", NOW + 20), delayed("j1", NOW + 10), enqueue("j5"))
    [job] = claim(queue, most=10)
    assert (
        queue.apply([give_back(job, "delayed", due_us=NOW + 5)], NOW).depth.next_due_us == NOW + 5
    )
    promoted = queue.promote(NOW + 10)
    assert promoted.ready == 2
    assert promoted.depth.ready == {"default": 2, "heavy": 0}
    assert promoted.depth.next_due_us == NOW + 20
    assert ids(claim(queue, token="t2")) == ["j1", "j5"]
    assert queue.promote(NOW + 20).depth.next_due_us is None


def test_a_job_can_be_ended_whoever_holds_it(queue):
    put(queue, enqueue("j1"), enqueue("j2"), delayed("j3", NOW + 10))
    jobs = {job.job_id: job for job in claim(queue, most=1)}
    cancelled = FinalRecord("CANCELLED", 1, 0, 0, "default", "{}")
    endings = [Finish(job_id, 1, "", cancelled, NOW + 10) for job_id in ("j1", "j2", "j3")]
    assert put(queue, *endings) == (True, True, True)
    assert put(queue, finish(jobs["j1"])) == (False,)
    assert queue.read_final(["j1", "j2", "j3", "j4"]).keys() == {"j1", "j2", "j3"}
    depths = queue.stats()["default"]
    assert (depths.ready, depths.delayed, depths.leased) == (0, 0, 0)


def test_results_are_kept_until_they_expire(queue):
    put(queue, enqueue("j1"), enqueue("j2"))
    first, second = claim(queue)
    put(queue, finish(first, "DEAD", expires=NOW + 10), finish(second, expires=NOW + 20))
    assert queue.promote(NOW + 10).forgotten == 1
    assert queue.read_final(["j1", "j2"])["j2"].state == "SUCCEEDED"
    assert queue.read_final(["j1"]) == {}
    assert queue.list_dead(5) == []
    assert queue.stats()["default"].dead == 0


def test_restoring_makes_a_job_what_it_is_told_to_be(queue):
    held = LiveRecord("leased", 1, 4, 2, "heavy", 5, "t9", "a")
    put(queue, enqueue("j1"))
    assert put(queue, Restore("j1", held, spec_of()), Restore("j2", held, spec_of()))
    assert ids(claim(queue, token="t9", pools=("default", "heavy"))) == ["j1", "j2"]
    assert queue.stats()["heavy"].leased == 2
    assert queue.stats()["default"].ready == 0


def test_what_is_forgotten_is_gone(queue):
    put(queue, enqueue("j1"))
    assert put(queue, Forget("j1"), Forget("j1")) == (True, False)
    assert claim(queue) == []
    assert queue.read_page(0) == (0, {})


def test_depths_and_ages_come_in_one_answer(queue):
    put(queue, enqueue("j7"), enqueue("j5", priority=-3), enqueue("j9", priority=2))
    put(queue, delayed("j1", NOW + 10), enqueue("j4", pool="heavy"))
    [job] = claim(queue, most=1)
    put(queue, enqueue("j8", priority=2), give_back(job, "reserved", "a"))
    depths = queue.stats()
    assert depths["default"].oldest_order_ms == 5
    assert (depths["default"].ready, depths["default"].delayed) == (3, 1)
    assert (depths["default"].reserved, depths["default"].leased) == (1, 0)
    assert depths["heavy"].oldest_order_ms == 4


def test_all_live_jobs_can_be_listed(queue):
    put(queue, *(enqueue(f"j{n}") for n in range(1, 1_201)))
    found, cursor = set(), None
    while cursor != 0:
        cursor, page = queue.read_page(cursor or 0)
        found |= page.keys()
    assert len(found) == 1_200


def test_another_owner_shuts_the_first_one_out(queue, any_client):
    put(queue, enqueue("j1", pool="heavy"))
    other = LeaseQueue(lambda: any_client, queue._keys)
    assert other.adopt("second")
    assert set(other.pools) == {"heavy"}
    for refused in (
        lambda: claim(queue),
        lambda: put(queue, enqueue("j2")),
        lambda: queue.promote(NOW),
        lambda: queue.extend([], NOW),
        queue.stats,
    ):
        with pytest.raises(QueueLostError):
            refused()
    assert ids(claim(other, pools=("heavy",))) == ["j1"]


def test_an_emptied_server_is_noticed(queue, any_client):
    put(queue, enqueue("j1"))
    for key in any_client.scan_iter(match=f"{queue._keys.name('*')}"):
        any_client.delete(key)
    with pytest.raises(QueueLostError):
        claim(queue)
    assert not queue.adopt("second")
    assert claim(queue) == []


def test_a_server_that_lost_its_last_writes_is_noticed(queue, any_client):
    put(queue, enqueue("j1"))
    any_client.hincrby(queue._keys.name("meta"), "writes", -1)
    with pytest.raises(QueueLostError):
        put(queue, enqueue("j2"))


def test_scripts_are_sent_again_to_a_server_that_forgot_them(queue, any_client):
    put(queue, enqueue("j1"))
    any_client.script_flush()
    assert ids(claim(queue)) == ["j1"]


@pytest.fixture
def own_server():
    with running_server("redis6") as server:
        yield server


def test_every_confirmed_change_survives_a_kill(own_server):
    with contextlib.closing(own_server.client()) as client:
        queue = LeaseQueue(lambda: client, QueueKeys("test"))
        queue.adopt("first")
        queue.add_pools(["default"])
        put(queue, *(enqueue(f"j{n}") for n in range(1, 101)))
        jobs = claim(queue, most=50)
        put(queue, *map(finish, jobs[:20]))
        own_server.kill()
        with pytest.raises(BackendUnavailableError):
            claim(queue, token="t2")
        own_server.start()
        assert claim(queue, most=50) == jobs[20:]
        assert queue.stats()["default"].ready == 50


def test_a_refusal_of_the_server_names_its_code_alone(own_server):
    with contextlib.closing(own_server.client()) as client:
        queue = LeaseQueue(lambda: client, QueueKeys("test"))
        queue.adopt("first")
        queue.add_pools(["default"])
        client.config_set("maxmemory", "1mb")
        with pytest.raises(BackendUnavailableError, match=r"the error OOM"):
            put(queue, Enqueue("j1", ready(1), spec_of(f'"{"x" * 5_000_000}"')))
        client.config_set("maxmemory", "0")
        assert queue.stats()["default"].ready == 0
        assert queue.read_page(0) == (0, {})


def test_a_server_that_hangs_is_unavailable(own_server):
    with contextlib.closing(own_server.client(timeout_s=0.2)) as client:
        queue = LeaseQueue(lambda: client, QueueKeys("test"))
        queue.adopt("first")
        own_server.process.send_signal(19)
        with pytest.raises(BackendUnavailableError, match="TimeoutError"):
            queue.stats()
        own_server.process.send_signal(18)
        assert queue.stats() == {}
