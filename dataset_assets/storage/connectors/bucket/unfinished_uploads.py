"""Uploads to S3 that nobody ended: found and given up by botocore, because obstore lists none.

They hold what killed writers had sent, unseen, and are paid for until they are given up.
"""

import logging
import os
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Callable, Iterator

from dataset_assets.core.redact import redact_logs_of_http
from dataset_assets.errors import NameNotAllowed, UsageError
from dataset_assets.storage.connectors.bucket.address import Bucket
from dataset_assets.storage.storage import Stray, check_key

# As obstore, it takes no credentials from files.
_NO_FILES: Any = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def unfinished(bucket: Bucket, older_than: float, at_once: int = 1000) -> Iterator[Stray]:
    """Yield the uploads below a bucket's prefix that were begun so many seconds ago, by the clock of the server."""
    client = _client(bucket)
    below = f"{bucket.prefix}/" if bucket.prefix else ""
    where: dict[str, Any] = {"Bucket": bucket.name, "Prefix": below, "MaxUploads": at_once}
    on: dict[str, str] = {}
    while True:
        page = _call(bucket, "", partial(client.list_multipart_uploads, **where, **on))
        now = _now(page)
        for upload in page.get("Uploads", ()):
            key = upload["Key"].removeprefix(below)
            if _is_key(key) and now - upload["Initiated"] >= timedelta(seconds=older_than):
                yield _stray(client, bucket, key, {"Key": upload["Key"], "UploadId": upload["UploadId"]})
        if not page.get("IsTruncated"):
            return
        on, before = _next(page), on
        if not on or on == before:
            raise bucket.failed("", "the list of unfinished uploads is cut, or comes to no end")


def _next(page: dict[str, Any]) -> dict[str, str]:
    """Return where the page that follows begins."""
    return {name: page[f"Next{name}"] for name in ("KeyMarker", "UploadIdMarker") if page.get(f"Next{name}")}


def _stray(client: Any, bucket: Bucket, key: str, upload: dict[str, str]) -> Stray:
    parts = _call(bucket, key, partial(client.list_parts, Bucket=bucket.name, **upload))
    size = sum(part["Size"] for part in parts.get("Parts", ()))
    give_up = partial(client.abort_multipart_upload, Bucket=bucket.name, **upload)
    return Stray(key, size, partial(_call, bucket, key, give_up))


def _client(bucket: Bucket) -> Any:
    try:
        from botocore.config import Config
        from botocore.session import Session
    except ModuleNotFoundError:
        raise UsageError(
            f"Unfinished uploads in {bucket.url} were not looked for: that needs the package botocore. Install it "
            "with: pip install 'dataset_assets[gc]'"
        ) from None
    bucket.check_encrypted()
    # What it logs when it is debugged holds the tokens of a session.
    logging.getLogger("botocore").setLevel(logging.INFO)
    redact_logs_of_http()
    retries: Any = {"mode": "standard", "total_max_attempts": 5}
    config = Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60, retries=retries)
    region = dict(bucket.options).get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return Session(_NO_FILES).create_client(
        "s3", endpoint_url=bucket.endpoint or None, region_name=region or "us-east-1", config=config
    )


def _call(bucket: Bucket, key: str, act: Callable[[], Any]) -> Any:
    """Act; raise an error of ours outside of the handler, so that it does not carry botocore's."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        return act()
    except ClientError as error:
        code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
        # Somebody ended it, or gave it up, meanwhile.
        if code == "NoSuchUpload":
            return {}
        what = f"status code: {status} {code}"
        found = bucket.refused(key, what) if status in (400, 401, 403) else bucket.failed(key, what)
    except NoCredentialsError:
        found = bucket.no_credentials()
    except BotoCoreError as error:
        found = bucket.failed(key, f"no answer ({type(error).__name__})")
    raise found


def _now(page: dict[str, Any]) -> datetime:
    found: str = page["ResponseMetadata"]["HTTPHeaders"]["date"]
    return parsedate_to_datetime(found)


def _is_key(key: str) -> bool:
    try:
        return bool(check_key(key))
    except NameNotAllowed:
        return False
