"""The address of a bucket, from its URL and the environment, and errors that name it. Neither shows a secret."""

import errno
import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from dataset_assets.core.loopback import is_readable_on_the_way
from dataset_assets.errors import NameNotAllowed, Refused, StorageError, StoreDenied, StoreMissing, UsageError
from dataset_assets.storage.outcome import NOTHING
from dataset_assets.storage.storage import check_key


@dataclass(frozen=True)
class _Service:
    """How one service differs: the options of its URL, its environment variables, and its login."""

    bucket: str
    queries: dict[str, str]
    endpoints: tuple[str, ...]
    variables: tuple[str, ...]
    login: str
    signing: tuple[tuple[str, ...], ...]
    """Sets of variables that sign requests. Who reads a signed request cannot make another one."""
    revealed: tuple[str, ...]
    """Variables whose values are sent in plain text."""
    anonymous: str
    """The variable that turns credentials off."""
    rights: str = ""
    """What else a refusal may mean."""


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
        " Without the right s3:ListBucket, S3 refuses to say that an object is absent; where the requester pays, set "
        "AWS_REQUEST_PAYER=true.",
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


class Hidden(str):
    """A string that is not shown by its repr: for a password in something that may be printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True)
class Bucket:
    """A bucket, or the part of it below a prefix."""

    scheme: str
    name: str
    prefix: str
    options: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        """The URL in its shortest form."""
        place = f"{self.scheme}://{self.name}/{self.prefix}".rstrip("/")
        return f"{place}?{urlencode(self.options, safe='/:')}" if self.options else place

    @property
    def endpoint(self) -> str:
        """The endpoint: that of the URL, else of the environment, else ""."""
        variables = [os.environ.get(name) for name in self._service.endpoints]
        return dict(self.options).get("endpoint") or next(filter(None, variables), None) or ""

    def config(self) -> dict[str, str]:
        """Return the configuration for obstore beyond the environment."""
        options = {**dict(self.options), **({"endpoint": self.endpoint} if self.endpoint else {})}
        options.pop("writers", None)
        return {self._service.queries[name]: value for name, value in options.items()}

    @property
    def has_one_writer(self) -> bool:
        """Whether the URL says that a single process writes, so that no conditions are needed."""
        return dict(self.options).get("writers") == "one"

    def environment(self) -> frozenset[tuple[str, str]]:
        """Return the environment variables that a client depends on."""
        # Called for each request, so it does not read the values of the other variables.
        names = [name for name in os.environ if name.startswith(self._service.variables)]
        return frozenset((name, os.environ.get(name, "")) for name in names)

    def check_encrypted(self) -> None:
        """Raise `Refused` if a token would go to another machine by plain http. Signed requests may."""
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
            f"{self.url}{self._where()} uses plain http, so {what} would be sent unencrypted. Use "
            f"an https endpoint{f', or sign requests by {keys} alone' if keys else ''}."
        )

    def missing(self) -> StorageError:
        """Return the error for a bucket that does not exist."""
        what = self._service.bucket
        return StoreMissing(
            errno.ENODEV, f"There is no {what} {self.name!r}{self._where()}. Create it, or correct the URL {self.url}."
        )

    def refused(self, key: str, what: str) -> StorageError:
        """Return the error for a request that was refused."""
        return StoreDenied(
            errno.EACCES,
            f"{self.url}{self._where()} refused the request for {key!r} ({what}). The credentials are wrong or have "
            f"expired, or do not allow this. Look at {self._service.login}.{self._service.rights}",
        )

    def no_credentials(self) -> StorageError:
        """Return the error for missing credentials."""
        return StoreDenied(errno.EACCES, f"There are no credentials for {self.url}. Set {self._service.login}.")

    def failed(
        self,
        key: str,
        what: str,
        kind: type[StorageError] = StorageError,
        number: int = errno.EIO,
        remedy: str = "Run the same command again when the server works.",
    ) -> StorageError:
        """Return the error for a server that fails or does not answer."""
        told = remedy.format(bucket=self.name)
        return kind(number, f"{self.url}{self._where()} failed at {key!r}: {what}. {NOTHING} {told}")

    def is_at(self, host: str) -> bool:
        """Say whether a request to a host is one to this bucket, and not to a service that gives credentials."""
        if self.endpoint:
            return host == urlsplit(self.endpoint).netloc
        return re.search(r"(^|\.)s3[.-]", host) is not None

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
    """Parse the URL of a bucket. Raises `UsageError`, which shows no part of the URL that may be secret."""
    parts = urlsplit(url)
    scheme, service = parts.scheme, _SERVICES[parts.scheme]
    if "@" in parts.netloc or parts.fragment:
        raise UsageError(
            f"A {scheme} URL takes no user, password or '#'. Write {scheme}://{service.bucket}/prefix, and give the "
            f"credentials by {service.login}."
        )
    if not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]+", parts.netloc):
        raise UsageError(
            f"{parts.netloc[:80]!r} is not the name of a {service.bucket}. Write {scheme}://{service.bucket}/prefix."
        )
    prefix = parts.path.strip("/")
    try:
        return Bucket(scheme, parts.netloc, check_key(prefix) if prefix else "", _options(service, parts.query))
    except NameNotAllowed:
        raise UsageError(
            f"The prefix {prefix[:80]!r} of {scheme}://{parts.netloc} is not valid. Use names of letters, digits, '_', "
            "'-' and '.', joined by '/'."
        ) from None


def _options(service: _Service, query: str) -> tuple[tuple[str, str], ...]:
    options = parse_qsl(query, keep_blank_values=True)
    for name, value in options:
        if name not in (*service.queries, "writers"):
            raise UsageError(
                f"{name[:40]!r} is not an option of this storage URL. Use {' or '.join(service.queries)}; credentials "
                f"come from {service.login}."
            )
        # The value is not shown: it may hold a password.
        if not re.fullmatch(_PATTERNS.get(name, r"[A-Za-z0-9_-]+"), value):
            raise UsageError(f"The {name} of this storage URL is not valid. Write it like {_LIKE[name]}.")
    return tuple(sorted((name, value.rstrip("/")) for name, value in dict(options).items()))


_PATTERNS = {"endpoint": r"https?://[^/@?#\s]+(/[^@?#\s]*)?", "writers": "one"}
_LIKE = {"writers": "writers=one", "endpoint": "https://host:port", "region": "eu-west-1", "account": "myaccount"}
