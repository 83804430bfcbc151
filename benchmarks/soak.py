"""Many requests, each checked, and the service's memory during the run: `python -m benchmarks.soak [requests]`."""

import sys
import tempfile
import time
from pathlib import Path

from tests.serving import Load, Server, serving

STEPS = 10


def resident(server: Server) -> list[float]:
    """Megabytes of each process of the service: the master, then the others."""
    return [_resident(pid) for pid in (server.process.pid, *sorted(server.children))]


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main() -> int:
    """Print the memory after each tenth of the requests; 1 where an answer was wrong or missing."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", WORKERS=2) as server:
        start = time.monotonic()
        print("| requests | seconds | MB resident: master, admin, workers |\n|---|---|---|")
        with Load(server.port, clients=8) as load:
            for step in range(STEPS + 1):
                while load.answered < step * requests // STEPS and not load.failures:
                    time.sleep(0.05)
                shown = ", ".join(f"{megabytes:.1f}" for megabytes in resident(server))
                print(f"| {load.answered} | {time.monotonic() - start:.0f} | {shown} |", flush=True)
        counted = server.metric("chainrule_http_requests_total", route="/v1/gradients", code="200")
    print(
        f"\n{load.answered} answers right, {len(load.failures)} not, {load.repeated} sent again; {counted:.0f} counted"
    )
    return 1 if load.failures or counted != load.answered else 0


if __name__ == "__main__":
    sys.exit(main())
