"""Where a bucket is, by its URL and the environment, and what its errors mean; nothing secret is in either."""

import errno
import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from dataset_assets.core.loopback import is_readable_on_the_way
from dataset_assets.errors import NameNotAllowed, Refused, StorageError, StoreUnavailable, UsageError
from dataset_assets.storage.storage import check_key


@dataclass(frozen=True)
class _Service:
    """What is peculiar to a service: what a URL may say, by which variables it is found, and how it is logged in to."""

    bucket: str
    queries: dict[str, str]
    endpoints: tuple[str, ...]
    variables: tuple[str, ...]
    login: str
    signing: tuple[tuple[str, ...], ...]
    """Sets of variables by which requests are signed, so that whoever reads a request cannot make another one."""
    revealed: tuple[str, ...]
    """Variables whose values are sent as they are."""
    anonymous: str
    """The variable by which no credentials are sent."""


_SERVICES = {
    "s3": _Service(
        "bucket",
        {"endpoint": "aws_endpoint_url_s3", "region": "region"},
        ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        ("AWS_",),
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this machine or container",
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),),
        ("AWS_SESSION_TOKEN", "AWS_TOKEN", "AWS_SSE_CUSTOMER_KEY_BASE64"),
        "AWS_SKIP_SIGNATURE",
    ),
    "az": _Service(
        "container",
        {"endpoint": "endpoint", "account": "account_name"},
        ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        ("AZURE_", "IDENTITY_", "MSI_"),
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or the identity of this machine",
        (("AZURE_STORAGE_ACCOUNT_KEY",), ("AZURE_STORAGE_ACCESS_KEY",), ("AZURE_STORAGE_MASTER_KEY",)),
        ("AZURE_STORAGE_TOKEN", "AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN"),
        "AZURE_SKIP_SIGNATURE",
    ),
    "gs": _Service(
        "bucket",
        {"endpoint": "base_url"},
        ("GOOGLE_BASE_URL",),
        ("GOOGLE_",),
        "GOOGLE_APPLICATION_CREDENTIALS, or the service account of this machine",
        (),
        ("GOOGLE_BEARER_TOKEN",),
        "GOOGLE_SKIP_SIGNATURE",
    ),
}
_EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
_SECRET = re.compile(r"KEY|SECRET|TOKEN|SAS|PASSWORD|CREDENTIAL")


class Denied(StorageError):
    """Credentials that are wrong, do not suffice, or have expired."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, or the part of it below a prefix, as a URL names it."""

    scheme: str
    name: str
    prefix: str
    options: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        """The URL, without anything that is not needed."""
        place = f"{self.scheme}://{self.name}/{self.prefix}".rstrip("/")
        return f"{place}?{urlencode(self.options, safe='/:')}" if self.options else place

    @property
    def endpoint(self) -> str:
        """The endpoint of the URL, else of the environment, else an empty one."""
        found = [os.environ.get(name) for name in self._service.endpoints]
        return dict(self.options).get("endpoint") or next(filter(None, found), None) or ""

    def config(self) -> dict[str, str]:
        """Return what obstore is told beyond the environment."""
        told = {**dict(self.options), **({"endpoint": self.endpoint} if self.endpoint else {})}
        return {self._service.queries[name]: value for name, value in told.items()}

    def environment(self) -> frozenset[tuple[str, str]]:
        """Return the variables that a client depends on."""
        # For each call: so the values of all others are not looked at.
        names = [name for name in os.environ if name.startswith(self._service.variables)]
        return frozenset((name, os.environ.get(name, "")) for name in names)

    def check_encrypted(self) -> None:
        """Raise `Refused` if a token would go to another machine by plain http; a signature may."""
        if not any(map(is_readable_on_the_way, self._endpoints())):
            return
        service, held = self._service, {name for name in os.environ if os.environ[name]}
        signed = any(held.issuperset(names) for names in service.signing)
        anonymous = os.environ.get(service.anonymous, "").lower() in ("1", "true", "on", "yes", "y")
        revealed = [name for name in service.revealed if name in held]
        if (signed or anonymous) and not revealed:
            return
        what = f"the value of {revealed[0]}" if revealed else "a token"
        keys = " or ".join(" and ".join(names) for names in service.signing)
        raise Refused(
            f"{self.url}{self._where()} has an endpoint of plain http, to which {what} would be sent unencrypted. Use "
            f"an https endpoint{f', or sign requests by {keys} alone' if keys else ''}."
        )

    def missing(self) -> StorageError:
        """Return the error for a bucket that is not there."""
        what = self._service.bucket
        return StorageError(
            errno.ENODEV, f"There is no {what} {self.name!r}{self._where()}. Make it, or mend the URL {self.url}."
        )

    def refused(self, key: str, what: str) -> StorageError:
        """Return the error for credentials that are wrong or do not suffice."""
        return Denied(
            errno.EACCES,
            f"{self.url}{self._where()} refused the request for {key!r} ({what}). The credentials are wrong or have "
            f"expired, or do not allow this. Look at {self._service.login}.",
        )

    def no_credentials(self) -> StorageError:
        """Return the error for credentials that are nowhere."""
        return StorageError(errno.EACCES, f"There are no credentials for {self.url}. Set {self._service.login}.")

    def failed(self, key: str, what: str, kind: type[StorageError] = StorageError) -> StorageError:
        """Return the error for a server that fails or does not answer."""
        return kind(
            errno.EIO,
            f"{self.url}{self._where()} failed at {key!r}: {what}. Nothing was published; run the same command again "
            "when this is mended.",
        )

    def _where(self) -> str:
        return f" at {self.endpoint}" if self.endpoint and "endpoint" not in dict(self.options) else ""

    def _endpoints(self) -> list[str]:
        # The emulator of Azure allows http by itself.
        emulated = os.environ.get("AZURE_STORAGE_USE_EMULATOR") and os.environ.get("AZURITE_BLOB_STORAGE_URL")
        return [self.endpoint, (emulated or "") if self.scheme == "az" else ""]

    @property
    def _service(self) -> _Service:
        return _SERVICES[self.scheme]


