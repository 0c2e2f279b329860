"""Adult: 48,842 people of the census of 1994, and who earned more than 50,000 dollars a year."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Table
from dataset_assets.decoding import csv_rows

FOLDER = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
INCOMES = ("<=50K", ">50K")
FIELDS = {
    "age": "int64",
    "workclass": "string",
    "fnlwgt": "int64",
    "education": "string",
    "education_num": "int64",
    "marital_status": "string",
    "occupation": "string",
    "relationship": "string",
    "race": "string",
    "sex": "string",
    "capital_gain": "int64",
    "capital_loss": "int64",
    "hours_per_week": "int64",
    "native_country": "string",
}
READ = {"int64": int, "string": str}


def people(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a person per row; what is not known is None. The test file begins with a remark; its rows end in a dot."""
    start = table.tell()
    if not table.readline().startswith(b"|"):
        table.seek(start)
    for row in csv_rows(table, columns=[*FIELDS, "income"], header=False):
        cells = {name: text.strip() for name, text in row.items()}
        person = {name: None if cells[name] == "?" else READ[kind](cells[name]) for name, kind in FIELDS.items()}
        yield {"person": person, "income": INCOMES.index(cells["income"].removesuffix("."))}


# The digests are those that TensorFlow Datasets publishes for these URLs (url_checksums/adult.txt).
adult = Dataset(
    name="edu.uci.ics.adult",
    summary="48,842 people of the United States census of 1994: work, education, family, and who earns more than 50K.",
    streams={"person": Table(FIELDS), "income": Array("uint8", classes=INCOMES)},
    splits={
        "train": Split(
            people,
            table=RemoteFile(
                FOLDER + "adult.data", digest="sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"
            ),
        ),
        "test": Split(
            people,
            table=RemoteFile(
                FOLDER + "adult.test", digest="sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"
            ),
        ),
    },
    sample="person",
    target="income",
    license="CC-BY-4.0",
    citation="B. Becker, R. Kohavi. Adult. UCI Machine Learning Repository, 1996. doi:10.24432/C5XW20",
    homepage="https://archive.ics.uci.edu/dataset/2/adult",
    # 52 people have the same answers as another person, and some of these pairs are in both files.
    checks={"leakage": "warn"},
    tags=("table", "census"),
    tasks=("classification",),
)
