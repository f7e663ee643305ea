import re
import tomllib
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import sim2real

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"sim2real": ROOT, "sim2real_envs": ROOT / "envs", "sim2real_policies": ROOT / "policies"}
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIG["project"]
EXTRAS = PROJECT["optional-dependencies"]
PLUGGED = [*EXTRAS["minari"], *EXTRAS["mlflow"], *EXTRAS["wandb"], *EXTRAS["ecosystem"]]
REQUIREMENTS = {
    "constraints.txt": [*PROJECT["dependencies"], *EXTRAS["dev"]],
    "constraints-ecosystem.txt": [*PROJECT["dependencies"], *(name for name in PLUGGED if "sim2real[" not in name)],
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(file: str) -> dict[str, str]:
    """Return the versions that the tests run with, by name."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normal(name): version for name, version in pins}


@pytest.mark.parametrize(
    ("file", "requirement"), [(file, each) for file in REQUIREMENTS for each in REQUIREMENTS[file]]
)
def test_the_tested_version_of_each_requirement_is_in_its_range(file, requirement):
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(versions(file)[normal(wanted.name)])


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_tested_versions_are_portable(file):
    assert versions(file)["torch"] == "2.13.0"  # the unpinned one brings several GB of CUDA
    assert [name for name, version in versions(file).items() if "+" in version] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_data_file_of_a_package_goes_into_the_wheel(package):
    patterns = CONFIG["tool"]["setuptools"]["package-data"]["*"]
    files = [path for path in (PACKAGES[package] / package).rglob("*") if path.is_file()]
    data = [path for path in files if path.suffix not in (".py", ".pyc")]
    assert [path for path in data if not any(fnmatch(path.name, pattern) for pattern in patterns)] == []
    assert "py.typed" in [path.name for path in data]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_code_is_a_package(package):
    folders = {path.parent for path in (PACKAGES[package] / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_entry_points_exist():
    module, _, function = PROJECT["scripts"]["sim2real"].partition(":")
    assert callable(getattr(import_module(module), function))
    assert PROJECT["entry-points"]["sim2real.envs"] == {"worlds": "sim2real_envs"}


@pytest.mark.parametrize("name", sim2real.__all__)
def test_public_names_exist(name):
    assert getattr(sim2real, name) is not None
    assert name in dir(sim2real)


def test_transfer_is_called_whatever_was_imported_first():
    import inspect

    from sim2real.transfer.transfer import transfer

    assert callable(sim2real.transfer)
    assert inspect.signature(sim2real.transfer) == inspect.signature(transfer)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        sim2real.transfer("policy", target="mild", steps=1, nonsense=1)


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sim2real' has no attribute 'trian'"):
        sim2real.trian  # noqa: B018
