"""What is promised to people who install: the wheel holds what notebooks read, versions agree everywhere, workflows call what exists."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from fptlib.data import results

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the book's environment")

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST_BYTES = 3_000_000  # a wheel that Colab fetches in a second
PYTHONS = ("3.11", "3.12", "3.13")  # those the lock file was resolved for


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {plain(n): v for n, v in (re.match(r"([\w.-]+)==([\w.+-]+)", s).groups() for s in lines if s[:1] not in "#")}


def steps(path):
    for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
        for step in job["steps"]:
            yield name, job, step


# ------------------------------------------------------------------------------------------------------ what is installed


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source package, and the wheel built from it, as pip and `python -m build` do."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    ours = ("fptlib", "experiments/results", "tests/test_package.py", "setup.py", "pyproject.toml", "MANIFEST.in")
    for name in (*ours, "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "LICENSE-text"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tree / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tree / name)

    def build(kind, folder):
        code = f"import sys; from setuptools import build_meta as b; b.build_{kind}(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, str(out)], cwd=folder, check=True, capture_output=True)

    build("sdist", tree)
    (source,) = out.glob("*.tar.gz")
    with tarfile.open(source) as packed:
        packed.extractall(out / "unpacked", filter="data")
        inside = {name.partition("/")[2] for name in packed.getnames()}
    build("wheel", next((out / "unpacked").iterdir()))
    (wheel,) = out.glob("*.whl")
    return wheel, set(zipfile.ZipFile(wheel).namelist()), inside


def test_the_wheel_holds_every_module_every_result_and_the_licences(built):
    wheel, inside, _ = built
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "fptlib").rglob("*.py")} | {"fptlib/py.typed"}
    measured = {f"fptlib/data/measured/{p.name}" for p in (ROOT / "experiments" / "results").glob("*.json")}
    about = {name for name in inside if ".dist-info/" in name}
    assert inside - about == modules | measured and measured
    assert {Path(name).name for name in about if "/licenses/" in name} == {"LICENSE", "LICENSE-text"}
    assert wheel.stat().st_size < MOST_BYTES


def test_the_source_package_leaves_tests_and_book_behind(built):
    inside = {name for name in built[2] if name and "egg-info" not in name}
    assert {name.partition("/")[0] for name in inside if "/" in name} == {"fptlib", "experiments"}
    assert {"setup.py", "MANIFEST.in", "CHANGELOG.md", "LICENSE", "LICENSE-text"} <= inside


def test_an_installed_package_reads_its_own_results(built, tmp_path):
    """As in Colab: no checkout, no network."""
    zipfile.ZipFile(built[0]).extractall(tmp_path)
    spec = importlib.util.spec_from_file_location("installed_results", tmp_path / "fptlib" / "data" / "results.py")
    installed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installed)
    assert installed.results("timing") == results("timing")
    with pytest.raises(FileNotFoundError, match="timing"):
        installed.results("no-such-file")


# ------------------------------------------------------------------------------------------------------- versions agree


def test_the_lock_holds_what_the_package_asks_for():
    lock = pins("requirements.lock") | pins("requirements-conformance.lock")
    wanted = PROJECT["dependencies"] + [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in wanted:
        name, relation, version = re.match(r"([\w.-]+)(?:\s*(>=|==)\s*([\w.]+))?", line).groups()
        assert plain(name) in lock, f"{name} is not in the lock file"
        if relation == "==":
            assert lock[plain(name)] == version, f"{name}: {version} in pyproject.toml, {lock[plain(name)]} locked"
        if relation == ">=":
            numbers = [tuple(map(int, re.findall(r"\d+", v))) for v in (lock[plain(name)], version)]
            assert numbers[0] >= numbers[1], f"{line}, but {lock[plain(name)]} is locked"


def test_conda_takes_the_same_lock():
    wanted = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python, _, packages = wanted
    assert python.removeprefix("python=") in PYTHONS and packages == {"pip": ["-r requirements.lock", "-e ."]}


def test_hooks_run_the_locked_tools():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    revisions, lock = {h["repo"].rpartition("/")[2]: h["rev"] for h in hooks}, pins("requirements.lock")
    assert revisions["ruff-pre-commit"] == f"v{lock['ruff']}" and revisions["codespell"] == f"v{lock['codespell']}"


def test_a_notebook_installs_only_what_is_locked():
    lock = pins("requirements.lock") | pins("requirements-conformance.lock")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for options in re.findall(r"%pip install ([^\n]+)", "".join(cell["source"])):
                name, _, version = options.split()[-1].partition("==")
                assert "--no-deps" in options, f"{path.name}: pip could replace Colab's torch"
                assert "fptlib @" in options or lock[plain(name)] == version, (
                    f"{path.name}: {name} is not the locked one"
                )


# ------------------------------------------------------------------------------------------------------------ workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_workflows_call_what_exists(path):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for name, job, step in steps(path):
        assert "timeout-minutes" in job or name in ("deploy", "report"), f"{name} could run for six hours"
        for command in re.findall(r"^\s*make (\w+)", step.get("run", ""), re.M):
            assert command in targets, f"make {command}: no such target"
        for file in re.findall(r"(?<![\w/])(?:tests|requirements)[\w/.-]*\.(?:py|cfg|lock)", step.get("run", "")):
            assert (ROOT / file).exists(), f"{name} names {file}"
        if step.get("uses", "").startswith("actions/setup-python"):
            version = step["with"]["python-version"]
            assert version in PYTHONS or version == "${{ matrix.python }}"
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False, f"{name} leaves a token in .git"


def test_the_floors_that_are_tested_are_those_of_the_package():
    (path,) = (p for p in WORKFLOWS if p.stem == "test")
    tested = "\n".join(step.get("run", "") for name, _, step in steps(path) if name == "floors")
    for line in PROJECT["dependencies"]:
        name, version = line.split(">=")
        assert f"{name}=={version}" in tested, f"the job floors does not install {name} {version}"
