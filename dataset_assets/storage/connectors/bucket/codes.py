"""What the error codes of S3, Azure and Google Cloud Storage mean, and what to do about each."""

import errno
from typing import NamedTuple

from dataset_assets.errors import (
    NoConditions,
    NoSpace,
    ObjectLocked,
    StorageError,
    StoreMisconfigured,
    StoreReadOnly,
    StoreUnavailable,
)


class Meaning(NamedTuple):
    """What some codes mean. The remedy may name the `{bucket}`."""

    kind: type[StorageError]
    number: int
    codes: tuple[str, ...]
    remedy: str


EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
MISSING = ("NoSuchBucket", "ContainerNotFound")
AGAIN = (
    "OperationAborted", "ConditionalRequestConflict", "ContainerBeingDeleted", "PendingCopyOperation",
    "KMS.ThrottlingException", "RequestTimeout", "NoSuchUpload",
)  # fmt: skip
"""Codes of requests that the client library does not repeat, and that succeed later; an upload, from its beginning."""

MEANINGS = (
    Meaning(
        StoreUnavailable, errno.EAGAIN, ("SlowDown", "ServerBusy", "TooManyRequests", "rateLimitExceeded", *AGAIN),
        "Run the same command again when the server is less busy.",
    ),
    Meaning(
        StoreMisconfigured, errno.EXDEV,
        (
            "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
        ),
        "The bucket is in another region, or behind another endpoint. Set AWS_REGION to the region that this prints: "
        "aws s3api get-bucket-location --bucket {bucket}",
    ),
    Meaning(
        StoreMisconfigured, errno.ETIME, ("RequestTimeTooSkewed", "RequestExpired"),
        "The clock of this machine is too far from the server's. Set it, for example with: timedatectl set-ntp true",
    ),
    Meaning(
        StoreMisconfigured, errno.ENOKEY,
        (
            "KMS.NotFoundException", "KMS.DisabledException", "KMS.InvalidStateException",
            "KMS.KMSInvalidStateException", "KMS.AccessDeniedException", "KeyVaultEncryptionKeyNotFound",
            "KeyVaultAccessTokenCannotBeAcquired",
            "KeyVaultVaultNotFound",
        ),
        "The encryption key of the bucket is missing, disabled, or not allowed to these credentials. Enable it, or "
        "give them the right to use it.",
    ),
    Meaning(
        StoreMisconfigured, errno.EPERM, ("UserProjectMissing", "RequesterPays"),
        "Whoever reads this bucket pays for it. Use a copy in a bucket of yours; for S3 set AWS_REQUEST_PAYER=true.",
    ),
    Meaning(
        ObjectLocked, errno.EBUSY, ("InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"),
        "The object is archived. Restore it to a storage class that can be read, then run the same command again.",
    ),
    Meaning(
        ObjectLocked, errno.EBUSY,
        (
            "BlobImmutableDueToPolicy", "LeaseIdMissing", "LeaseIdMismatchWithBlobOperation", "SnapshotsPresent",
            "ObjectUnderActiveHold", "RetentionPolicyNotMet", "ObjectLocked",
        ),
        "The object is immutable, held, leased or has snapshots. Use a bucket without such a policy, or end the lease.",
    ),
    Meaning(
        NoSpace, errno.ENOSPC, ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"),
        "The server has no space left, or the quota is used up. Free some and run the same command again.",
    ),
    Meaning(
        StoreReadOnly, errno.EROFS, ("MethodNotAllowed", "WriteOperationNotSupportedOnSecondary"),
        "This address takes no writes; it may be a replica or a website. Use the address of the primary.",
    ),
    Meaning(
        NoConditions, errno.ENOTSUP, ("NotImplemented",),
        "The server does not implement this request. If it lacks conditional writes, it is for a single writer: write "
        "?writers=one into the URL, and prepare from one process at a time.",
    ),
)  # fmt: skip

BY_STATUS = {
    301: "PermanentRedirect", 307: "TemporaryRedirect", 308: "PermanentRedirect", 405: "MethodNotAllowed",
    429: "TooManyRequests", 501: "NotImplemented", 503: "ServerBusy", 507: "InsufficientStorage",
}  # fmt: skip
"""The code that a status stands for in an answer without one."""


def meaning(status: int | None, code: str) -> Meaning | None:
    """Return what an answer means, or None if nothing special."""
    names = (code, BY_STATUS.get(status or 0, ""))
    return next((one for name in names if name for one in MEANINGS if name in one.codes), None)
