"""Sunspots: their number, monthly since 1749."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, RemoteFile, Split, Table
from dataset_assets.decoding import csv_rows

FIELDS = {
    "year": "int64",
    "month": "int64",
    "decimal_date": "double",
    "sunspots": "double",
    "deviation": "double",
    "observations": "int64",
    "definitive": "bool",
}


def months(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a month per row; -1 stands for what is not known, here None."""
    for row in csv_rows(table, columns=list(FIELDS), delimiter=";", header=False):
        yield {
            "reading": {
                "year": int(row["year"]),
                "month": int(row["month"]),
                "decimal_date": float(row["decimal_date"]),
                "sunspots": _known(float(row["sunspots"])),
                "deviation": _known(float(row["deviation"])),
                "observations": _known(int(row["observations"])),
                "definitive": bool(int(row["definitive"])),
            }
        }


def _known(value: float) -> float | None:
    return None if value < 0 else value


sunspots = Dataset(
    name="be.sidc.sunspots",
    summary="Monthly means of the international sunspot number, version 2, since January 1749.",
    streams={"reading": Table(FIELDS)},
    splits={
        # The file grows each month, so it has no digest.
        "all": Split(
            months, table=RemoteFile("https://www.sidc.be/SILSO/INFO/snmtotcsv.php", identifier="SN_m_tot_V2_0_csv")
        )
    },
    sample="reading",
    license="CC-BY-NC-4.0",
    citation="SILSO, World Data Center, Royal Observatory of Belgium, Brussels. Sunspot Number, monthly mean total.",
    homepage="https://www.sidc.be/SILSO/datafiles",
    refresh="0 6 3 * *",
    tags=("time-series", "astronomy"),
    tasks=("forecasting",),
)
