"""ETags and Cache-Control: clients may cache documents and revalidate them; 304 if they have not changed."""

from flask import Flask, Response, current_app, request

from service.middleware.keys import needs_key

_SECONDS = 300  # that a cached document is fresh: limits change with a deployment, other documents with a version


def register(app: Flask) -> None:
    """Make the app add an ETag to its documents, and `Cache-Control: no-store` to all other answers."""
    app.after_request(_tag)


def _tag(response: Response) -> Response:
    """Add Cache-Control, and a weak ETag, as the same document may be sent plain or compressed."""
    if response.status_code != 200 or request.method not in {"GET", "HEAD"}:
        if "Cache-Control" not in [name for name, _ in response.headers]:
            response.headers.add("Cache-Control", "no-store")
        return response
    response.headers.setdefault("Cache-Control", _cache_control())
    if response.is_sequence and not response.cache_control.no_store:  # a file already has its ETag
        response.add_etag(weak=True)
        tag, _ = response.get_etag()
        if request.if_none_match.contains_weak(tag or ""):
            response.status_code = 304  # werkzeug sends no body with it
    return response


def _cache_control() -> str:
    """The Cache-Control of a document. Behind keys: private, and always revalidated, as a key may be withdrawn."""
    guarded = current_app.config["SETTINGS"].api_keys_file and needs_key(request.path)
    return "private, no-cache" if guarded else f"public, max-age={_SECONDS}"
