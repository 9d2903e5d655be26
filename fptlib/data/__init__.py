"""Named data sets. One function, three places: an installed package, a local folder, a checked download.

A new set is one entry of ``catalogue.py`` and, if its format is new, one reader in ``readers.py``.
"""

import hashlib
import importlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fptlib.data.catalogue import CATALOGUE
from fptlib.data.readers import unpacked
from fptlib.data.results import results as results

FOLDER_VARIABLE = "FPTLIB_DATA"
DEBIAN_DATASETS = Path("/usr/share/datasets")


@dataclass(frozen=True)
class Dataset:
    """One data set in memory, with what a caption has to say about it.

    Shape: x is [n, ...] for examples or [T, C] for a series, float32; y is [n, ...], integer, -1 where there is no label.

    Attributes:
        name, x, y: the name asked for, the values, the labels (None for a series).
        x_test, y_test: the test part where the set comes with one, else None.
        channels: names of the C columns of a series. step: its time step, in words.
        missing: bool [T, C], True where a cell of the series was never measured (None: no such
            cell); x holds NaN or zero there, as published.
        extra: further arrays, by name.
        what, licence, source: one line each. found: where it was read this time.

    Example:
        >>> load("digits").what  # doctest: +SKIP

    Book: ch-api
    """

    name: str
    x: torch.Tensor
    what: str
    licence: str
    source: str
    found: str
    y: torch.Tensor | None = None
    x_test: torch.Tensor | None = None
    y_test: torch.Tensor | None = None
    channels: tuple[str, ...] = ()
    step: str = ""
    missing: torch.Tensor | None = None
    extra: dict = field(default_factory=dict)

    def caption(self):
        """The line for a figure or a notebook's last cell. Shape: none. Book: ch-api"""
        return f"{self.what} Licence: {self.licence}. Source: {self.source}."


def load(name, folder=None, *, download=False):
    """Load a data set by name: from an installed package, else a local folder, else (only if asked) by a checked download.

    Args:
        name: one of ``names()``, such as "digits" or "mnist-5k".
        folder: where local files are; None takes the folder named by the environment variable FPTLIB_DATA.
        download: True allows fetching missing files with pooch, each checked against its SHA-256.

    Returns:
        A frozen ``Dataset``. Shape: x is [n, ...] or [T, C], see ``Dataset``.

    Raises:
        ValueError: for an unknown name, or a file whose content is not the expected one.
        ImportError, FileNotFoundError: where something is missing; the message says what to install or fetch.

    Example:
        >>> digits = load("digits")
        >>> digits.x.shape
        torch.Size([1797, 8, 8])

    Book: ch-api
    """
    entry = CATALOGUE.get(name) if isinstance(name, str) else None
    if entry is None:
        raise ValueError(f"load got {name!r}; it knows {', '.join(names())}. Choose one of these names.")
    if entry.package:
        try:
            module = importlib.import_module(entry.package)
        except ImportError as error:
            raise ImportError(
                f'load("{name}") reads the package {entry.package.split(".")[0]}, which is not installed. '
                f"Install it, for example with: {entry.install}."
            ) from error
        parts, found = entry.read(module), f"package {entry.package.split('.')[0]} {_version(entry.package)}"
    else:
        paths = [_find(name, entry, file, folder, download) for file in entry.files]
        parts, found = entry.read(*paths), str(paths[0].parent)
    return Dataset(name=name, what=entry.what, licence=entry.licence, source=entry.source, found=found, **parts)


def names():
    """The names ``load`` knows, in the order of the catalogue.

    Returns:
        Tuple of str. Shape: none.

    Example:
        >>> "digits" in names()
        True

    Book: ch-api
    """
    return tuple(CATALOGUE)


def _version(package):
    return getattr(importlib.import_module(package.split(".")[0]), "__version__", "")


def _find(name, entry, file, folder, download):
    """The path of one checked file, or the sentence that says how to get it."""
    named = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if named is not None and not Path(named).is_dir():
        raise FileNotFoundError(
            f'load("{name}") was told to look in {named}, which is not a folder. Pass folder=..., or set {FOLDER_VARIABLE}.'
        )
    places = ([Path(named) / file.path] if named is not None else []) + [DEBIAN_DATASETS / file.path]
    for path in places:
        if path.is_file():
            return _checked(path, file)
    if download and file.url:
        return _checked(_fetch(file), file)
    ways = [f"put it at {file.path} in a folder named by {FOLDER_VARIABLE} (or folder=...)"]
    if file.url:
        ways.append("pass download=True")
    if name == "fashion-mnist":
        ways.append("install the Debian package dataset-fashion-mnist")
    raise FileNotFoundError(
        f'load("{name}") needs {file.path}. To get it, {", or ".join(ways)}. Source: {entry.source}.'
    )


def _fetch(file):
    try:
        import pooch
    except ImportError as error:
        raise ImportError("download=True needs pooch. Install it with: pip install pooch.") from error
    target = Path(pooch.os_cache("fptlib")) / Path(file.path).parent
    return Path(pooch.retrieve(file.url, f"sha256:{file.url_sha256}", fname=Path(file.url).name, path=target))


def _checked(path, file):
    """The path, if its content is the one the catalogue names."""
    found = hashlib.sha256(unpacked(path)).hexdigest()
    if found != file.sha256:
        raise ValueError(
            f"{path} has SHA-256 {found[:12]}... after unpacking; {file.sha256[:12]}... is wanted. "
            f"It is another version or damaged: remove it and fetch it again."
        )
    return path
