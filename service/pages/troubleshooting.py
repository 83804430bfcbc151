"""Troubleshooting for operators: one row for each entry of /troubleshooting and docs/troubleshooting.md.

The service serves the page itself, because it may run in a network that reaches no other page.
"""

from dataclasses import dataclass

from service.problems import (
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    MALFORMED_JSON,
    NON_FINITE_RESULT,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    OVERLOADED,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNAUTHORIZED,
    UNSUPPORTED_MEDIA_TYPE,
    WORK_TIMED_OUT,
    Problem,
)


@dataclass(frozen=True)
class Entry:
    """One entry: its anchor, the symptom, the cause, the remedy, and the problems whose pages link to it."""

    name: str
    symptom: str
    cause: str
    remedy: str
    problems: tuple[Problem, ...] = ()


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "does-not-start",
        'The process ends at once with exit code 2, and stderr says "chainrule does not start".',
        "A setting has a value out of its bounds. Or a name that begins with CHAINRULE_ is not a setting. Or the file "
        "of API keys cannot be read by the user that the service runs as. Or a port is in use, or an address is not "
        "one of this machine's.",
        "The text names each mistake and what was expected. chainrule config, run with the same environment, shows "
        "every setting with its bounds.",
    ),
    Entry(
        "not-ready",
        "/readyz says 503, or the admin address does not answer.",
        'The word in the answer is "starting" until the first worker serves, and "draining" from SIGTERM on. If '
        "nothing answers, CHAINRULE_ADMIN_BIND is a loopback address, which no other machine or container can reach.",
        "Bind to 0.0.0.0:9000 in a container, as the image does. If it stays at starting, the log has the traceback "
        "of the worker that fails to start.",
    ),
    Entry(
        "overloaded",
        "Clients get 503 overloaded, and the processor is fully used.",
        "More requests arrive than the service can compute. Each worker computes CHAINRULE_CONCURRENCY requests at a "
        "time and queues CHAINRULE_QUEUE more, for at most CHAINRULE_QUEUE_SECONDS.",
        "Add replicas, or workers if there are more cores. A longer queue makes clients wait longer and serves none "
        "of them sooner. docs/capacity.md says how many requests a second to expect.",
        (OVERLOADED,),
    ),
    Entry(
        "memory-budget-full",
        "Clients get 503 overloaded, and the processor is not fully used.",
        "Bodies, computations and answers together use all of CHAINRULE_MEMORY_BYTES. Large requests then wait for "
        "memory for at most CHAINRULE_QUEUE_SECONDS.",
        "Give the container more memory: the budget is 60 % of it by default. Or add replicas. Or lower "
        "the limit memory_bytes, so that one request takes a smaller share. Do not raise the budget alone beyond that "
        "share: the rest is for the processes themselves.",
        (OVERLOADED,),
    ),
    Entry(
        "work-timed-out",
        "Clients get 503 work-timed-out.",
        "A request was computed for longer than CHAINRULE_WORK_SECONDS. This happens only if a worker has less than "
        "one core for itself, or if the limit work_seconds was raised.",
        "Have no more workers than cores, and look for other processes that use them. To allow such requests, raise "
        "CHAINRULE_WORK_SECONDS together with the timeout of the proxy. To refuse them, lower the limit work_seconds.",
        (WORK_TIMED_OUT,),
    ),
    Entry(
        "internal-errors",
        "Clients get 500 internal-error.",
        "A bug in the service.",
        "Find the line of level error in the log by the request's id: it has the traceback. Report the traceback and "
        "the version; the traceback contains no numbers of the request.",
        (INTERNAL_ERROR,),
    ),
    Entry(
        "body-too-large",
        "Clients get 413 though the body is under the limit that GET /v1/limits gives, or the answer is no problem "
        "document.",
        "A proxy has a smaller limit of its own (nginx: client_max_body_size, 1 MB by default). Or the body is "
        "compressed, and is over the limit after decompression, or takes too much memory to decode for its size.",
        "Set the proxy's limit to CHAINRULE_MAX_BODY_BYTES. If you raise that, raise the memory too. Send a body that "
        "compresses extremely well without Content-Encoding.",
        (TOO_LARGE,),
    ),
    Entry(
        "slow-bodies",
        "Clients get 408 request-timeout, or their connection is closed while they read.",
        "The body takes longer than CHAINRULE_READ_SECONDS to arrive, or the answer longer than "
        "CHAINRULE_WRITE_SECONDS to be read. Or bodies and answers fill CHAINRULE_MEMORY_BYTES: then the service "
        "disconnects the slowest clients.",
        "Raise the two timeouts for clients with slow connections. Or put a proxy in front that buffers requests.",
        (REQUEST_TIMEOUT,),
    ),
    Entry(
        "keys-refused",
        "Clients get 401 unauthorized with a key that was just made.",
        "The line is not yet in the file that the service reads. Or the new file has a broken line, and the previous "
        "keys stay valid. Or a proxy removes the Authorization header.",
        "Look for an error about the keys in the log. In a container, mount the folder and not the file: a mounted "
        "file stays the old one when it is replaced. Send the key as X-API-Key if a proxy uses Authorization itself.",
        (UNAUTHORIZED,),
    ),
    Entry(
        "limits-refuse",
        "Clients get 422 limit-exceeded for requests that they need.",
        "The default limits suit a container of 512 MiB and one core.",
        "Raise the setting that the detail names, and the memory or the timeouts with it. Or split the batch into "
        "several requests, without changing any setting (docs/capacity.md).",
        (LIMIT_EXCEEDED,),
    ),
    Entry(
        "killed",
        "A worker or the container vanishes under load (exit code 137, OOMKilled).",
        "The processes need more memory than the container has: CHAINRULE_MEMORY_BYTES is set to more than 60 % of it, "
        "the workers need more than the rest, or other processes share the container.",
        "Leave CHAINRULE_MEMORY_BYTES and CHAINRULE_WORKERS at their defaults, which follow the container's limit, or "
        "size them as docs/capacity.md says.",
    ),
    Entry(
        "bad-gateway",
        "The proxy answers 502 or 504 now and then, or while a replica is replaced.",
        "The proxy keeps idle connections for longer than CHAINRULE_KEEPALIVE_SECONDS, or gives up before "
        "CHAINRULE_WORK_SECONDS. Or, while a replica stops, the proxy does not ask /readyz, or less often than every "
        "CHAINRULE_DRAIN_SECONDS.",
        "Use the timeouts of deploy/haproxy/haproxy.cfg. Allow more time for stopping than CHAINRULE_DRAIN_SECONDS and "
        "CHAINRULE_STOP_SECONDS together.",
    ),
    Entry(
        "broken-requests",
        "Clients get 400 bad-request, 431 or 501 behind a proxy, but not without it.",
        "The proxy truncates bodies, adds many headers, or uses another HTTP version than 1.1 to the service.",
        "The detail says what is wrong. Have the proxy use HTTP/1.1 and pass Content-Length on unchanged.",
        (BAD_REQUEST, HEADERS_TOO_LARGE, NOT_IMPLEMENTED),
    ),
    Entry(
        "not-found-behind-a-proxy",
        "Every request gets 404 behind a proxy, but not without it.",
        "The proxy serves the service under a path, such as /chainrule, and does not remove that path.",
        "Give the service a host name of its own, or have the proxy remove the path. The pages need the host name, as "
        "their links begin with /.",
        (NOT_FOUND,),
    ),
    Entry(
        "not-json",
        "A client gets 400 malformed-json or 415, though other services accept its requests.",
        "Python's json.dumps writes NaN and Infinity, which are not JSON. curl -d sends the Content-Type of a form.",
        "Send finite numbers only; json.dumps with allow_nan=False raises an error for others. Send Content-Type: "
        "application/json.",
        (MALFORMED_JSON, UNSUPPORTED_MEDIA_TYPE),
    ),
    Entry(
        "not-finite",
        "Requests are refused with 422 non-finite-result for a network that trains elsewhere.",
        "Other libraries return infinity and NaN, or clip. This service refuses a result beyond float64.",
        "The detail names the first layer, unit and sample. Usual reasons are a learning rate that is too large, and "
        "inputs that are not scaled.",
        (NON_FINITE_RESULT,),
    ),
    Entry(
        "blocked-origin",
        "A page's script cannot read any answer, and the browser's console mentions CORS.",
        "The page has another origin than the service, and CHAINRULE_CORS_ORIGINS does not name it.",
        "Name the origin as the console shows it: with scheme and port, without a path.",
    ),
)


def entries_of(problem: Problem) -> list[Entry]:
    """The entries that a problem's page links to."""
    return [entry for entry in ENTRIES if problem in entry.problems]
