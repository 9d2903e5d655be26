"""The papers' own sets, whole, for a reader with a network: where they are, and how a download is checked.

Nothing is fetched unless a config says ``download = true``. Solar-Energy and Electricity are files of one repository, pinned by MD5; the sums
are those that the package torch-timeseries checks, and its sum of a third file there (exchange rates) is that of our own copy. METR-LA and
PEMS-BAY come from Zenodo, whose record names the MD5 of each file; pooch asks for it and checks. Every set must have the length and
width that the papers state. The downloads themselves have not been run by this project, which had no network.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

LSTNET = (
    "https://raw.githubusercontent.com/laiguokun/multivariate-time-series-data/7f402f185cc2435b5e66aed13a3b560ed142e023"
)
ZENODO = "doi:10.5281/zenodo.5146275"


@dataclass(frozen=True)
class Public:
    """Where a whole set is: ``md5`` pins the bytes, None leaves that to the sums of the record at ``place``."""

    place: str
    file: str
    md5: str | None
    shape: tuple[int, int]
    period: int
    what: str
    zeros_missing: bool = False


PUBLIC = {
    "solar-energy": Public(
        f"{LSTNET}/solar-energy/", "solar_AL.txt.gz", "41ef7fdc958c2ca3fac9cd06d6227073", (52560, 137), 144,
        "Solar-Energy, whole: modelled output of 137 photovoltaic plants in Alabama in 2006, every 10 minutes. Licence: none stated.",
    ),
    "electricity": Public(
        f"{LSTNET}/electricity/", "electricity.txt.gz", "07d51dc39c404599ead932937985957b", (26304, 321), 24,
        "Electricity, whole: hourly use of 321 customers, 2012 to 2014, after UCI 321. Licence: CC BY 4.0 (UCI).",
    ),
    "metr-la-all": Public(
        ZENODO, "METR-LA.csv", None, (34272, 207), 288,
        "METR-LA, whole: speeds of 207 detectors in Los Angeles, every 5 minutes; a zero is a missing value. Licence: none stated.",
        zeros_missing=True,
    ),
    "pems-bay": Public(
        ZENODO, "PEMS-BAY.csv", None, (52116, 325), 288,
        "PEMS-BAY, whole: speeds of 325 detectors around San Francisco, every 5 minutes; a zero is a missing value. Licence: Caltrans, none "
        "stated.",
        zeros_missing=True,
    ),
}  # fmt: skip


def fetch(name, folder=None):
    """Path of the set's file, downloaded and checked unless it is there.

    Raises:
        ImportError: without pooch. ValueError: from pooch, when the bytes are others than the sum says.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError("download = true needs pooch. Install it with: pip install pooch.") from error
    found, folder = PUBLIC[name], folder or pooch.os_cache("fptlib") / "papers"
    if found.md5:
        return Path(pooch.retrieve(found.place + found.file, f"md5:{found.md5}", fname=found.file, path=folder))
    record = pooch.create(path=folder, base_url=found.place)
    record.load_registry_from_doi()  # names and sums as the record states them
    return Path(record.fetch(found.file))


def load(name, download=False, folder=None):
    """A whole set: values [T, C], missing cells [T, C] or None, steps of a day, and what it is.

    Raises:
        ValueError: without ``download``, or when the file has not the papers' length and width.
    """
    found = PUBLIC[name]
    if not download:
        raise ValueError(
            f"{name} is the papers' whole set and is not here; `download = true` under [data] fetches it ({found.place})."
        )
    values = read(fetch(name, folder))
    if tuple(values.shape) != found.shape:
        raise ValueError(
            f"{name} came with shape {tuple(values.shape)}; {found.shape} is wanted. It is another version of the set."
        )
    return values, values == 0 if found.zeros_missing else None, found.period, found.what


def read(path):
    """A series [T, C] from numbers between commas, gzipped or not; a first line of names and a first column of times are dropped."""
    with gzip.open(path, "rt") if Path(path).suffix == ".gz" else open(path, encoding="utf-8") as lines:
        first = lines.readline().rstrip("\n").split(",")
    named = not _number(first[0])
    columns = range(1, len(first)) if named else None
    rows = np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2, skiprows=int(named), usecols=columns)
    return torch.from_numpy(rows)


def _number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True
