"""The URL of a file that only a person can download."""

from urllib.parse import quote, urlencode

from dataset_assets.errors import UsageError


def manual_url(name: str, how: str) -> str:
    """Return the URL of a file that a person downloads, for `RemoteFile`: its name, and a sentence that says how.

    The file is read from the folder `manual` of the home. As long as it is not there, `prepare` and
    `check --sources` show the sentence. State the digest of the file, so that a wrong one is refused. The sentence is
    not recorded: whoever mends it makes no new version.

    >>> manual_url("val.tar", "Sign up at https://example.org.")
    'manual:///val.tar#how=Sign+up+at+https%3A%2F%2Fexample.org.'
    """
    if not name or "/" in name or "\\" in name or name in (".", "..") or not how.strip():
        raise UsageError(f"manual_url({name!r:.80}, ...) needs the name of a file, without folders, and how to get it.")
    # A fragment is in no record of a file, and in no recipe.
    return f"manual:///{quote(name)}#{urlencode({'how': how})}"
