"""The URL of a query of a database."""

import json
from typing import Any
from urllib.parse import urlencode

from dataset_assets.errors import UsageError


def sql_url(connection: str, query: str, **parameters: Any) -> str:
    """Return the URL of the rows of a query, for `RemoteFile` and `dataset_from`; they are stored as Parquet.

    `connection` is a name of the setting `connections`; `parameters` are values for `:name` in the query: texts,
    numbers, booleans or None. Write ORDER BY, so that equal rows give equal files.

    >>> sql_url("warehouse", "select * from birds where wing > :least order by id", least=5)
    'sql://warehouse/?query=select+%2A+from+birds+where+wing+%3E+%3Aleast+order+by+id&parameters=%7B%22least%22%3A+5%7D'
    """
    if not connection.isidentifier() or not query.strip():
        raise UsageError(f"sql_url({connection!r:.80}, ...) needs the name of a connection, and a query.")
    try:
        said = json.dumps(parameters, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"A parameter of the query is no text, number, boolean or None: {error}.") from error
    return f"sql://{connection}/?{urlencode({'query': query, 'parameters': said})}"
