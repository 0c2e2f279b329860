"""The errors of obstore as ours. They are told apart by status and code, never by text that holds names of the user."""

import errno
import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from obstore.exceptions import PreconditionError

from dataset_assets.errors import StorageError, StoreUnavailable
from dataset_assets.storage.connectors.bucket.address import Bucket
from dataset_assets.storage.connectors.bucket.codes import EXPIRED, MISSING, meaning
from dataset_assets.storage.object_file import Changed

_SECRET = re.compile(r"KEY|SECRET|TOKEN|SAS|PASSWORD|CREDENTIAL")
_FIELDS = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "status": r"^ +status: (\d{3}),$",
        "redirect": r"^ +inner: (BareRedirect),$",
        "body": r'^ +body: Some\(\n +"(.*)",$',
        "deleted": r'^ +code: "([\w.]+)",$',
        "retries": r"^ +retries: (\d+),$",
        "uri": r"^ +uri: Some\(\n +(\S+),$",
        "source": r'^    source: (\w+|"Failed to read)',
    }.items()
}


class Told(NamedTuple):
    """What an error of obstore says, from the fields of its debug text, in which other text is escaped."""

    status: int | None
    code: str
    retries: int
    uri: str
    source: str

    def summary(self) -> str:
        """Return status and code, with the number of retries."""
        what = " ".join(filter(None, [str(self.status or ""), self.code]))
        return f"{what}{self.tries()}" if what else ""

    def tries(self) -> str:
        return f", after {self.retries} retries" if self.retries else ""


def told(error: Exception) -> Told:
    """Read the fields of an error."""
    text = str(error).rpartition("\n\nDebug source:\n")[2]
    fields = {name: match[1] if (match := pattern.search(text)) else "" for name, pattern in _FIELDS.items()}
    status = 301 if fields["redirect"] else int(fields["status"] or 0) or None
    code = re.search(r"<Code>([\w.]+)</Code>", fields["body"])
    return Told(
        status, code[1] if code else fields["deleted"], int(fields["retries"] or 0), fields["uri"], fields["source"]
    )


def explained(error: Exception, bucket: Bucket, key: str) -> Exception:
    """Return our error for an error of obstore, whose text may hold signatures and addresses."""
    said = told(error)
    if _asked_who(said, bucket):
        return _without_login(said, bucket, key)
    if said.code in MISSING:
        return bucket.missing()
    if found := meaning(said.status, said.code):
        return bucket.failed(key, said.summary(), found.kind, found.number, found.remedy)
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, f"{bucket.url} holds no such object", key)
    if isinstance(error, PreconditionError):
        return Changed(key, bucket.url)
    # S3 answers an expired token with 400; without a body there is no code that says why.
    refusing = (401, 403) if said.code else (400, 401, 403)
    if said.code in EXPIRED or said.status in refusing or said.code == "AccessDenied":
        return bucket.refused(key, said.summary())
    may_pass = said.status is None or said.status in (408, 429) or said.status >= 500
    return bucket.failed(
        key, said.summary() or f"{_reason(str(error))}{said.tries()}", StoreUnavailable if may_pass else StorageError
    )


def is_conflict(error: Exception) -> bool:
    """Say whether an answer 409 or 412 is about the condition of a request, and about nothing else."""
    said = told(error)
    return meaning(None, said.code) is None


def _asked_who(said: Told, bucket: Bucket) -> bool:
    """Say whether obstore failed to find credentials, rather than with a request to the bucket."""
    local = said.source.startswith(("Missing", '"Failed to read', "Credential"))
    # Tokens of S3 are asked for by a request like any other, but elsewhere.
    elsewhere = bucket.scheme == "s3" and said.uri and not bucket.is_at(urlsplit(said.uri).netloc)
    return local or said.source == "TokenRequest" or bool(elsewhere)


def _without_login(said: Told, bucket: Bucket, key: str) -> StorageError:
    if said.status == 429 or (said.status or 0) >= 500:
        return bucket.failed(key, f"the service that gives credentials answered {said.summary()}", StoreUnavailable)
    return bucket.no_credentials()


def _reason(text: str) -> str:
    """Return the beginning of a text, without queries (they hold signatures) and secrets of the environment."""
    kind = re.search(r"kind: (\w+),", text)
    message = re.search(r'message: "([^"]{1,80})"', text)
    line = re.sub(r"\?\S*", "", text.partition("\n")[0])[:300]
    for name, value in os.environ.items():
        if len(value) > 5 and _SECRET.search(name):
            line = line.replace(value, "***")
    return f"no answer ({kind[1]}, {message[1]})" if kind and message else line
