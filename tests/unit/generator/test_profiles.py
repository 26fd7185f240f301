"""Files of profiles."""

import msgspec
import trio

from engine.errors import UnavailableError
from engine.generator.profiles import compute_profiles, run_profile_uploads

AT_US = 1_700_000_000_000_000


def test_same_arguments_give_the_same_file():
    first = compute_profiles(1, 3, users=100, updated_at_us=AT_US)

    assert first == compute_profiles(1, 3, users=100, updated_at_us=AT_US)
    assert first != compute_profiles(1, 4, users=100, updated_at_us=AT_US)
    assert first != compute_profiles(2, 3, users=100, updated_at_us=AT_US)


def test_rows_are_of_known_users_whose_age_stays():
    ages = {}
    for number in range(50):
        for row in msgspec.json.decode(compute_profiles(1, number, users=30, updated_at_us=AT_US)):
            assert 1 <= row["user_id"] <= 30
            assert row["plan"] in {"free", "plus", "pro"}
            assert row["updated_at"] == "2023-11-14T22:13:20+00:00"
            assert ages.setdefault(row["user_id"], row["age"]) == row["age"]
    assert len(ages) == 30


async def test_file_that_was_not_accepted_is_sent_again_under_the_same_key(autojump_clock):
    sent = []

    async def send_upload(**upload):
        sent.append((trio.current_time(), upload))
        if len(sent) == 1:
            raise UnavailableError("not now")

    started = trio.current_time()
    with trio.move_on_after(25):
        await run_profile_uploads(send_upload, seed=1, users=100, clock_us=lambda: AT_US)

    assert [round(at - started) for at, _ in sent] == [0, 10, 20]
    first, again, second = (upload for _, upload in sent)
    assert first == again
    assert second["idempotency_key"] != first["idempotency_key"]
    assert first["dataset"] == "profiles"
