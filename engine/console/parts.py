"""The live parts that the Console looks at and acts on."""

from collections.abc import Mapping

import attrs

from engine.features import FeatureStore
from engine.intake.dead_letters import DeadLetters
from engine.jobs import Jobs
from engine.learning.alias_moves import AliasMoves
from engine.learning.drift_checks import DriftChecks
from engine.learning.trainings import Trainings
from engine.models import ModelRegistry
from engine.store import Store
from engine.workers.supervisor import Supervisor


@attrs.frozen
class ConsoleParts:
    """All of them; there from the moment the engine has started until it stops."""

    store: Store
    jobs: Jobs
    supervisor: Supervisor
    features: FeatureStore
    models: ModelRegistry
    aliases: AliasMoves
    checks: DriftChecks
    trainings: Trainings
    dead_letters: DeadLetters
    addresses: Mapping[str, str]
