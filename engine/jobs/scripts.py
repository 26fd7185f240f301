"""The queue's Lua scripts, called by hash; a server that does not know one is sent it."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import attrs
import redis
import redis.exceptions

_PRELUDE = "prelude.lua"


@attrs.frozen
class Script:
    """A script's text and hash."""

    text: str
    sha: str

    def call(
        self, client: "redis.Redis | redis.RedisCluster", keys: Sequence[str], *arguments: Any
    ) -> Any:
        """Run the script.

        A restarted server has forgotten all scripts, and newer ones forget those seldom used; so
        has the node of a cluster that a slot has moved to. Sent whole, it is remembered again.

        Raises:
          redis.exceptions.RedisError, OSError: as redis-py.
        """
        try:
            return client.evalsha(self.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)


def load_script(name: str) -> Script:
    """Return the script `lua/<name>.lua` with the prelude before it."""
    folder = resources.files("engine.jobs") / "lua"
    text = "\n".join(
        (folder / file).read_text(encoding="utf-8") for file in (_PRELUDE, f"{name}.lua")
    )
    return Script(text, hash_of(text))


def hash_of(text: str) -> str:
    """Return the name that Redis gives a script."""
    # SHA-1 is what the protocol asks for; nothing is protected by it.
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
