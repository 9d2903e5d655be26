"""The harness of the accuracy experiments: splits, arms, training, resuming, records. Small nets on packaged or made data."""

import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import arms, config, frontend, loop, networks, record, tasks, train
from experiments.augment import augment
from experiments.fpt import FPTLayer, published_slopes
from fptlib import FixedPoint, Replay, Sequential, SpikingLayer, Unrolled, data, lif, solve

ROOT = Path(__file__).resolve().parents[1]
GRADIENT_TOLERANCE = 1e-6  # float32 sums of the same terms in another order, relative to the largest entry

SMALL = config.Run(
    task={"name": "rows-digits"},
    network={"name": "stack", "width": 16, "depth": 2},
    train={"epochs": 4, "batch": 100, "rate": 3e-3},
    arm="lif-loop",
    decay=0.5,
    k=None,
    seed=0,
)


@pytest.fixture(scope="module")
def digits():
    """The packaged task, with few training examples."""
    task = tasks.load("rows-digits")
    return replace(task, train=task.train.cut(slice(0, 200)), val=task.val.cut(slice(0, 100)))


def made(length=64, batch=3, inputs=5, seed=0):
    return torch.randn(length, batch, inputs, generator=torch.Generator().manual_seed(seed))


def stack(arm, decay=0.5, k=3, steps=64, seed=0, **options):
    maker = arms.neuron_maker(arm, decay, k, steps, options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return networks.Stack(maker, 4, 5, width=8)


# ------------------------------------------------------------------------------------------------ configs and tasks


def test_every_config_names_known_arms_and_tables():
    found = sorted((ROOT / "experiments" / "configs").glob("*.toml"))
    plain = [path for path in found if not path.name.startswith("forecast-")]
    assert len(plain) >= 10
    for path in plain:
        tables = config.read(path)
        runs = config.expand(tables)
        assert len({run.name for run in runs}) == len(runs) > 0
        loop.Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in tables["train"].items()})


def test_the_grid_drops_axes_an_arm_does_not_have():
    tables = {"task": {"name": "t"}, "network": {"name": "n"}, "train": {}}
    grid = {"arm": ["psn", "lif-exact", "fpt", "psu"], "decay": [0.5, "learned"], "k": [2, 3], "seed": [0]}
    names = [run.name for run in config.expand(tables | {"grid": grid})]
    assert names == [
        "t_n_psn_s0",
        "t_n_lif-exact_0.5_s0",
        "t_n_lif-exact_learned_s0",
        "t_n_fpt_0.5_k2_s0",
        "t_n_fpt_0.5_k3_s0",
        "t_n_fpt_learned_k2_s0",
        "t_n_fpt_learned_k3_s0",
        "t_n_psu_0.5_s0",
    ]
    with pytest.raises(ValueError, match="names the arm 'lif'"):
        config.expand(tables | {"grid": grid | {"arm": ["lif"]}})


def test_parts_of_digits_do_not_overlap_and_statistics_come_from_training():
    task = tasks.load("rows-digits")
    whole = data.load("digits")
    assert len(task.train) + len(task.val) + len(task.test) == len(whole.x)
    joined = torch.cat([task.train.y, task.val.y, task.test.y])
    assert torch.equal(joined, whole.y)
    assert abs(task.train.x.mean().item()) < 1e-5 and abs(task.train.x.std().item() - 1) < 1e-5
    assert abs(task.test.x.mean().item()) > 1e-3


def test_layouts_are_the_same_pixels_in_another_order(capsys):
    by_rows, by_pixels = tasks.load("rows-digits"), tasks.load("pixels-digits")
    permuted, again = tasks.load("permuted-digits", seed=3), tasks.load("permuted-digits", seed=3)
    index = torch.arange(5)
    x = by_rows.batch(by_rows.train, index)[0]
    flat = by_pixels.batch(by_pixels.train, index)[0]
    mixed = permuted.batch(permuted.train, index)[0]
    assert x.shape == (8, 5, 8) and flat.shape == mixed.shape == (64, 5, 1)
    assert torch.equal(x.permute(0, 2, 1).reshape(64, 5), flat[..., 0])
    assert torch.equal(mixed.sort(0).values, flat.sort(0).values) and not torch.equal(mixed, flat)
    assert torch.equal(again.batch(again.train, index)[0], mixed)
    assert "default_rng(3)" in capsys.readouterr().out


