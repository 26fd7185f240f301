"""Real purchases in every format, against what pandas reads.

The file holds 69,659 purchases of 23,570 customers; TRELLIS_CDNOW_CSV says where it is.
"""

import io
import os
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from engine.tasks.parsing import Dataset, Format
from tests.support.parsed_file import parse

ROOT = Path(__file__).resolve().parents[3]
CSV = Path(os.environ.get("TRELLIS_CDNOW_CSV", ROOT.parent / "shared/data/cdnow_events.csv"))

pytestmark = pytest.mark.skipif(
    not CSV.exists(), reason=f"the CDNOW file is not at {CSV}; set TRELLIS_CDNOW_CSV to have it"
)

PURCHASES = Dataset(
    "purchases",
    "user_id",
    "timestamp",
    (("action", "string"), ("quantity", "int64"), ("value", "double")),
)


def read_purchases() -> pd.DataFrame:
    purchases = pd.read_csv(CSV)
    purchases["timestamp"] = pd.to_datetime(purchases["timestamp"])
    return purchases


def write(purchases: pd.DataFrame, how: str) -> bytes:
    sink = io.BytesIO()
    match how:
        case "csv":
            purchases.to_csv(sink, index=False)
        case "csv, quoted":
            purchases.to_csv(sink, index=False, quoting=1, lineterminator="\r\n")
        case "csv, utf-16":
            purchases.to_csv(sink, index=False, encoding="utf-16")
        case "json":
            purchases.to_json(sink, orient="records", date_format="iso")
        case "ndjson":
            purchases.to_json(sink, orient="records", date_format="iso", lines=True)
        case "ndjson, milliseconds":
            numbers = purchases.astype({"timestamp": "datetime64[ms, UTC]"})
            numbers = numbers.astype({"timestamp": "int64"})
            numbers.to_json(sink, orient="records", lines=True)
        case "parquet":
            purchases.to_parquet(sink)
        case "parquet, nanoseconds":
            purchases.astype({"timestamp": "datetime64[ns, UTC]"}).to_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("how", "format_"),
    [
        ("csv", Format.CSV),
        ("csv, quoted", Format.CSV),
        ("csv, utf-16", Format.CSV),
        ("json", Format.JSON),
        ("ndjson", Format.NDJSON),
        ("ndjson, milliseconds", Format.NDJSON),
        ("parquet", Format.PARQUET),
        ("parquet, nanoseconds", Format.PARQUET),
    ],
)
def test_real_rows_come_back_as_pandas_has_them(how: str, format_: Format) -> None:
    purchases = read_purchases()
    found = parse(write(purchases, how), dataset=PURCHASES)
    assert found.format is format_
    assert not found.rejects
    assert not found.unknown
    expected = purchases.astype({"timestamp": "datetime64[us, UTC]"})
    assert [key for key, _, _ in found.rows] == expected["user_id"].tolist()
    times = pd.Series(pd.to_datetime([time for _, time, _ in found.rows], utc=True))
    assert (times == expected["timestamp"]).all()
    texts = [
        msgspec.json.encode({"action": action, "quantity": quantity, "value": value}).decode()
        for action, quantity, value in zip(
            expected["action"], expected["quantity"], expected["value"], strict=True
        )
    ]
    assert [text for _, _, text in found.rows] == texts


def test_the_file_as_it_ships_is_an_upload() -> None:
    found = parse(CSV.read_bytes(), filename=CSV.name, dataset=PURCHASES)
    assert len(found.rows) == 69_659
    assert not found.rejects
