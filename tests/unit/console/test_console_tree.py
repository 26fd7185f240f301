"""What stands within what, and how each part is."""

from engine.console.snapshot import Health, LastEnd, Node, RunningJob, Worker
from engine.console.tree import DiskFacts, WriterFacts, build_tree
from engine.health import PartState

WRITER = WriterFacts(commit_seq=1234, waiting_rows=0, most_rows=1000)
UP = PartState(ok=True, detail="answers", required=False)
DOWN = PartState(ok=False, detail="redis is unavailable: refused", required=False)
RUNNING = PartState(ok=True, detail="running", required=True)


def worker(state: str, **more: object) -> Worker:
    facts: dict[str, object] = {
        "slot": "any-0",
        "pool": "",
        "host": "local",
        "worker_id": "any-0-1",
        "pid": 1,
        "state": state,
        "lease_remaining_s": 5.0,
        "memory_bytes": None,
        "restarts": 0,
        "starts_in_s": 0.0,
        "job": None,
        "last_end": None,
    }
    return Worker(**{**facts, **more})  # type: ignore[arg-type]


def find(node: Node, name: str) -> Node:
    found = [one for one in walk(node) if one.name == name]
    assert len(found) == 1, name
    return found[0]


def walk(node: Node) -> list[Node]:
    return [node, *(inner for child in node.children for inner in walk(child))]


def test_every_part_of_the_health_board_has_one_place() -> None:
    parts = {
        "engine": RUNNING,
        **dict.fromkeys(("redis", "kafka", "blobs", "intake", "features", "workers", "news"), UP),
    }
    tree = build_tree(parts, WRITER, [worker("idle")], {"control": "127.0.0.1:1"}, 3)
    names = [node.name for node in walk(tree)]
    assert len(names) == len(set(names))
    assert {"redis", "kafka", "blobs", "intake", "features", "news", "any-0", "control"} <= {*names}
    assert [child.name for child in find(tree, "backends").children] == ["redis", "kafka", "blobs"]


def test_an_optional_part_that_is_down_warns_and_a_required_one_fails() -> None:
    required = PartState(ok=False, detail="broken", required=True)
    tree = build_tree({"engine": RUNNING, "redis": DOWN, "features": required}, WRITER, [], {}, 0)
    assert find(tree, "redis").state is Health.WARN
    assert find(tree, "backends").state is Health.WARN
    assert find(tree, "features").state is Health.FAILED


def test_before_there_is_anything_the_engine_is_starting() -> None:
    tree = build_tree({}, WRITER, [], {}, 0)
    assert tree.state is Health.STARTING
    assert find(tree, "servers").state is Health.STARTING


def test_a_parked_slot_shows_on_the_supervisor() -> None:
    parts = {"engine": RUNNING, "workers": UP}
    end = LastEnd("start_failed", "the zygote did not fork within 5 s", False, "", 0)
    parked = worker("parked", slot="any-1", pid=None, starts_in_s=29.6, last_end=end)
    slots = [worker("idle"), parked]
    tree = build_tree(parts, WRITER, slots, {}, 0)
    assert find(tree, "supervisor").state is Health.FAILED
    assert find(tree, "any-1").detail == f"parked, starts in 30 s: {end.detail}"


def test_a_busy_worker_says_what_it_does() -> None:
    job = RunningJob("j", "train", 1, 3, 0, 5, 10, "", cancel_requested=False)
    parts = {"engine": RUNNING, "workers": UP}
    tree = build_tree(parts, WRITER, [worker("running", job=job)], {}, 0)
    assert find(tree, "any-0").state is Health.BUSY
    assert find(tree, "any-0").detail == "running: train"
    assert find(tree, "supervisor").detail == "1 worker, 1 busy"


def test_a_writer_that_is_nearly_full_warns() -> None:
    nearly = WriterFacts(commit_seq=1, waiting_rows=800, most_rows=1000)
    assert find(build_tree({}, nearly, [], {}, 0), "writer").state is Health.WARN


def test_a_drained_slot_is_off_and_nothing_to_worry_about() -> None:
    tree = build_tree({"workers": UP}, WRITER, [worker("drained", pid=None)], {}, 0)
    assert find(tree, "any-0").state is Health.OFF
    assert find(tree, "supervisor").state is Health.OK


def test_the_fullest_disk_is_told_and_warns_when_a_tenth_is_left() -> None:
    roomy, full = DiskFacts("blobs", 50 * 2**30, 2**36), DiskFacts("data", 2**30, 2**35)
    tree = build_tree({"engine": RUNNING}, WRITER, [], {}, 0, [roomy, full])
    assert find(tree, "disks").state is Health.WARN
    assert find(tree, "disks").detail == "nearly full: 3% free, 1.0 GiB on the disk of data"
    tree = build_tree({"engine": RUNNING}, WRITER, [], {}, 0, [roomy])
    assert find(tree, "disks").state is Health.OK
