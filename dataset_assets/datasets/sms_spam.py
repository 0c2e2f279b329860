"""SMS Spam Collection: 5,574 text messages, spam or not."""

from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.decoding import zip_members

KINDS = ("ham", "spam")


def messages(archive: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a message per line of the one table in the archive: its kind, a tab and its text."""
    for table in zip_members(archive, "SMSSpamCollection"):
        for line in table:
            if line.strip():
                kind, text = line.decode().rstrip("\r\n").split("\t", 1)
                yield {"text": text, "kind": KINDS.index(kind)}


# Neither the publisher nor a well-known library states a digest. Several public projects that downloaded the archive
# themselves, from this URL or from the repository's newer one, recorded this digest.
sms_spam = Dataset(
    name="edu.uci.ics.sms_spam",
    summary="5,574 English text messages of private people, 747 of them spam.",
    streams={"text": Text(), "kind": Array("uint8", classes=KINDS)},
    splits={
        "all": Split(
            messages,
            archive=RemoteFile(
                "https://archive.ics.uci.edu/ml/machine-learning-databases/00228/smsspamcollection.zip",
                digest="sha256:1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
            ),
        )
    },
    sample="text",
    target="kind",
    license="CC-BY-4.0",
    citation=(
        "T. A. Almeida, J. M. Gómez Hidalgo, A. Yamakami. Contributions to the study of SMS spam filtering: new "
        "collection and results. ACM DocEng, 2011. doi:10.24432/C5CC84"
    ),
    homepage="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
    tags=("text", "messages"),
    tasks=("classification",),
)