def fake_fsdd():
    """Two digits, three speakers, takes 0 to 49, clips of 160 to 209 samples."""
    take = torch.arange(50).repeat(6)
    length = 160 + take
    start = torch.cat([torch.zeros(1, dtype=torch.long), length.cumsum(0)[:-1]])
    speaker = tuple(name for name in ("ann", "bob", "theo") for _ in range(100))
    sound = 0.5 * torch.sin(torch.arange(int(length.sum())) * 0.5)
    extra = {"start": start, "length": length, "take": take, "speaker": speaker}
    return data.Dataset("fsdd", sound, "made", "none", "made", "made", y=torch.arange(300) // 50 % 2, extra=extra)


def test_fsdd_splits_by_take_and_by_speaker(monkeypatch, tmp_path):
    found = fake_fsdd()
    monkeypatch.setattr(tasks.data, "load", lambda name, folder=None: found)
    monkeypatch.setenv(tasks.CACHE_VARIABLE, str(tmp_path))
    raw = tasks.load("fsdd-raw", steps=200)
    lengths = [part.length - 160 for part in (raw.train, raw.val, raw.test)]  # the take, up to 40
    assert [len(part) for part in (raw.train, raw.val, raw.test)] == [240, 30, 30]
    assert set(lengths[2].tolist()) == {0, 1, 2, 3, 4} and set(lengths[0].tolist()) == set(range(5, 41))
    x, _, length = raw.batch(raw.train, torch.arange(3))
    assert x.shape == (200, 3, 1) and all(not x[n:, i].any() for i, n in enumerate(length.tolist()))
    held = tasks.load("fsdd-frames", steps=24, bands=4, speaker="theo")
    assert [len(part) for part in (held.train, held.val, held.test)] == [180, 20, 100]
    assert held.train.x.shape == (180, 24, 8) and held.train.x.any()
    assert list(tmp_path.glob("fsdd_*.0.npy"))  # the next load reads this
    assert torch.equal(tasks.load("fsdd-frames", steps=24, bands=4, speaker="theo").test.x, held.test.x)
    with pytest.raises(ValueError, match="nobody is called 'eve'"):
        tasks.load("fsdd-raw", speaker="eve")


def test_columns_are_time_and_channels_are_normalised(monkeypatch):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8) for n in (30, 10)]
    y = [np.arange(n) % 10 for n in (30, 10)]
    monkeypatch.setattr(tasks, "cached", lambda key, make: (arrays[0], y[0], arrays[1], y[1]))
    task = tasks.load("columns-cifar10", val=10)
    x, labels, _ = task.batch(task.train, torch.arange(4))
    assert x.shape == (32, 4, 3, 32) and labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(x[7, 2], task.train.x[2, :, :, 7])
    assert task.train.x.mean((0, 2, 3)).abs().max() < 1e-5
    assert (len(task.train), len(task.val), len(task.test)) == (20, 10, 10)


def test_unlabelled_steps_of_an_ecg_count_nowhere(monkeypatch):
    x, y = (torch.rand(12, 6, 4) > 0.5).float(), torch.full((12, 6), -1)
    y[:, 2] = 1
    found = data.Dataset("qtdb-ecg", x, "made", "none", "made", "made", y=y, x_test=x[:4], y_test=y[:4])
    monkeypatch.setattr(tasks.data, "load", lambda name, folder=None: found)
    task = tasks.load("ecg", val=4)
    always_one = lambda x: torch.nn.functional.one_hot(torch.ones(x.shape[:2], dtype=torch.long), 6).float()
    net = torch.nn.Module()
    net.forward = always_one
    assert task.batch(task.val, torch.arange(4))[1].shape == (6, 4)
    assert train.accuracy(net, task, task.val, loop.Plan()) == 1.0


