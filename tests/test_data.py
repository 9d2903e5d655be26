"""Named data sets: the three places, the checks, and the sentences that say what to do. Small files are written here."""

import gzip
import hashlib
import importlib
import struct

import numpy as np
import pytest
import torch

from fptlib import data
from fptlib.data import catalogue, readers


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A catalogue with one image set of four small IDX files, and the folder that holds them."""
    arrays = [
        np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3),
        np.array([7, 1], dtype=np.uint8),
        np.full((1, 3, 3), 255, dtype=np.uint8),
        np.array([4], dtype=np.uint8),
    ]
    files = []
    (tmp_path / "tiny").mkdir()
    for i, array in enumerate(arrays):
        content = (
            struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()
        )
        path = tmp_path / "tiny" / f"{i}.gz"
        path.write_bytes(gzip.compress(content))
        packed = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append(
            catalogue.File(f"tiny/{i}.gz", hashlib.sha256(content).hexdigest(), f"https://host/{i}.gz", packed)
        )
    entry = catalogue.Entry(readers.read_idx_images, "Two squares.", "CC0", "this test", tuple(files))
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", entry)
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    return tmp_path, arrays


def test_a_local_folder_by_argument_and_by_variable(tiny, monkeypatch):
    folder, arrays = tiny
    given = data.load("tiny", folder)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(folder))
    named = data.load("tiny")
    assert torch.equal(given.x, named.x) and given.x.dtype == torch.float32
    assert np.array_equal(given.x.numpy(), arrays[0].astype(np.float32) / np.float32(255))
    assert given.y.tolist() == [7, 1] and given.y_test.tolist() == [4] and given.x_test.max() == 1
    assert given.caption() == "Two squares. Licence: CC0. Source: this test."


def test_a_dataset_is_frozen(tiny):
    found = data.load("tiny", tiny[0])
    with pytest.raises(AttributeError):
        found.x = None


def test_a_changed_file_is_refused(tiny):
    folder, _ = tiny
    (folder / "tiny" / "1.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ValueError, match=r"SHA-256 .* is wanted\. It is another version or damaged: remove it"):
        data.load("tiny", folder)


def test_recompressed_files_are_the_same_data(tiny):
    folder, _ = tiny
    path = folder / "tiny" / "0.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=1))
    assert data.load("tiny", folder).y.tolist() == [7, 1]


def test_a_missing_file_says_where_to_put_it(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"needs tiny/0\.gz.*FPTLIB_DATA.*download=True.*Source: this test"):
        data.load("tiny", tmp_path / "empty")


def test_a_missing_folder_is_named(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no-such-place, which is not a folder"):
        data.load("tiny", tmp_path / "no-such-place")


def test_nothing_is_downloaded_unless_asked(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_fetch", lambda file: pytest.fail("a download was started"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        data.load("tiny", tmp_path / "empty")


def test_a_download_is_checked_by_pooch(tiny, monkeypatch):
    pooch = importlib.import_module("pooch")
    folder, _ = tiny
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        return str(folder / "tiny" / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert data.load("tiny", download=True).y.tolist() == [7, 1]
    assert len(asked) == 4 and all(known.startswith("sha256:") and len(known) == 71 for _, known in asked)


def test_unknown_name():
    with pytest.raises(ValueError, match="load got 'mnits'; it knows digits, mnist-5k"):
        data.load("mnits")
    with pytest.raises(ValueError, match="load got 3"):
        data.load(3)


def test_a_missing_package_is_named(monkeypatch):
    real = importlib.import_module

    def without(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(data.importlib, "import_module", without)
    with pytest.raises(ImportError, match=r'package sklearn, which is not installed. .*pip install "fptlib\[data\]"'):
        data.load("digits")


def test_digits_are_real():
    digits = data.load("digits")
    assert digits.x.shape == (1797, 8, 8) and digits.x.min() == 0 and digits.x.max() == 1
    assert torch.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.found.startswith("package sklearn")


def test_mnist_5k_is_real():
    mnist = data.load("mnist-5k")
    assert mnist.x.shape == (5000, 28, 28) and torch.bincount(mnist.y).tolist() == [500] * 10
    assert mnist.x.min() == 0 and mnist.x.max() == 1


def test_series_with_missing_cells(tmp_path):
    path = tmp_path / "load.csv"
    path.write_text("when,north,south\n1,2.5,\n2,3,4\n")
    series = readers.read_csv("1 hour")(path)
    assert series["channels"] == ("north", "south") and series["step"] == "1 hour"
    assert series["missing"].tolist() == [[False, True], [False, False]]
    assert series["x"][1].tolist() == [3.0, 4.0]


def test_unlabelled_steps_and_end_markers_of_qtdb(tmp_path):
    io = importlib.import_module("scipy.io")
    x = np.zeros((2, 4, 4), dtype=np.int16)
    x[:, -1, 0] = -1
    y = np.zeros((2, 4, 6), dtype=np.uint8)
    y[0, 0, 5] = y[0, 1, 0] = 1
    for part in ("a", "b"):
        io.savemat(tmp_path / f"{part}.mat", {"x": x, "y": y})
    found = readers.read_qtdb(tmp_path / "a.mat", tmp_path / "b.mat")
    assert found["x"].shape == (2, 3, 4) and found["x"].min() == 0
    assert found["y"].tolist() == [[5, 0, -1], [-1, -1, -1]]


def test_the_catalogue_is_complete():
    for name, entry in catalogue.CATALOGUE.items():
        assert entry.what.endswith(".") and entry.licence and entry.source, name
        assert bool(entry.package) != bool(entry.files), name
        for file in entry.files:
            assert len(file.sha256) == 64 and (not file.url or len(file.url_sha256) == 64), file.path
    assert tuple(catalogue.CATALOGUE) == data.names()


def test_spoken_digits_and_their_index(tmp_path):
    lzma = importlib.import_module("lzma")
    np.save(tmp_path / "sound.npy", np.array([0, 16384, -32768], dtype=np.int16))
    (tmp_path / "sound.npy.xz").write_bytes(lzma.compress((tmp_path / "sound.npy").read_bytes()))
    (tmp_path / "index.csv").write_text(
        "file,digit,speaker,take,start,length\n3_ann_0.wav,3,ann,0,0,2\n7_bo_1.wav,7,bo,1,2,1\n"
    )
    found = readers.read_fsdd(tmp_path / "sound.npy.xz", tmp_path / "index.csv")
    assert found["x"].tolist() == [0.0, 0.5, -1.0] and found["y"].tolist() == [3, 7]
    assert found["extra"]["start"].tolist() == [0, 2] and found["extra"]["speaker"] == ("ann", "bo")


def test_traffic_series(tmp_path):
    np.savez(
        tmp_path / "speed.npz", speed_mph=np.array([[60.0, 0.0]], dtype=np.float32), sensor_id=np.array(["a", "b"])
    )
    speed = readers.read_metr_la(tmp_path / "speed.npz")
    assert speed["channels"] == ("a", "b") and speed["missing"].tolist() == [[False, True]]
    np.savez(tmp_path / "flow.npz", flow_veh_per_5min=np.array([[3, 4], [5, 6]], dtype=np.uint16))
    flow = readers.read_pems08(tmp_path / "flow.npz")
    assert (
        flow["x"].dtype == torch.float32 and flow["x"].tolist() == [[3.0, 4.0], [5.0, 6.0]] and flow["missing"] is None
    )


def test_cifar_as_jpeg_takes_one_picture_of_each_class_in_turn(tmp_path):
    """Any stretch of the training part is then balanced, the last one too."""
    import io
    import tarfile

    from PIL import Image

    with tarfile.open(tmp_path / "pictures.tar.xz", "w:xz") as tar:
        for part, number in (("train", 3), ("test", 1)):
            for kind, level in (("cat", 40), ("airplane", 200)):
                for i in range(number):
                    content = io.BytesIO()
                    Image.new("RGB", (32, 32), (level + i, 0, 0)).save(content, "jpeg", quality=100)
                    member = tarfile.TarInfo(f"{part}/{kind}/{i:04}.jpg")
                    member.size = content.tell()
                    tar.addfile(member, io.BytesIO(content.getvalue()))
    found = readers.read_cifar10_jpeg(tmp_path / "pictures.tar.xz")
    assert found["x"].shape == (6, 3, 32, 32) and found["x_test"].shape == (2, 3, 32, 32)
    assert found["y"].tolist() == [0, 1, 0, 1, 0, 1] and found["y_test"].tolist() == [0, 1]
    reds = (found["x"][:, 0].mean((1, 2)) * 255).round().tolist()
    assert all(abs(a - b) <= 2 for a, b in zip(reds, [200, 40, 201, 41, 202, 42]))


def test_solar_joins_both_kinds_of_plants_and_averages_pairs_of_steps(tmp_path):
    for kind, column in (("PV", "a"), ("RTPV", "b")):
        folder = tmp_path / "timeseries_data_files" / kind
        folder.mkdir(parents=True)
        rows = "".join(f"2020,1,1,{i + 1},{i + len(kind)}\n" for i in range(4))
        (folder / f"REAL_TIME_{kind.lower()}.csv").write_text(f"Year,Month,Day,Period,{column}\n{rows}")
    module = type("Module", (), {"__file__": str(tmp_path / "__init__.py")})
    found = readers.read_rts_solar(module)
    assert found["channels"] == ("a", "b") and found["missing"] is None
    assert found["x"].tolist() == [[2.5, 4.5], [4.5, 6.5]]
