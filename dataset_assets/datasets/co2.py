"""Carbon dioxide in the air at Mauna Loa, monthly since 1958."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Dataset, RemoteFile, Split, Table
from dataset_assets.decoding import csv_rows

FIELDS = {
    "year": "int64",
    "month": "int64",
    "decimal_date": "double",
    "average": "double",
    "deseasonalized": "double",
    "days": "int64",
    "deviation": "double",
    "uncertainty": "double",
}
COLUMNS = ("year", "month", "decimal date", "average", "deseasonalized", "ndays", "sdev", "unc")
READ = {"int64": int, "double": float}


def months(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a month per row; a negative number stands for what is not known, here None. Remarks come first."""
    start = table.tell()
    while table.readline().startswith(b"#"):
        start = table.tell()
    table.seek(start)
    for row in csv_rows(table, columns=COLUMNS):
        values = [READ[kind](row[column]) for column, kind in zip(COLUMNS, FIELDS.values())]
        yield {"reading": {name: None if value < 0 else value for name, value in zip(FIELDS, values)}}


co2 = Dataset(
    name="gov.noaa.gml.co2",
    summary="Monthly means of carbon dioxide in the air at Mauna Loa since March 1958, in millionths of dry air.",
    streams={"reading": Table(FIELDS)},
    splits={
        # The file grows each month, so it has no digest.
        "all": Split(months, table=RemoteFile("https://gml.noaa.gov/webdata/ccgg/trends/co2/co2_mm_mlo.csv"))
    },
    sample="reading",
    license="freely available to the public and the scientific community; NOAA GML asks to be credited",
    citation=(
        "X. Lan, P. Tans, K. W. Thoning. Trends in atmospheric carbon dioxide. NOAA Global Monitoring Laboratory. "
        "Readings before May 1974: C. D. Keeling, Scripps Institution of Oceanography."
    ),
    homepage="https://gml.noaa.gov/ccgg/trends/data.html",
    refresh="0 6 10 * *",
    tags=("time-series", "climate"),
    tasks=("forecasting",),
)