def test_augmentation_is_seeded_and_keeps_shape():
    x = torch.rand(16, 3, 32, 32) + 1
    draw = lambda seed: augment(x, {"flip": True, "shift": 4, "erase": 0.5}, torch.Generator().manual_seed(seed))
    assert draw(0).shape == x.shape and torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))
    assert set(augment(x, {"erase": 1.0}, torch.Generator()).eq(0).any(1).flatten(1).any(1).tolist()) <= {True, False}
    flipped = augment(x, {"flip": True}, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in zip(flipped, x))
    with pytest.raises(ValueError, match="not mixup"):
        augment(x, {"mixup": 1}, torch.Generator())


# ------------------------------------------------------------------------------------------------ front end


def test_a_tone_spikes_in_its_band_at_its_ends_and_silence_does_not():
    t = torch.arange(4000) / frontend.RATE
    rise = ((t - 0.1) / 0.02).clamp(0, 1) * ((0.32 - t) / 0.02).clamp(0, 1)  # a sudden start would sound in all bands
    tone = rise * torch.sin(2 * torch.pi * 1000 * t)
    spikes = frontend.level_spikes(frontend.envelopes(torch.stack([tone, torch.zeros(4000)]), bands=20))
    assert spikes.shape == (500, 2, 40) and not spikes[:, 1].any()
    up, down = spikes[:, 0, :20].float(), spikes[:, 0, 20:].float()
    centres = frontend.mel_bank(20, 8)[0]
    assert up.sum(0).argmax() == (centres - 1000).abs().argmin()
    first, last = up.sum(1).nonzero()[0].item(), down.sum(1).nonzero()[-1].item()
    assert 95 <= first <= 105 and 300 <= last <= 350  # frames of 1 ms
    assert up[150:250].sum() + down[150:250].sum() == 0  # a steady tone crosses no level


# ------------------------------------------------------------------------------------------------ networks and arms


def test_the_columns_network_is_the_published_one():
    maker = arms.neuron_maker("psn", None, None, 32)
    network = networks.Columns(maker, 100)
    neurons_own = sum(p.numel() for place in arms.neurons(network) for p in place.parameters())
    assert sum(p.numel() for p in network.parameters()) - neurons_own == 536_548  # 0.537 million
    assert len(arms.neurons(network)) == 7 and neurons_own == 7 * (32 * 32 + 32)
    small = networks.Columns(arms.neuron_maker("lif-loop", 0.5, None, 4), 10, width=4)
    assert small(torch.randn(4, 2, 3, 32)).shape == (4, 2, 10)


def test_weights_depend_on_the_seed_alone(digits):
    maker = arms.neuron_maker("lif-loop", 0.5, None, 8)
    one = networks.build("stack", maker, digits, 3, width=8).state_dict()
    torch.rand(5)
    two = networks.build("stack", arms.neuron_maker("fpt", 0.5, 3, 8), digits, 3, width=8).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_pooling_stops_at_the_length():
    logits = torch.arange(4.0)[:, None, None].expand(4, 2, 3)
    assert networks.pooled(logits, torch.tensor([2, 4]))[:, 0].tolist() == [0.5, 1.5]


@pytest.mark.parametrize("arm", [name for name in arms.ARMS if arms.installed(name)])
def test_every_arm_runs_and_learns(arm):
    network = stack(arm, steps=12)
    x = made(12)
    out = network(x)
    assert out.shape == (12, 3, 4)
    out.square().mean().backward()
    first = next(network.parameters())
    assert torch.isfinite(first.grad).all() and first.grad.abs().max() > 0


@pytest.mark.parametrize("decay", [0.5, 0.9, "learned"])
def test_the_exact_arm_is_the_loop_spike_for_spike(decay):
    exact, looped = stack("lif-exact", decay), stack("lif-loop", decay)
    for place in arms.neurons(exact):  # chunks forced: at this length replay would choose the loop itself
        assert place.layer.solver == Replay()
        object.__setattr__(place.layer, "solver", Replay(chunk=16, warmup=8))
    trains = []
    for network in (exact, looped):
        seen = []
        for place in arms.neurons(network):
            place.register_forward_hook(lambda m, a, out, seen=seen: seen.append(out.detach()))
        network(made()).square().sum().backward()
        trains.append(seen)
    assert all(torch.equal(a, b) and a.any() for a, b in zip(*trains))
    largest = max(p.grad.abs().max().item() for p in looped.parameters())
    for a, b in zip(exact.parameters(), looped.parameters()):
        assert (a.grad - b.grad).abs().max() <= GRADIENT_TOLERANCE * max(1.0, largest)


