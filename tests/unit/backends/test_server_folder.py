import os
import stat
import tempfile

import pytest
import trio
import trio.testing

from engine.backends import folder as folder_module
from engine.backends.folder import hold_folder, make_private_folder, place_socket
from engine.errors import FailedPreconditionError


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("t")))


def test_a_private_folder_is_for_this_user_only(tmp_path):
    made = make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_an_open_folder_is_closed_to_others(tmp_path):
    (tmp_path / "a").mkdir(mode=0o755)
    assert stat.S_IMODE(make_private_folder(tmp_path / "a").stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FailedPreconditionError, match="not a folder of this user"):
        make_private_folder(tmp_path / "a")


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FailedPreconditionError, match=str(tmp_path / "a")):
        make_private_folder(tmp_path / "a")


@pytest.mark.parametrize("path_bytes", [107, 108])
def test_a_socket_lies_in_its_folder_up_to_the_last_byte_a_path_may_have(path_bytes, monkeypatch):
    monkeypatch.setattr(folder_module, "_SOCKET_PATH_BYTES", 107)
    folder = folder_module.Path("/" + "d" * (path_bytes - len("//redis.sock")))
    path = place_socket(folder, "redis.sock")
    assert (path.parent == folder) == (path_bytes == 107)
    assert len(os.fsencode(path)) <= 107


def test_the_length_of_a_path_is_counted_in_bytes(tmp_path):
    folder = tmp_path / ("ü" * 50)
    assert place_socket(folder, "redis.sock").parent != folder


def test_a_socket_elsewhere_is_private_and_found_again(tmp_path):
    deep = tmp_path / ("d" * 100)
    path = place_socket(deep, "redis.sock")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert place_socket(deep, "redis.sock") == path
    assert place_socket(tmp_path / ("e" * 100), "redis.sock") != path


async def test_a_held_folder_is_refused_to_another_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "_LOCK_WAIT_S", 0.1)
    async with hold_folder(tmp_path):
        with pytest.raises(FailedPreconditionError, match=f"pid {os.getpid()}"):
            async with hold_folder(tmp_path):
                pass


async def test_a_folder_is_waited_for_while_its_holder_ends(tmp_path):
    taken = trio.Event()

    async def take():
        async with hold_folder(tmp_path):
            taken.set()

    async with trio.open_nursery() as nursery:
        async with hold_folder(tmp_path):
            nursery.start_soon(take)
            await trio.testing.wait_all_tasks_blocked()
            assert not taken.is_set()
        with trio.fail_after(5):
            await taken.wait()


async def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "engine.lock").mkdir()
    with pytest.raises(
        FailedPreconditionError, match=r"cannot open .*engine\.lock: Is a directory"
    ):
        async with hold_folder(tmp_path):
            pass


def test_a_name_that_is_too_long_is_told(tmp_path):
    with pytest.raises(FailedPreconditionError, match="File name too long; choose another"):
        make_private_folder(tmp_path / ("x" * 300))
