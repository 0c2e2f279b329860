"""Headers that the user's settings give to servers by their host: tokens, keys, and the name of this client.

The setting `headers` is a list such as `data.example.org Authorization: Bearer ${EXAMPLE_TOKEN}`.
"""

from urllib.parse import urlsplit

from dataset_assets.core.loopback import is_readable_on_the_way
from dataset_assets.core.settings import settings, with_variables
from dataset_assets.errors import Refused


def headers_for(url: str) -> dict[str, str]:
    """Return the headers for the server of a URL.

    Raises `Refused` if one with a secret would go unencrypted to another machine, and `UsageError` if the environment
    variable that holds it is not set.
    """
    parts, found = urlsplit(url), {}
    places = (parts.hostname, parts.netloc.rpartition("@")[2].lower())
    for line in settings().headers:
        host, _, header = line.partition(" ")
        if host.lower() not in places:
            continue
        name, _, value = header.partition(":")
        if "${" in value and is_readable_on_the_way(url):
            raise Refused(f"{parts.hostname} would be sent {name} unencrypted, so others could read it. Use https.")
        found[name.title()] = checked(with_variables(value.strip(), f"The setting headers for {host}"), name)
    return found


def checked(value: str, name: str) -> str:
    """Return the value of a header. Raises `Refused`, which does not show it, for one that no header can have."""
    if not value.isprintable() or not value.isascii():
        raise Refused(f"The value of {name} has characters that no header may have. Copy it again.")
    return value