@pytest.mark.skipif(
    not arms.installed("spikingjelly"), reason="spikingjelly is not installed: no rival to compare with"
)
def test_the_rival_computes_the_same_neuron():
    theirs, ours = stack("spikingjelly"), stack("lif-loop")
    x = made()
    a, b = theirs(x), ours(x)
    a.square().sum().backward()
    b.square().sum().backward()
    assert torch.allclose(a, b, atol=1e-5)
    pairs = zip(theirs.parameters(), ours.parameters())
    assert all(torch.allclose(p.grad, q.grad, atol=1e-4, rtol=1e-4) for p, q in pairs)
    theirs(x)  # memory starts at zero again
    assert torch.equal(theirs(x), theirs(x))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_published_layer_is_the_library_s_fixed_point(k):
    slopes = published_slopes(k)
    assert len(slopes) == k and slopes[-1] == 12 and (k != 3 or slopes == (1, 3, 12))
    x, y = (made(20).requires_grad_() for _ in range(2))
    back = tuple(max(1.0, a / 3) for a in slopes)
    layer = FPTLayer(0.5, slopes, sample=False)
    other = solve(lif(0.5), y, FixedPoint(k, slopes, product="dense"), adjoint=Unrolled(back)).spikes
    found = layer(x)
    assert torch.allclose(found, other, atol=1e-6)
    (found * made(20, seed=1)).sum().backward()
    (other * made(20, seed=1)).sum().backward()
    assert (x.grad - y.grad).abs().max() <= GRADIENT_TOLERANCE * max(1.0, y.grad.abs().max().item())


def test_the_published_layer_draws_in_evaluation_too_and_from_its_generator():
    layer = FPTLayer(0.5, published_slopes(3)).eval()
    draws = []
    for seed in (0, 0, 1):
        layer.generator = torch.Generator().manual_seed(seed)
        draws.append(layer(made()))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert set(draws[0].unique().tolist()) == {0.0, 1.0}


# ------------------------------------------------------------------------------------------------ deployment


@pytest.mark.parametrize("arm", ["fpt", "fpt-graded", "fpt-hard", "lif-exact"])
@pytest.mark.parametrize("decay", [0.5, "learned"])
def test_deployment_changes_neurons_and_nothing_else(arm, decay):
    network = stack(arm, decay).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    deployed = arms.as_sequential_lif(network)
    kept = deployed.state_dict()
    assert set(kept) == {name for name in before if "layer.raw" not in name}
    assert all(torch.equal(kept[name], before[name]) for name in kept)
    assert [type(a) for a in deployed.modules() if isinstance(a, torch.nn.Linear)] == [torch.nn.Linear] * 3
    for place, old in zip(arms.neurons(deployed), arms.neurons(network)):
        assert isinstance(place.layer, SpikingLayer) and place.layer.solver == Sequential()
        assert arms.decay_of(place.layer) == pytest.approx(arms.decay_of(old.layer)) == pytest.approx(0.5)
        assert not isinstance(old.layer, SpikingLayer) or old.layer is not place.layer
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)


def test_mismatch_is_zero_for_the_lif_and_falls_with_k():
    x = made(seed=2)
    assert arms.spike_mismatch(stack("lif-exact").eval(), x) == ([0.0, 0.0], [0.0, 0.0])
    shares = [arms.spike_mismatch(stack("fpt-hard", 0.9, k).eval(), x)[0][0] for k in (1, 5, 64)]
    assert shares[0] > shares[1] > shares[2] == 0


def test_a_neuron_that_is_no_lif_is_not_deployed_as_one():
    with pytest.raises(ValueError, match="PSN is not meant as a LIF"):
        arms.as_sequential_lif(stack("psn"))


# ------------------------------------------------------------------------------------------------ training


