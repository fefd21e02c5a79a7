"""One load, all its contestants, alternating rounds."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.bench.forms import Environment
from tests.bench.loads import Load
from tests.bench.process_tree import Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.helpers.certificates import Authority

WARM_UP_S = 0.5


def answer_of(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of one answer; Failed if it does not come."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
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
    """{server: {"rounds": [...], "pss_bytes"} or {"error"}}; who fails once is out."""
    place = environment.place
    base = Setup(environment.python, load.app, 0, workers=load.workers)
    if load.needs == "tls":
        pair = Authority(place).pair("localhost")
        base = replace(base, certificate=Path(pair.certificate), key=Path(pair.key))
    core, loader_core = (cpus[0], cpus[-1]) if load.workers == 1 and len(cpus) > 1 else (None, None)
    trees: dict[str, ProcessTree] = {}
    found: dict[str, dict[str, object]] = {name: {"rounds": []} for name in names}
    try:
        for name in names:
            output = place / f"{name}.out"
            setup = replace(base, port=free_port())
            if load.needs == "access log":
                setup = replace(setup, access_log=place / f"{name}.access.log")
            server = SERVERS[name]
            trees[name] = ProcessTree(
                server.command(setup), setup.port, core=core, output=output, root=environment.roots[server.form]
            )
            prepare(load, name, trees[name], found, loader_core)
        for _ in range(rounds):
            for name in [name for name in names if "error" not in found[name]]:
                try:
                    trees[name].resume()
                    done = load.loader(trees[name], seconds, loader_core)
                    found[name]["rounds"].append(asdict(done))  # type: ignore[attr-defined]  # a list, see above
                    found[name]["pss_bytes"] = trees[name].pss_bytes()
                except Failed as error:
                    found[name]["error"] = str(error)
                finally:
                    trees[name].pause()
    finally:
        for tree in trees.values():
            tree.end()
    return found


def prepare(load: Load, name: str, tree: ProcessTree, found: dict[str, dict[str, object]], core: int | None) -> None:
    """Wait until it listens, keep its answer to be compared, warm it up, and let it wait for its turn."""
    try:
        tree.wait_until_listening()
        if load.same_answer is not None:
            said = answer_of(tree.port, load.same_answer)
            first = next((row["answer"] for row in found.values() if "answer" in row), told(said))
            found[name]["answer"] = told(said)
            if told(said) != first:
                raise Failed(f"answers {told(said)}, the first one {first}")
        load.loader(tree, WARM_UP_S, core)
    except Failed as error:
        found[name]["error"] = str(error)
    finally:
        tree.pause()
