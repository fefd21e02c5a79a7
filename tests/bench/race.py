"""One load, all its contestants, alternating rounds."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import asdict, replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from tests.bench.forms import Environment
from tests.bench.loads import Load
from tests.bench.process_tree import Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.helpers.certificates import Authority

WARM_UP_S = 0.5


def answer_of(port: int, path: str, *, tls: bool) -> tuple[int, bytes]:
    """Status and body of one answer; Failed if it does not come."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    if tls:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as error:
        raise Failed(f"does not answer: {error or type(error).__name__}") from error
    finally:
        connection.close()


def told(answer: tuple[int, bytes]) -> str:
    return f"{answer[0]} with {len(answer[1])} bytes, SHA-256 {hashlib.sha256(answer[1]).hexdigest()[:12]}"


def race(
    load: Load, names: list[str], environment: Environment, rounds: int, seconds: float, cpus: list[int]
) -> dict[str, dict[str, object]]:
    """{server: {"rounds": [...], "pss_bytes"} or {"error"}}; who fails once is out.

    In each round each server is started anew: where things come to lie in memory differs from start to start, and moves
    the cost of one and the same program by 15 % (hello, eight starts of each).
    """
    base = Setup(environment.python, load.app, 0, workers=load.workers)
    if load.needs == "tls":
        pair = Authority(environment.place).pair("localhost")
        base = replace(base, certificate=Path(pair.certificate), key=Path(pair.key))
    found: dict[str, dict[str, object]] = {name: {"rounds": []} for name in names}
    for _ in range(rounds):
        for name in [name for name in names if "error" not in found[name]]:
            try:
                turn(load, name, base, environment, found, seconds, cpus)
            except Failed as error:
                found[name]["error"] = str(error)
    return found


def turn(
    load: Load,
    name: str,
    base: Setup,
    environment: Environment,
    found: dict[str, dict[str, object]],
    seconds: float,
    cpus: list[int],
) -> None:
    """Start one server, hold its answer against the others', warm it up, measure it, and end it."""
    core, loader_core = (cpus[0], cpus[-1]) if load.workers == 1 and len(cpus) > 1 else (None, None)
    setup = replace(base, port=free_port())
    if load.needs == "access log":
        setup = replace(setup, access_log=environment.place / f"{name}.access.log")
    server = SERVERS[name]
    output, root = environment.place / f"{name}.out", environment.roots[server.form]
    tree = ProcessTree(server.command(setup), setup.port, core=core, output=output, root=root)
    try:
        tree.wait_until_listening()
        said = told(answer_of(tree.port, load.same_answer, tls=load.needs == "tls"))
        first = next((row["answer"] for row in found.values() if "answer" in row), said)
        found[name]["answer"] = said
        if said != first:
            raise Failed(f"answers {said}, the first one {first}")
        load.loader(tree, WARM_UP_S, loader_core)
        done = load.loader(tree, seconds, loader_core)
        found[name]["rounds"].append(asdict(done))  # type: ignore[attr-defined]  # a list, see race()
        found[name]["pss_bytes"] = tree.pss_bytes()
    finally:
        tree.end()
