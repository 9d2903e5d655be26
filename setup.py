"""What pyproject.toml cannot say: the wheel also carries the measured results, which notebooks read where there is no checkout."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RESULTS = Path(__file__).parent / "experiments" / "results"


class WithResults(build_py):
    """Copies experiments/results/*.json to fptlib/data/measured, except for an editable install, which reads the checkout."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "fptlib" / "data" / "measured"
        self.mkpath(str(target))
        for path in sorted(RESULTS.glob("*.json")):
            self.copy_file(str(path), str(target / path.name))


setup(cmdclass={"build_py": WithResults})
