"""Readers: from the files of a set to float32 values and integer labels. Each returns the fields of ``Dataset`` it fills."""

import csv
import gzip
import io
import lzma
from pathlib import Path

import numpy as np
import torch


def unpacked(path):
    """The content of a file, gunzipped if it is a gzip file. Shape: none."""
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def images(pixels, top):
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32) / np.float32(top))


def labels(values):
    return torch.from_numpy(np.asarray(values).astype(np.int64))


def read_digits(module):
    bunch = module.load_digits()
    return {"x": images(bunch.images, 16), "y": labels(bunch.target)}


def read_mnist_5k(module):
    pixels, digits = module.mnist_data()
    return {"x": images(pixels.reshape(-1, 28, 28), 255), "y": labels(digits)}


def idx(path):
    """An IDX file: two zero bytes, a type byte (8: unsigned byte), the number of axes, their lengths, the values."""
    data = unpacked(path)
    axes = data[3]
    shape = np.frombuffer(data, ">i4", axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_idx_images(train_x, train_y, test_x, test_y):
    return {
        "x": images(idx(train_x), 255),
        "y": labels(idx(train_y)),
        "x_test": images(idx(test_x), 255),
        "y_test": labels(idx(test_y)),
    }


def read_cifar10_jpeg(archive):
    """Pictures [n, 3, 32, 32] of <part>/<class>/<number>.jpg, one of each class in turn, so that any run of them is balanced."""
    import tarfile

    from PIL import Image

    found = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                part, kind, name = member.name.split("/")[-3:]
                pixels = np.asarray(Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB"))
                found[part].append((name, kind, pixels.transpose(2, 0, 1)))
    kinds = sorted({kind for _, kind, _ in found["train"]})

    def part(rows):
        rows = sorted(rows, key=lambda row: row[:2])
        return images(np.stack([row[2] for row in rows]), 255), labels([kinds.index(row[1]) for row in rows])

    (x, y), (x_test, y_test) = part(found["train"]), part(found["test"])
    return {"x": x, "y": y, "x_test": x_test, "y_test": y_test, "channels": ("red", "green", "blue")}


def read_fsdd(samples, index):
    rows = list(csv.DictReader(io.StringIO(index.read_text(encoding="utf-8"))))
    sound = np.load(io.BytesIO(lzma.decompress(samples.read_bytes())))
    extra = {key: torch.tensor([int(row[key]) for row in rows]) for key in ("start", "length", "take")}
    extra["speaker"] = tuple(row["speaker"] for row in rows)
    digits = labels([int(row["digit"]) for row in rows])
    return {"x": images(sound, 32768), "y": digits, "step": "1/8000 s", "extra": extra}


def read_qtdb(train, test):
    from scipy.io import loadmat

    def part(path):
        table = loadmat(path)
        # The last step holds an end marker (-1), not data. Steps without a label have an all-zero row: -1 here.
        spikes, one_hot = table["x"][:, :-1].astype(np.float32), table["y"][:, :-1]
        return torch.from_numpy(spikes), labels(np.where(one_hot.any(-1), one_hot.argmax(-1), -1))

    (x, y), (x_test, y_test) = part(train), part(test)
    return {"x": x, "y": y, "x_test": x_test, "y_test": y_test, "step": "one sample"}


def series(values, channels, step, missing=None):
    values = np.asarray(values, dtype=np.float32)
    missing = np.isnan(values) if missing is None else missing
    mask = torch.from_numpy(missing) if missing.any() else None
    return {"x": torch.from_numpy(values), "channels": tuple(channels), "step": step, "missing": mask}


def table(path, skip):
    """A CSV file: names of the columns after the first ``skip``, and their numbers (empty cell: NaN)."""
    rows = csv.reader(io.StringIO(unpacked(path).decode()))
    header = next(rows)[skip:]
    return header, [[float(cell) if cell else np.nan for cell in row[skip:]] for row in rows]


def read_metr_la(path):
    file = np.load(path)
    speed = file["speed_mph"]
    return series(speed, file["sensor_id"].tolist(), "5 minutes", speed == 0)


def read_pems08(path):
    flow = np.load(path)["flow_veh_per_5min"]
    return series(flow, [f"sensor {i}" for i in range(flow.shape[1])], "5 minutes")


def read_rts_solar(module):
    """Two CSV files of 5-minute values, side by side, each pair of steps averaged: 10 minutes."""
    folder = Path(module.__file__).parent / "timeseries_data_files"
    names, values = [], []
    for kind in ("PV", "RTPV"):
        header, rows = table(folder / kind / f"REAL_TIME_{kind.lower()}.csv", 4)
        names, values = names + header, values + [np.asarray(rows)]
    joined = np.concatenate(values, axis=1)
    return series(joined.reshape(-1, 2, joined.shape[1]).mean(1), names, "10 minutes")


def read_csv(step, skip=1):
    def read(path):
        header, rows = table(path, skip)
        return series(rows, header, step)

    return read
