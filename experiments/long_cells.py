"""The tasks of the chapter on long tasks, as their tables name them, and the cells of the record behind a title."""

from experiments.accuracy_cells import SPEAKER, cells

PIXELS = {"pixels MNIST": "pixels-mnist", "pixels Fashion": "pixels-fashion-mnist"}
PERMUTED = {"permuted MNIST": "permuted-mnist", "permuted Fashion": "permuted-fashion-mnist"}
SIGNALS = {"FSDD, takes": "fsdd-frames", "ECG": "ecg"}
PLACES = PIXELS | PERMUTED | {"FSDD, takes": "fsdd-frames", "FSDD, new speaker": SPEAKER, "ECG": "ecg"}
ORDERED = {"permuted MNIST": "pixels MNIST", "permuted Fashion": "pixels Fashion"}  # the same pictures in order
CLOCKED = {"pixels MNIST": 784, "FSDD, takes": 600, "ECG": 1300}  # one task of each shape


def rows_of(record, title, arm, decay=None, k=None):
    """The seeds of one cell of a task."""
    return cells(record, PLACES[title]).get((arm, decay, k), [])


def there(record, titles=PLACES):
    """The tasks of a list that the record has."""
    return [title for title in titles if cells(record, PLACES[title])]


def kinds(arm):
    """The values of K an arm is shown with."""
    return (2, 3, 5) if arm in ("fpt", "fpt-graded") else (None,)


def shown_k(arm):
    """The K of a table with one line for each arm and decay."""
    return 3 if 3 in kinds(arm) else None