def bucket_of(url: str) -> Bucket:
    """Read the URL of a bucket. Raises `UsageError`, which shows no more of it than the bucket's name."""
    parts = urlsplit(url)
    scheme, service = parts.scheme, _SERVICES[parts.scheme]
    if "@" in parts.netloc or parts.fragment:
        raise UsageError(
            f"A {scheme} URL has no user, password or '#' in it. Write {scheme}://{service.bucket}/prefix, and give "
            f"the credentials by {service.login}."
        )
    if not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]+", parts.netloc):
        raise UsageError(f"{parts.netloc[:80]!r} is no {service.bucket}. Write {scheme}://{service.bucket}/prefix.")
    prefix = parts.path.strip("/")
    try:
        return Bucket(scheme, parts.netloc, check_key(prefix) if prefix else "", _options(service, parts.query))
    except NameNotAllowed:
        raise UsageError(
            f"The prefix {prefix[:80]!r} of {scheme}://{parts.netloc} is no key. Make it of letters, digits, '_', '-' "
            "and '.', joined by '/'."
        ) from None


def _options(service: _Service, query: str) -> tuple[tuple[str, str], ...]:
    found = parse_qsl(query, keep_blank_values=True)
    for name, value in found:
        if name not in service.queries:
            raise UsageError(
                f"A storage URL says nothing of {name[:40]!r}, only of {' and '.join(service.queries)}. Credentials "
                f"come from {service.login}."
            )
        # The value is not shown: it may hold a password.
        pattern = r"https?://[^/@?#\s]+(/[^@?#\s]*)?" if name == "endpoint" else r"[A-Za-z0-9_-]+"
        if not re.fullmatch(pattern, value):
            raise UsageError(f"The {name} of a storage URL is not like {_LIKE[name]}. Mend it.")
    return tuple(sorted((name, value.rstrip("/")) for name, value in dict(found).items()))


_LIKE = {"endpoint": "https://host:port", "region": "eu-west-1", "account": "myaccount"}


def explained(error: Exception, bucket: Bucket, key: str) -> Exception:
    """Return our own error for one of obstore, whose text may hold signatures and addresses."""
    text = str(error)
    status = re.search(r"status code: (\d{3})", text)
    code = re.search(r"<Code>(\w+)</Code>", text)
    what = " ".join(found[1] for found in (status, code) if found)
    if code and code[1] in ("NoSuchBucket", "ContainerNotFound"):
        return bucket.missing()
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, f"{bucket.url} holds no such object", key)
    # The places where a machine is asked who it is: it was asked because nothing else said so.
    asked_who = any(sign in text for sign in ("169.254.", "/latest/", "metadata", "Missing"))
    # XML that is cut has a missing tag.
    if asked_who and "invalid list response" not in text:
        return bucket.no_credentials()
    # Where an answer has no body, S3 says that a token has expired by the status 400 alone.
    refusing = ("401", "403") if code else ("400", "401", "403")
    if code and code[1] in _EXPIRED or status and status[1] in refusing:
        return bucket.refused(key, what)
    passing = status is None or status[1] in ("408", "429") or status[1][0] == "5" and status[1] != "501"
    kind = StoreUnavailable if passing else StorageError
    return bucket.failed(key, f"{what or _reason(text)}{_tries(text)}", kind)


def was_retried(error: Exception) -> bool:
    """Say whether the request that failed was not the first one."""
    return bool(_tries(str(error)))


def _tries(text: str) -> str:
    found = re.search(r"after (\d+) retries", text)
    return f", after {found[1]} retries" if found and found[1] != "0" else ""


def _reason(text: str) -> str:
    """Return the beginning of a text, without queries, which hold signatures, and without what is secret here."""
    kind = re.search(r"kind: (\w+),", text)
    said = re.search(r'message: "([^"]{1,80})"', text)
    line = re.sub(r"\?\S*", "", text.partition("\n")[0])[:300]
    for name, value in os.environ.items():
        if len(value) > 5 and _SECRET.search(name):
            line = line.replace(value, "***")
    return f"no answer ({kind[1]}{f', {said[1]}' if said else ''})" if kind and said else line
