"""Policies of a bucket, obeyed by a proxy before an S3 server: what a policy does not allow is refused, as AWS does."""

import json
import re
from fnmatch import fnmatchcase
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dataset_assets.testing.http_faults import Fault, Status

DENIED = Status(403, body=b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

Asked = list[tuple[str, str]]


def asked(verb: str, what: str, body: bytes) -> Asked:
    """Return the actions that a request needs, each with its resource."""
    parts = urlsplit(what)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    queries, here = parse_qs(parts.query, keep_blank_values=True), f"arn:aws:s3:::{bucket}"
    if key:
        aborts = verb == "DELETE" and "uploadId" in queries
        kinds = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}
        action = "AbortMultipartUpload" if aborts else kinds.get(verb, "PutObject")
        return [(f"s3:{action}", f"{here}/{key}")]
    if verb == "POST" and "delete" in queries:
        return [
            ("s3:DeleteObject", f"{here}/{unescape(name)}") for name in re.findall("<Key>(.*?)</Key>", body.decode())
        ]
    assert verb in ("GET", "HEAD") and not {"uploads", "versions", "policy"} & {*queries}, (verb, what)
    return [("s3:ListBucket", here)]


class Policy:
    """A policy for a bucket and a prefix; a proxy's rule that notes which of its actions were needed, and refusals."""

    def __init__(self, path: Path, bucket: str, prefix: str) -> None:
        text = path.read_text().replace("BUCKET", bucket).replace("PREFIX", prefix)
        self.statements: list[dict[str, Any]] = json.loads(text)["Statement"]
        self.granted = {(one["Sid"], action) for one in self.statements for action in _several(one["Action"])}
        self.used: set[tuple[str, str]] = set()
        self.denied: Asked = []

    def __call__(self, verb: str, what: str) -> Any:
        return lambda body: self._answer(asked(verb, what, body))

    def _answer(self, wanted: Asked) -> Fault:
        for action, resource in wanted:
            found = [one["Sid"] for one in self.statements if _allows(one, action, resource)]
            self.used |= {(sid, action) for sid in found}
            if not found:
                self.denied.append((action, resource))
        return DENIED if any(pair in self.denied for pair in wanted) else Fault()


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _allows(statement: dict[str, Any], action: str, resource: str) -> bool:
    return action in _several(statement["Action"]) and fnmatchcase(resource, statement["Resource"])
