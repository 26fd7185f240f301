"""The entities in memory, within a budget: the least recently used leave first."""

from collections import OrderedDict
from collections.abc import Mapping

from engine.features.entity import Entity


class Residents:
    """Entities by key. Sizes are estimates.

    Order is by arrival, and an entity that was read since eviction last came by is passed over
    once ("second chance"), which costs a read one flag where exact recency would cost a reordering.

    Attributes:
      taken_in_bytes: what was ever added, whether or not it is still there.
      complete: nothing was ever left out, so that an absent entity has no history at all.
    """

    def __init__(self, max_bytes: int) -> None:
        self._entities: OrderedDict[int, Entity] = OrderedDict()
        self.get = self._entities.get
        self._max_bytes = max_bytes
        self.size_bytes = 0
        self.taken_in_bytes = 0
        self.complete = True

    def __len__(self) -> int:
        return len(self._entities)

    @property
    def has_room(self) -> bool:
        """Whether the estimate is within the budget."""
        return self.size_bytes <= self._max_bytes

    def add(self, key: int, entity: Entity) -> None:
        """Take in an entity that is not there yet."""
        self._entities[key] = entity
        self.grow(entity.size_bytes)

    def add_all(self, entities: Mapping[int, Entity]) -> None:
        """Take in entities that are not there yet."""
        self._entities.update(entities)
        self.grow(sum(entity.size_bytes for entity in entities.values()))

    def grow(self, size_bytes: int) -> None:
        """Account for entities that have grown (or shrunk)."""
        self.size_bytes += size_bytes
        self.taken_in_bytes += max(0, size_bytes)

    def evict(self) -> int:
        """Let entities go until the rest fits the budget; return how many went."""
        gone = 0
        while not self.has_room and self._entities:
            key, entity = self._entities.popitem(last=False)
            if entity.used:
                entity.used = False
                self._entities[key] = entity
                continue
            self.size_bytes -= entity.size_bytes
            self.complete = False
            gone += 1
        return gone