def train_small(run, out, task, **more):
    return train.train(run, out, task=task, talk=lambda text: None, **more)


@pytest.mark.parametrize("arm, k", [("lif-loop", None), ("fpt", 2)])
def test_two_and_two_epochs_are_four_bit_for_bit(tmp_path, digits, arm, k):
    run = replace(SMALL, arm=arm, k=k)
    task = replace(digits, augment=None)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    first = train_small(run, whole, task)
    assert train_small(run, cut, task, pause=2) is None
    assert not (cut / f"{run.name}.json").exists()
    second = train_small(run, cut, task)
    kept = [torch.load(folder / f"{run.name}.pt", weights_only=True) for folder in (whole, cut)]
    for name, value in kept[0]["network"].items():
        assert torch.equal(value, kept[1]["network"][name]), name
    curve = lambda made: [(row["loss"], row["val"]) for row in made["curve"]]
    assert curve(first) == curve(second)
    assert first["test"] == second["test"] and first["epochs"] == second["epochs"] == 4


def test_a_checkpoint_of_other_settings_is_refused(tmp_path, digits):
    train_small(SMALL, tmp_path, digits, pause=1)
    changed = replace(SMALL, train=SMALL.train | {"rate": 1e-3})
    with pytest.raises(ValueError, match="made with other settings"):
        train_small(changed, tmp_path, digits)


def test_a_run_leaves_a_record_a_log_and_looks_at_the_test_part_at_the_end_only(tmp_path, digits, monkeypatch):
    run = replace(SMALL, arm="fpt", k=3, train=SMALL.train | {"epochs": 2, "targets": [0.01, 2.0]})
    looks = []
    honest = train.accuracy
    monkeypatch.setattr(
        train, "accuracy", lambda n, task, part, p: looks.append(part is task.test) or honest(n, task, part, p)
    )
    found = train_small(run, tmp_path, digits)
    assert looks == [False] * 2 + [True] * 3  # as trained, deployed, without the draw
    file = json.loads((tmp_path / f"{run.name}.json").read_text())
    assert file["records"] == [found] and set(record.ACCURACY) <= set(found)
    assert set(file["header"]) == {*record.HEADER, "shared"}
    assert found["test_as_sequential_lif"] is not None and 0 < found["spike_mismatch"] < 1
    assert set(found["time_to"]) == {"0.01"} and found["peak_bytes"] is None and found["step_ms"] > 0
    with (tmp_path / f"{run.name}.csv").open() as log:
        assert len(list(csv.DictReader(log))) == 2
    assert train_small(run, tmp_path, digits) is None  # finished: skipped
    assert len(looks) == 5


def test_training_stops_early_and_keeps_the_best_weights(digits):
    run = replace(SMALL, train=SMALL.train | {"epochs": 50, "patience": 2})
    plan = loop.Plan(**run.train)
    learner = train.Classifier(run, digits, plan, "cpu", loop.Workers())
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    weights = []
    learner.score = lambda: weights.append(next(learner.network.parameters()).detach().clone()) or next(scores)
    state = loop.fit(learner, plan, None, "", talk=lambda text: None)
    assert state.epoch == 4 and state.best == 0.5 and state.best_epoch == 1
    assert torch.equal(next(learner.network.parameters()), weights[1])


@pytest.mark.parametrize(("talk", "hidden"), [(print, None), (lambda text: None, True)])
def test_a_bar_shows_each_epoch_where_somebody_looks(monkeypatch, digits, talk, hidden):
    """One bar an epoch over its batches; tqdm decides by the terminal (None), and is told to hide for a run that is silent."""
    bars = []

    def bar(batches, text, **options):
        bars.append((text.strip(), len(batches), options["disable"]))
        return batches

    monkeypatch.setattr(loop, "tqdm", bar)
    plan = loop.Plan(epochs=2, batch=100)
    learner = train.Classifier(SMALL, digits, plan, "cpu", loop.Workers())
    loop.fit(learner, plan, None, "", talk=talk)
    assert bars == [(f"epoch {n}/2", 2, hidden) for n in (1, 2)]


