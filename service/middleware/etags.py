"""Documents that a client may keep, and ask for again by their tag: 304 where they are still the same."""

from flask import Flask, Response, current_app, request

from service.middleware.keys import needs_key

_SECONDS = (
    300  # for which a document may be used without asking: limits change with a deployment, the rest with a version
)


def register(app: Flask) -> None:
    """Have the app give its documents a tag, and everything else the word that it must not be kept."""
    app.after_request(_tag)


def _tag(response: Response) -> Response:
    """A weak tag, as the same document may be sent plain or compressed."""
    if response.status_code != 200 or request.method not in {"GET", "HEAD"}:
        if "Cache-Control" not in [name for name, _ in response.headers]:
            response.headers.add("Cache-Control", "no-store")
        return response
    response.headers.setdefault("Cache-Control", _keeping())
    if response.is_sequence and not response.cache_control.no_store:  # a file has its tag already
        response.add_etag(weak=True)
        tag, _ = response.get_etag()
        if request.if_none_match.contains_weak(tag or ""):
            response.status_code = 304  # which goes without the body
    return response


def _keeping() -> str:
    """Behind keys a document is the client's own, and kept only to be asked for again: keys are withdrawn."""
    guarded = current_app.config["SETTINGS"].api_keys_file and needs_key(request.path)
    return "private, no-cache" if guarded else f"public, max-age={_SECONDS}"
