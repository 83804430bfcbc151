"""What troubles whoever runs the service: one row each, from which /troubleshooting and docs/troubleshooting.md follow.

The page is served by the service itself, as it may run where no other page can be reached.
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
class Trouble:
    """One entry: its anchor, what is seen, why, what to do, and the problems whose pages lead to it."""

    name: str
    symptom: str
    cause: str
    remedy: str
    problems: tuple[Problem, ...] = ()


TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        "does-not-start",
        'The process ends at once, and says "chainrule does not start".',
        "A setting has a value that it cannot have, a name that begins with CHAINRULE_ is no setting, or the file of "
        "API keys cannot be read by the user that the service runs as.",
        "The lines below it name each mistake and what was expected. chainrule config, run with the same environment, "
        "shows every setting.",
    ),
    Trouble(
        "not-ready",
        "/readyz says 503, or nobody answers on the admin address.",
        'The word in the answer tells: "starting" until the first worker serves, "draining" from SIGTERM on. Where '
        "nobody answers, CHAINRULE_ADMIN_BIND names the loopback, which no other machine or container can reach.",
        "Bind to 0.0.0.0:9000 in a container, as the image does. Where it stays at starting, the log has the trace of "
        "the worker that does not come up.",
    ),
    Trouble(
        "overloaded",
        "Clients get 503 overloaded, while the processor has nothing left to give.",
        "More requests arrive than are computed: CHAINRULE_CONCURRENCY are computed by each worker at a time, "
        "CHAINRULE_QUEUE wait, none of them longer than CHAINRULE_QUEUE_SECONDS.",
        "More replicas, or more workers where there are more cores. A longer queue makes clients wait and serves none "
        "of them sooner. docs/capacity.md tells how many requests a second to expect.",
        (OVERLOADED,),
    ),
    Trouble(
        "work-timed-out",
        "Clients get 503 work-timed-out.",
        "A request computes for longer than CHAINRULE_WORK_SECONDS: many samples with verify or per_weight, or a "
        "worker that has less than a core for itself.",
        "See in the log line how large the request was, and lower the limit that it should not have been under, or "
        "raise CHAINRULE_WORK_SECONDS together with the timeout of the proxy. Have no more workers than cores.",
        (WORK_TIMED_OUT,),
    ),
    Trouble(
        "internal-errors",
        "Clients get 500 internal-error.",
        "A fault of the service.",
        "Find the line of level error in the log by the request's id: it has the trace. Report it with that trace and "
        "the version; the trace holds none of the request's numbers.",
        (INTERNAL_ERROR,),
    ),
    Trouble(
        "body-too-large",
        "Clients get 413, though the body is under the limit that GET /v1/limits tells; or the answer is no problem "
        "document.",
        "A proxy has a smaller limit of its own (nginx: client_max_body_size, 1 MB by default). Or the body is "
        "compressed, and over the limit once it is not.",
        "Set the proxy's limit to CHAINRULE_MAX_BODY_BYTES. If that is raised, raise the memory too.",
        (TOO_LARGE,),
    ),
    Trouble(
        "slow-bodies",
        "Clients get 408 request-timeout, or their connection is closed while they read.",
        "The body takes over CHAINRULE_READ_SECONDS to arrive, or the answer over CHAINRULE_WRITE_SECONDS to be read. "
        "Or all bodies and answers together are over CHAINRULE_HELD_BYTES, and the slowest has to go.",
        "Raise the seconds for clients on slow lines; raise CHAINRULE_HELD_BYTES only if there is memory for it. A "
        "proxy that buffers requests takes the slow bodies upon itself.",
        (REQUEST_TIMEOUT,),
    ),
    Trouble(
        "keys-refused",
        "Clients get 401 unauthorized with a key that was just made.",
        "The line is not yet in the file that the service reads, or the new file has a broken line, and the keys that "
        "were read before stay in force. Or a proxy takes the Authorization header away.",
        "Look for an error about the keys in the log. In a container, mount the folder and not the file: a file that "
        "is replaced stays the old one inside. Send the key as X-API-Key where a proxy wants Authorization for itself.",
        (UNAUTHORIZED,),
    ),
    Trouble(
        "limits-refuse",
        "Clients get 422 limit-exceeded for requests that they need.",
        "The limits are made for a worker of about 1 GB.",
        "Raise the setting that the detail names, and the memory with it; or split the batch over requests, which "
        "needs neither (docs/capacity.md).",
        (LIMIT_EXCEEDED,),
    ),
    Trouble(
        "killed",
        "A worker or the container vanishes under load (exit code 137, OOMKilled).",
        "Several of the largest requests were computed at the same time, in less memory than they take.",
        "Give each worker the memory that docs/capacity.md tells, or lower CHAINRULE_CONCURRENCY, CHAINRULE_HELD_BYTES "
        "or the limits.",
    ),
    Trouble(
        "bad-gateway",
        "The proxy says 502 or 504, now and then, or while a replica is exchanged.",
        "The proxy keeps idle connections for longer than CHAINRULE_KEEPALIVE_SECONDS, or gives up before "
        "CHAINRULE_WORK_SECONDS. While a replica stops: it does not ask /readyz, or less often than every "
        "CHAINRULE_DRAIN_SECONDS.",
        "Take the timeouts of deploy/haproxy/haproxy.cfg. Leave more time to stop than CHAINRULE_DRAIN_SECONDS and "
        "CHAINRULE_STOP_SECONDS together.",
    ),
    Trouble(
        "broken-requests",
        "Clients get 400 bad-request, 431 or 501 behind a proxy, and not without it.",
        "The proxy cuts bodies, adds many headers, or speaks another HTTP than 1.1 to the service.",
        "The detail tells what was found. Have the proxy speak HTTP/1.1 and hand on Content-Length as it came.",
        (BAD_REQUEST, HEADERS_TOO_LARGE, NOT_IMPLEMENTED),
    ),
    Trouble(
        "not-found-behind-a-proxy",
        "Everything is 404 behind a proxy, and not without it.",
        "The proxy serves it under a path, such as /chainrule, which it does not take away.",
        "Give the service a host name of its own, or have the proxy take the path away. The pages need the name, as "
        "their links begin with /.",
        (NOT_FOUND,),
    ),
    Trouble(
        "not-json",
        "A client gets 400 malformed-json or 415, though other services take its requests.",
        "Python's json.dumps writes NaN and Infinity, which are not JSON; curl -d announces a form.",
        "Write no numbers that are not finite, for which json.dumps has allow_nan=False. Send Content-Type: "
        "application/json.",
        (MALFORMED_JSON, UNSUPPORTED_MEDIA_TYPE),
    ),
    Trouble(
        "not-finite",
        "A course gets 422 non-finite-result for a network that trains elsewhere.",
        "Other libraries hand on infinity and NaN, or clip; here a result beyond float64 is refused.",
        "The detail names the first layer, unit and sample. Most often a learning rate is too large, or inputs are not "
        "scaled.",
        (NON_FINITE_RESULT,),
    ),
    Trouble(
        "blocked-origin",
        "A page's script cannot read any answer, and the browser's console speaks of CORS.",
        "The page is of another origin than the service, and CHAINRULE_CORS_ORIGINS does not name it.",
        "Name the origin as the console shows it: with scheme and port, without a path.",
    ),
)


def troubles_of(problem: Problem) -> list[Trouble]:
    """The entries that a problem's page leads to."""
    return [trouble for trouble in TROUBLES if problem in trouble.problems]