def test_a_diverged_run_says_so(tmp_path, digits):
    run = replace(SMALL, train=SMALL.train | {"optimiser": "sgd", "rate": 1e38})
    found = train_small(run, tmp_path, digits)
    assert found["diverged"] and found["test"] is None and found["val"] is None


def test_the_masked_psn_is_judged_with_its_mask_closed(digits):
    run = replace(SMALL, arm="psn-masked", decay=None, options={"order": 4})
    learner = train.Classifier(run, digits, loop.Plan(**run.train), "cpu", loop.Workers())
    learner.progress(0.0)
    layer = arms.neurons(learner.network)[0].layer
    assert layer.blend == 0
    learner.score()
    assert layer.blend == 1


def test_two_processes_train_what_one_does(tmp_path, monkeypatch):
    """The command of the README as torchrun would start it twice: this process is the first, a child the second.

    Plain batches without batch norm, so that the two halves of a batch sum to the whole.
    """
    settings = {"task": {"name": "rows-digits", "limit": 96}, "network": {"name": "stack", "width": 8, "norm": False}}
    settings["train"] = {"epochs": 1, "batch": 32, "optimiser": "sgd", "rate": 0.5}
    settings["grid"] = {"arm": ["lif-loop"], "decay": [0.5], "k": [3], "seed": [0]}
    as_toml = lambda value: str(value).lower() if isinstance(value, bool) else json.dumps(value)
    text = [
        f"[{name}]\n" + "".join(f"{k} = {as_toml(v)}\n" for k, v in table.items()) for name, table in settings.items()
    ]
    (tmp_path / "tiny.toml").write_text("".join(text))
    run = config.expand(config.read(tmp_path / "tiny.toml"))[0]
    train.train(run, tmp_path / "one", talk=lambda text: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["experiments.train", str(tmp_path / "tiny.toml"), "--device", "cpu", "--out", str(tmp_path / "two")]
    shared = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    second = os.environ | shared | {"RANK": "1", "LOCAL_RANK": "1"}
    child = subprocess.Popen([sys.executable, "-m", *words], env=second, cwd=ROOT)
    for name, value in (shared | {"RANK": "0", "LOCAL_RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", words)
    train.main()
    assert child.wait(timeout=60) == 0
    kept = [torch.load(tmp_path / name / f"{run.name}.pt", weights_only=True)["network"] for name in ("one", "two")]
    assert all(torch.allclose(kept[0][name], kept[1][name], atol=1e-5) for name in kept[0])
    assert len(list((tmp_path / "two").glob("*.json"))) == 1


# ------------------------------------------------------------------------------------------------ records


def complete(**more):
    return dict.fromkeys(record.ACCURACY, 0) | more


def test_records_are_merged_once_each_with_their_headers(tmp_path):
    head = record.header("python -m one")
    for seed in (1, 0):
        record.write(tmp_path / f"{seed}.json", [complete(seed=seed)], head=head | {"date": f"day {seed}"})
    found = record.merge([tmp_path / "1.json", tmp_path / "0.json"], tmp_path / "all.json", "python -m merge")
    file = json.loads((tmp_path / "all.json").read_text())
    assert [r["seed"] for r in file["records"]] == [0, 1] and len(found) == 2
    assert file["header"]["date"] == "day 0 to day 1" and file["header"]["device"] == head["device"]
    assert [file["header"]["runs"][r["run"]]["date"] for r in file["records"]] == ["day 0", "day 1"]
    with pytest.raises(ValueError, match="both hold"):
        record.merge([tmp_path / "0.json", tmp_path / "all.json"], tmp_path / "again.json")


def test_a_record_has_all_fields_and_finite_numbers(tmp_path):
    with pytest.raises(ValueError, match="test_as_sequential_lif"):
        record.write(tmp_path / "a.json", [{"task": "x"}])
    with pytest.raises(ValueError, match="val not finite"):
        record.write(tmp_path / "a.json", [complete(val=float("nan"))])


@pytest.mark.parametrize("folder", ["experiments", "experiments/forecast"])
def test_files_stay_short(folder):
    for path in (ROOT / folder).glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 320, f"{path.name} is too long; split it"
