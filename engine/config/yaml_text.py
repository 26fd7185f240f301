"""YAML text to plain values with the line of every key.

Values are built from libyaml's events, not by a constructor, because a constructor silently takes
the last of two equal keys, expands aliases without bound and forgets where things stood. What
Trellis does not use (anchors, aliases, tags, several documents, deep nesting) is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

import attrs
import yaml

from engine.config.problems import Problem

KeyPath = tuple[str | int, ...]

# Deeper than any file of ours, shallower than any recursion limit.
MAX_DEPTH = 16

# YAML 1.1 reads 010 as 8 and 1:30 as 90; whoever writes that means neither.
_SURPRISING_NUMBER = re.compile(r"[-+]?(?:0[0-9_]+|[0-9_.]+(?::[0-9_.]+)+)")


class Refused:
    """Stands where a value was refused and reported, so that nothing is said about it twice."""


REFUSED = Refused()


@attrs.frozen
class Document:
    """The plain value of a YAML text, and the line (from 1) of every key and list item.

    A value that was refused is `REFUSED` there.
    """

    value: Any
    lines: Mapping[KeyPath, int]


@attrs.define
class _Open:
    """A mapping or list whose end has not come yet."""

    path: KeyPath
    items: dict[str, Any] | list[Any]
    key: str | None = None
    # Under a key that was refused: the content is read, so that its own faults show, and dropped.
    dropped: bool = False
    key_dropped: bool = False


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._loader = yaml.CSafeLoader("")
        self._open: list[_Open] = []
        self._documents = 0
        self.value: Any = None
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []

    def close(self) -> None:
        self._loader.dispose()

    def feed(self, event: yaml.Event) -> bool:
        """Take the next event; return whether reading on makes sense."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(event, "a second document", "one document a file")
                return False
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._open.pop()
        elif isinstance(event, yaml.NodeEvent):
            return self._node(event)
        return True

    def _node(self, event: yaml.NodeEvent) -> bool:
        parent = self._open[-1] if self._open else None
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "an anchor or alias", "values written out where they are used")
        tagged = getattr(event, "tag", None) is not None
        if tagged:
            self._refuse(
                event, "a tag", "plain values, text in quotes where YAML reads it otherwise"
            )
        if parent is not None and isinstance(parent.items, dict) and parent.key is None:
            return self._take_key(parent, event)
        if isinstance(event, yaml.AliasEvent):
            self._place(parent, REFUSED, event)
            return True
        if isinstance(event, yaml.ScalarEvent):
            self._place(parent, REFUSED if tagged else self._scalar(event), event)
            return True
        if len(self._open) >= MAX_DEPTH:
            self._refuse(event, f"more than {MAX_DEPTH} levels", "a flatter structure")
            return False
        items: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path, dropped = self._place(parent, items, event)
        self._open.append(_Open(path, items, dropped=dropped))
        return True

    def _take_key(self, parent: _Open, event: yaml.NodeEvent) -> bool:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a mapping or list used as a key", "text as key")
            return False
        if not isinstance(self._scalar(event), str):
            # `no:` or `5:`; the text is what was meant, and saying so beats guessing.
            self._refuse(
                event,
                f"the key {event.value[:40]!r}, which YAML reads as another type than text",
                "text as key, in quotes if need be",
            )
            parent.key_dropped = True
        parent.key = event.value
        return True

    def _place(self, parent: _Open | None, value: Any, event: yaml.Event) -> tuple[KeyPath, bool]:
        line = _line(event)
        if parent is None:
            self.value = value
            return (), False
        if isinstance(parent.items, list):
            path: KeyPath = (*parent.path, len(parent.items))
            parent.items.append(value)
            if not parent.dropped:
                self.lines[path] = line
            return path, parent.dropped
        key, parent.key = parent.key, None
        assert key is not None
        path = (*parent.path, key)
        key_dropped, parent.key_dropped = parent.key_dropped, False
        if key_dropped:
            return path, True
        if key in parent.items:
            self.problems.append(
                Problem(
                    self._file,
                    render_path(path),
                    f"the key a second time (first on line {self.lines.get(path, line)})",
                    "each key once",
                    line=line,
                )
            )
            return path, True
        parent.items[key] = value
        if not parent.dropped:
            self.lines[path] = line
        return path, parent.dropped

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if not event.implicit[0]:
            return event.value
        # The stubs leave this method untyped.
        tag: str = self._loader.resolve(  # type: ignore[no-untyped-call]
            yaml.ScalarNode, event.value, (True, False)
        )
        if tag in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"} and (
            _SURPRISING_NUMBER.fullmatch(event.value)
        ):
            self._refuse(
                event,
                "a number that YAML reads in base 8 or 60",
                "a decimal number, or text in quotes",
            )
            return REFUSED
        try:
            return self._loader.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, OverflowError, yaml.constructor.ConstructorError):
            # A date such as 2024-13-45, a number of thousands of digits, a lone merge key.
            self._refuse(event, "a date or number that does not exist", "one that does")
            return REFUSED

    def _refuse(self, event: yaml.Event, found: str, allowed: str) -> None:
        key = ""
        if self._open:
            parent = self._open[-1]
            key = render_path(parent.path if parent.key is None else (*parent.path, parent.key))
        self.problems.append(Problem(self._file, key, found, allowed, line=_line(event)))


def parse_yaml(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """Parse one YAML document.

    Args:
      text: without lone surrogates.
      file: name for the problems' `file`.
    Returns: the document, or None when it cannot be judged any further, and what is wrong with
      it as YAML. No problem quotes a value of the text.
    """
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if not builder.feed(event):
                return None, builder.problems
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        found = f"a syntax error ({error.problem})"
        problem = Problem(file, "", found, "YAML", line=line)
        return None, [*builder.problems, problem]
    except yaml.YAMLError:
        problem = Problem(file, "", "a character that YAML does not allow", "YAML")
        return None, [*builder.problems, problem]
    finally:
        builder.close()
    return Document(builder.value, builder.lines), builder.problems


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1


def render_path(path: KeyPath) -> str:
    """Return `models.buys_again.features[2]` for the path of that item."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
