"""Makes single objects of an S3 bucket readable by everyone, by their access control lists.

The client of buckets cannot do that, so the requests are signed here, as AWS documents it:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import errno
import hashlib
import hmac
import logging
import os
from datetime import UTC, datetime
from typing import Iterable
from urllib.parse import quote, urlsplit

from dataset_assets.core.progress import report
from dataset_assets.errors import Refused, StorageError, UsageError
from dataset_assets.storage import Storage
from dataset_assets.storage.connectors.bucket.address import Bucket, bucket_of

log = logging.getLogger(__name__)

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
_SECONDS = 30


def check_public(storage: Storage) -> Bucket:
    """Return the bucket of a storage whose objects can be made public. Raises `UsageError` for any other storage."""
    scheme = urlsplit(storage.url).scheme
    if scheme != "s3":
        raise UsageError(f"Objects can be made public on s3: only, not on {scheme}:. Push without --public.")
    if not (os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY")):
        raise UsageError(
            "To make objects public, the keys must be in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. "
            "Set them, or push without --public."
        )
    bucket = bucket_of(storage.url)
    bucket.check_encrypted()
    return bucket


def make_public(storage: Storage, keys: Iterable[str]) -> None:
    """Let everyone read these objects, and nothing else. Raises `Refused` if the server does not allow that.

    Warns if the server stores the lists and does not follow them.
    """
    bucket, wanted = check_public(storage), [*keys]
    for count, key in enumerate(wanted):
        status, _ = signed(bucket, "PUT", key, {"x-amz-acl": "public-read"})
        if status != 200:
            raise Refused(
                f"{bucket.url} does not let objects be made public (it answered {status} for {key}). They are stored, "
                "and private. Switch access control lists on for the bucket, or give it a policy for this prefix."
            )
        report("public", count + 1, len(wanted))
    if wanted and (status := _asked("HEAD", _url(bucket, wanted[0]), {})[0]) != 200:
        log.warning(
            "%s keeps the access control lists and does not follow them: without credentials, %s gives %s.",
            bucket.url, wanted[0], status,
        )  # fmt: skip


def signed(bucket: Bucket, method: str, key: str, headers: dict[str, str]) -> tuple[int, str]:
    """Ask for the access control list of an object, or set it; return status and body."""
    url, now, empty = urlsplit(_url(bucket, key)), datetime.now(UTC), hashlib.sha256(b"").hexdigest()
    moment, region = now.strftime("%Y%m%dT%H%M%SZ"), _region(bucket)
    sent = {"host": url.netloc, "x-amz-content-sha256": empty, "x-amz-date": moment, **headers}
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        sent["x-amz-security-token"] = token
    names = ";".join(sorted(sent))
    lines = [method, url.path, "acl=", *(f"{name}:{sent[name]}" for name in sorted(sent)), "", names, empty]
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    secret = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (*scope.split("/"), text):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    who = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    sent["authorization"] = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={secret.hex()}"
    del sent["host"]
    return _asked(method, f"{url.geturl()}?acl=", sent)


def _asked(method: str, url: str, headers: dict[str, str]) -> tuple[int, str]:
    import requests

    with requests.Session() as session:
        # Otherwise a .netrc would add a login.
        session.trust_env = False
        try:
            answer = session.request(method, url, headers=headers, timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise StorageError(errno.EIO, f"{urlsplit(url).netloc} does not answer ({type(error).__name__}).") from None
        return answer.status_code, answer.text


def _url(bucket: Bucket, key: str) -> str:
    path = quote("/".join(filter(None, [bucket.prefix, key])))
    if bucket.endpoint:
        return f"{bucket.endpoint.rstrip('/')}/{bucket.name}/{path}"
    return f"https://{bucket.name}.s3.{_region(bucket)}.amazonaws.com/{path}"


def _region(bucket: Bucket) -> str:
    variables = (os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
    return dict(bucket.options).get("region") or next(filter(None, variables), "us-east-1")
