"""The project's documents as their readers take them: links, headings and commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.support.engine_process import ROOT

FOLDERS = ("", "docs", "benchmarks", "benchmarks/grpc")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


@attrs.frozen
class Document:
    """A Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without what is shown in blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        return [body for named, body in _FENCE.findall(self.text) if named == language]

    def commands(self) -> list[str]:
        """Return the commands shown: lines of console blocks that start with `$ `."""
        lines = (line.strip() for block in self.blocks("console") for line in block.splitlines())
        return [line[2:] for line in lines if line.startswith("$ ")]

    def mentioned(self) -> list[str]:
        """Return the commands of Trellis that are named within a sentence."""
        spans = re.findall(r"`([^`\n]+)`", self.prose)
        return [span for span in spans if re.match(r"(\.venv/bin/)?python main\.py\b", span)]

    def anchors(self) -> set[str]:
        """Return the fragments that lead to a heading, as forges make them."""
        found: set[str] = set()
        for heading in re.findall(r"^#{1,6} (.+)$", self.prose, re.MULTILINE):
            bare = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            name, number = bare, 0
            while name in found:
                number += 1
                name = f"{bare}-{number}"
            found.add(name)
        return found

    def links(self) -> Iterator[tuple[Path, str]]:
        """Yield the file and the fragment of each link that stays in the project."""
        for target in re.findall(r"\]\(([^)\s]+)\)", self.prose):
            if not re.match(r"[a-z]+:", target):
                file, _, fragment = target.partition("#")
                yield (self.path.parent / file).resolve() if file else self.path, fragment


def documents() -> list[Document]:
    """Return all documents of the project, in the order of their names."""
    files = (path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md")))
    return [Document(path) for path in files]
