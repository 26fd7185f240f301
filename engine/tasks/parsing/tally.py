"""What became of a file's rows, in numbers."""

from collections import Counter
from typing import Any

from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.limits import EXPANSION, EXPANSION_FREE_BYTES, HOPELESS_ROWS, MAX_ROWS
from engine.tasks.parsing.refusals import Reason, Refusal, RefusedFileError, Reject

_SHOWN_REASONS = 3


class Tally:
    """Counts rows as they are passed on."""

    def __init__(self) -> None:
        self.rows_accepted = 0
        self.rows_rejected = 0
        self.row_bytes = 0
        self._reasons: Counter[Reason] = Counter()
        self._first: dict[Reason, Reject] = {}

    def add(self, batch: Batch, size_bytes: int) -> None:
        """Count a batch.

        Args:
          size_bytes: of the file, as far as it is read.
        Raises:
          RefusedFileError: with this the file has more rows, or more in them, than is allowed, or
            none of very many is good.
        """
        self.rows_accepted += int(batch.rows.num_rows)
        self.rows_rejected += len(batch.rejects)
        self.row_bytes += int(batch.rows.nbytes)
        for reject in batch.rejects:
            self._reasons[reject.reason] += 1
            self._first.setdefault(reject.reason, reject)
        if self.rows_rejected >= HOPELESS_ROWS:
            self.check_any_is_good()
        if self.rows_accepted + self.rows_rejected > MAX_ROWS:
            raise RefusedFileError(
                Refusal.TOO_MANY_ROWS, f"the file has more than {MAX_ROWS} rows; split it"
            )
        if self.row_bytes > max(EXPANSION_FREE_BYTES, EXPANSION * size_bytes):
            raise RefusedFileError(
                Refusal.TOO_LARGE,
                f"the file's rows take more than {EXPANSION} times the bytes of the file",
            )

    def check_any_is_good(self) -> None:
        """Check that a file with rows has a good one.

        Raises:
          RefusedFileError: none is; the message sums up why.
        """
        if self.rows_accepted or not self.rows_rejected:
            return
        reasons = []
        for reason, count in self._reasons.most_common(_SHOWN_REASONS):
            first = self._first[reason]
            place = f"{first.column} of row {first.row}" if first.column else f"row {first.row}"
            found = f", found {first.excerpt}" if first.excerpt else ""
            reasons.append(f"{count} {reason} (first {place}: {first.detail}{found})")
        if len(self._reasons) > _SHOWN_REASONS:
            reasons.append("...")
        raise RefusedFileError(
            Refusal.NO_GOOD_ROWS,
            f"none of {self.rows_rejected} rows is good: {'; '.join(reasons)}",
        )

    def summary(self) -> dict[str, Any]:
        """Return the numbers for the job's result."""
        return {
            "rows_accepted": self.rows_accepted,
            "rows_rejected": self.rows_rejected,
            "rejects_by_reason": {str(reason): n for reason, n in self._reasons.most_common()},
        }
