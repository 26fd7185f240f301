import itertools
import logging
import os
import signal

import pytest
import trio
from attrs import evolve

from engine.backends import RestartPolicy, open_kafka, open_redis
from engine.config import KafkaConfig, RedisConfig
from engine.errors import FailedPreconditionError


def ends(caplog):
    messages = {"embedded server ended", "embedded server keeps failing"}
    return [record for record in caplog.records if record.message in messages]


async def test_server_that_ends_at_once_is_tried_with_growing_pauses_and_raises_the_alarm(
    data_dir, health, quick, script, eventually, caplog
):
    program = script("echo 'no such license' ; exit 3")
    policy = RestartPolicy(first_delay_s=0.02, longest_delay_s=0.3, alarm_after=3)
    supervision = evolve(quick, restart=policy)
    async with open_redis(
        RedisConfig(), data_dir, health, binary=program, supervision=supervision
    ) as backend:
        assert not backend.state.up
        assert "exit status 3; it said: no such license" in backend.state.detail
        await eventually(lambda: len(ends(caplog)) >= 7)
        detail = health.snapshot()["redis"].detail
        assert "starts in a row have failed" in detail
    records = ends(caplog)
    assert [r.levelno for r in records[:5]] == [logging.WARNING] * 3 + [logging.ERROR] * 2
    pauses = [later.created - earlier.created for earlier, later in itertools.pairwise(records[:7])]
    allowed = [0.01, 0.02, 0.04, 0.08, 0.15, 0.15]
    assert all(pause >= least for pause, least in zip(pauses, allowed, strict=True))


async def test_server_that_never_answers_is_given_up_and_replaced(
    data_dir, health, quick, script, eventually, caplog, processes
):
    program = script("exec sleep 1000")
    supervision = evolve(quick, ready_within_s=0.2)
    async with open_kafka(
        KafkaConfig(), data_dir, health, binary=program, supervision=supervision
    ) as backend:
        assert not backend.state.up
        assert backend.incarnation is None
        assert "not ready within 0.2 s (connection refused at 127.0.0.1:" in backend.state.detail
        await eventually(lambda: len(ends(caplog)) >= 2)
        assert len(processes(data_dir)) <= 1


async def test_server_that_cannot_be_executed_is_reported(data_dir, health, quick, tmp_path):
    program = tmp_path / "server"
    program.write_bytes(b"\x7fELF not really")
    program.chmod(0o755)
    async with open_redis(
        RedisConfig(), data_dir, health, binary=program, supervision=quick
    ) as backend:
        assert f"cannot execute {program}" in backend.state.detail


async def test_server_that_ignores_the_request_to_stop_is_killed_with_what_it_forked(
    data_dir, health, quick, script, eventually, processes, tmp_path
):
    program = script(f"trap '' TERM\nsleep 1000 &\ntouch {tmp_path}/up\nwhile :; do sleep 1; done")
    supervision = evolve(quick, stop_grace_s=0.2)

    async def start():
        async with open_kafka(
            KafkaConfig(), data_dir, health, binary=program, supervision=supervision
        ):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        await eventually((tmp_path / "up").exists)
        assert len(processes(data_dir)) >= 2
        started = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - started < 3
    assert processes(data_dir) == []


async def test_child_gets_neither_secrets_nor_descriptors_nor_a_terminal(
    data_dir, health, quick, script, monkeypatch, tmp_path, eventually
):
    monkeypatch.setenv("TRELLIS_REDIS_PASSWORD", "hush-hush")
    out = tmp_path / "out"
    program = script(
        f"env > {out}.env; ls -l /proc/self/fd > {out}.fd; cat > {out}.in; id -u > {out}.done"
    )
    leak = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(leak, True)  # as a careless library might
    try:
        async with open_redis(RedisConfig(), data_dir, health, binary=program, supervision=quick):
            await eventually((tmp_path / "out.done").exists)
    finally:
        os.close(leak)
    environment = (tmp_path / "out.env").read_text()
    assert "hush-hush" not in environment
    names = {line.partition("=")[0] for line in environment.splitlines()}
    assert names <= {"PATH", "HOME", "LC_ALL", "TZ", "NO_COLOR", "PWD", "OLDPWD", "SHLVL", "_"}
    descriptors = (tmp_path / "out.fd").read_text()
    assert descriptors.count("->") == 4  # the three standard ones, and the folder that `ls` reads
    assert (tmp_path / "out.in").read_text() == ""


async def test_child_has_the_signals_of_a_fresh_process(
    data_dir, health, quick, script, tmp_path, eventually
):
    program = script(f"cat /proc/self/status > {tmp_path}/status; sleep 1000")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        async with open_redis(
            RedisConfig(),
            data_dir,
            health,
            binary=program,
            supervision=evolve(quick, ready_within_s=1.0, stop_grace_s=0.1),
        ):
            await eventually((tmp_path / "status").exists)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    fields = dict(
        line.split(":\t")
        for line in (tmp_path / "status").read_text().splitlines()
        if ":\t" in line
    )
    assert int(fields["SigBlk"], 16) == 0
    assert int(fields["SigIgn"], 16) == 0


async def test_flooding_child_neither_fills_the_log_nor_starves_the_engine(
    data_dir, health, quick, script, caplog
):
    caplog.set_level(logging.DEBUG)
    # Short lines, then one endless one.
    program = script("timeout 1 yes a line of a flood; exec cat /dev/zero")
    supervision = evolve(quick, ready_within_s=60, stop_grace_s=0.1)
    lags_s = []
    with trio.move_on_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_open, health, data_dir, program, supervision)
            while True:
                asked = trio.current_time()
                await trio.sleep(0.005)
                lags_s.append(trio.current_time() - asked - 0.005)
    output = [record for record in caplog.records if record.message == "child output"]
    assert 200 <= len(output) <= 300
    assert all(len(record.line) <= 10_000 for record in output)
    assert sorted(lags_s)[len(lags_s) * 9 // 10] < 0.05


async def keep_open(health, data_dir, program, supervision):
    async with open_redis(RedisConfig(), data_dir, health, binary=program, supervision=supervision):
        await trio.sleep_forever()


async def test_descriptors_are_given_back_over_restarts(
    data_dir, health, quick, processes, open_descriptors, eventually
):
    async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
        counts = []
        for _ in range(5):
            endpoint = backend.endpoint
            os.kill(processes(data_dir)[0], signal.SIGKILL)
            with trio.fail_after(5):
                await backend.wait_endpoint_change(endpoint)
            counts.append(open_descriptors())
        running = counts[-1]
        assert running <= counts[0] + 1  # a probe may be under way
    assert open_descriptors() < running


@pytest.mark.parametrize("open_backend", [open_redis, open_kafka])
async def test_missing_program_is_refused_before_anything_runs(
    open_backend, data_dir, health, tmp_path
):
    config = RedisConfig() if open_backend is open_redis else KafkaConfig()
    with pytest.raises(FailedPreconditionError, match="not an executable file"):
        async with open_backend(config, data_dir, health, binary=tmp_path / "missing"):
            pass
