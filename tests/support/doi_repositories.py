"""What the service of DOIs, Zenodo, figshare and Dataverse answer, as far as their documentation goes."""

import hashlib
import json
from typing import Any


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def answers(place: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the answers of a server at a place, by path, for one publication of each repository with these files."""
    found: dict[str, Any] = {
        "/api/handles/10.5281/zenodo.77": _handle(f"{place}/records/77"),
        "/api/handles/10.5281/zenodo.78": _handle(f"{place}/doi/10.5281/zenodo.78"),
        "/api/handles/10.6084/m9.figshare.55.v2": _handle(f"{place}/articles/dataset/Birds/55/2"),
        "/api/handles/10.7910/DVN/ABC": _handle(f"{place}/citation?persistentId=doi:10.7910/DVN/ABC"),
        "/api/handles/10.1234/else": _handle(f"{place}/page"),
        "/api/records/77": {
            "id": 77,
            "files": [{"key": name, "size": len(d), "checksum": f"md5:{md5(d)}"} for name, d in files.items()],
        },
        "/api/records/78": {
            "id": 78,
            "files": [{"filename": name, "filesize": len(d), "checksum": md5(d)} for name, d in files.items()],
        },
        "/v2/articles/55/versions/2": {
            "files": [
                {"name": name, "size": len(d), "computed_md5": md5(d), "download_url": f"{place}/files/{k}"}
                for k, (name, d) in enumerate(files.items())
            ]
        },
        "/api/datasets/:persistentId/": {
            "status": "OK",
            "data": {"latestVersion": {"files": [_in_dataverse(k, *one) for k, one in enumerate(files.items())]}},
        },
    }
    made = {path: json.dumps(value).encode() for path, value in found.items()}
    for k, (name, data) in enumerate(files.items()):
        for record in (77, 78):
            made[f"/api/records/{record}/files/{name}/content"] = data
        made[f"/files/{k}"] = made[f"/api/access/datafile/{k}"] = data
    return made


def _handle(url: str) -> dict[str, Any]:
    admin = {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": {"handle": "0.na/10"}}}
    return {
        "responseCode": 1,
        "values": [admin, {"index": 1, "type": "URL", "data": {"format": "string", "value": url}}],
    }


def _in_dataverse(number: int, name: str, data: bytes) -> dict[str, Any]:
    said = {"id": number, "filename": name, "filesize": len(data), "checksum": {"type": "MD5", "value": md5(data)}}
    if name.endswith(".csv"):
        said |= {"filename": name.replace(".csv", ".tab"), "originalFileName": name, "filesize": len(data) + 9}
    return {"label": said["filename"], "dataFile": said}
