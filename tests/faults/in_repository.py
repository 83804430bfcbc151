"""Faults to be planted in files outside of the three packages."""

from tests.faults.fault import Fault
from tests.faults.suites import ATTACKS

FAULTS: tuple[Fault, ...] = (
    Fault(
        "an attacker may get any answer",
        "tests/attacks/arena.py",
        "if answer.status not in attack.statuses:",
        "if answer.status < 0:",
        ATTACKS,
    ),
    Fault(
        "a machine that is a little late excuses every wait",
        "tests/attacks/arena.py",
        "seen.slowest > SLOWEST + seen.late",
        "seen.slowest > SLOWEST + 100 * seen.late",
        ATTACKS,
    ),
    Fault(
        "the attacks measure the first process alone",
        "tests/attacks/processes.py",
        "found += [int(child) for",
        "_ = [int(child) for",
        ATTACKS,
    ),
    Fault(
        "an answer that is no problem document is accepted",
        "tests/attacks/hostile.py",
        "if is_problem or response.status < 400",
        "if is_problem or response.status < 600",
        ATTACKS,
    ),
    Fault(
        "the fuzzer does not detect slow refusals",
        "tests/fuzz/run.py",
        "seconds = time.thread_time() - start",
        "seconds = start - start",
        ("tests/repository/test_fuzz.py::test_a_slow_refusal_is_detected",),
    ),
    Fault(
        "the fuzzer does not detect large refusals",
        "tests/fuzz/checker.py",
        "if len(answer.body) > LARGEST_REFUSAL:",
        "if len(answer.body) > 2 * LARGEST_REFUSAL:",
        ("tests/repository/test_fuzz.py::test_a_large_refusal_is_found",),
    ),
    Fault(
        "the container is killed before the service has stopped",
        "docker-compose.yml",
        "stop_grace_period: 45s",
        "stop_grace_period: 35s",
        ("tests/repository/test_deploy.py",),
    ),
    Fault(
        "the container has less memory than the service needs",
        "docker-compose.yml",
        "  mem_limit: 512m\n  memswap_limit: 512m",
        "  mem_limit: 128m\n  memswap_limit: 128m",
        ("tests/repository/test_deploy.py",),
    ),
    Fault(
        "the pod requests less memory than its budget",
        "deploy/kubernetes/base/deployment.yaml",
        'requests: {cpu: "1", memory: 512Mi}',
        'requests: {cpu: "1", memory: 256Mi}',
        ("tests/repository/test_deploy.py",),
    ),
    Fault(
        "the proxy opens more connections than a replica keeps",
        "deploy/haproxy/haproxy.cfg",
        "default-server maxconn 900 ",
        "default-server maxconn 2000 ",
        ("tests/repository/test_deploy.py",),
    ),
    Fault(
        "the proxy accepts smaller bodies than the service",
        "deploy/haproxy/haproxy.cfg",
        "gt 33554432 }",
        "gt 16777216 }",
        ("tests/repository/test_deploy.py",),
    ),
    Fault(
        "an alert uses a metric that does not exist",
        "deploy/observe/alerts.yml",
        'chainrule_http_requests_total{code="500"}',
        'chainrule_requests_total{code="500"}',
        ("tests/repository/test_deploy.py",),
    ),
    Fault(
        "the disruption budget selects no pod",
        "deploy/kubernetes/base/disruption.yaml",
        "  selector:\n    matchLabels: {app.kubernetes.io/name: chainrule}\n",
        "",
        ("tests/repository/test_deploy.py",),
    ),
)
