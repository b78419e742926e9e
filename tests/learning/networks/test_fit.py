import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medeor.contracts import Run, Stopped, UserError
from medeor.learning.networks.fit import fit_network
from medeor.learning.networks.schedule import Schedule


@dataclass(frozen=True)
class Pair:
    inputs: Tensor
    truth: Tensor

    def shard(self, rank, world):
        return Pair(self.inputs[rank::world], self.truth[rank::world])

    def to(self, device):
        return self


@dataclass(frozen=True)
class Toy:
    """A linear problem with a known solution; each batch is drawn from its own place in the stream."""

    seed: int = 0

    def __len__(self):
        return 5

    def batch(self, epoch, index):
        draw = torch.Generator().manual_seed(self.seed * 10_000 + epoch * 100 + index)
        x = torch.randn(17, 1, 6, 6, generator=draw)
        return Pair(x, x[:, 0, 2, 3] - 2 * x[:, 0, 1, 1])


def network(norm=True) -> nn.Module:
    torch.manual_seed(1)
    layers = [
        nn.Conv2d(1, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(288, 1),
    ]
    return nn.Sequential(*(layers if norm else [nn.Flatten(), nn.Linear(36, 1)]))


def loss(outputs, batch):
    each = (outputs[:, 0] - batch.truth) ** 2
    return each.sum(), torch.tensor(float(len(each)))


SCHEDULE = Schedule(epochs=8, learning_rate=0.05, checkpoint=3)


def held_out(fitted: nn.Module) -> dict[str, float]:
    """The loss on a batch that no epoch draws."""
    batch = Toy(7).batch(0, 0)
    with torch.inference_mode():
        total, weight = loss(fitted(batch.inputs), batch)
    return {"loss": float(total / weight)}


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(fitted: nn.Module) -> list[Tensor]:
    return [value.clone() for value in fitted.state_dict().values()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_known_solution_is_found(tmp_path):
    schedule = replace(SCHEDULE, epochs=150, weight_decay=0.0)
    fitted = fit_network(network(norm=False), Toy(), loss, schedule, Run(tmp_path))
    found = fitted[1].weight.view(6, 6)
    assert float(found[2, 3].detach()) == pytest.approx(1, abs=0.05)
    assert float(found[1, 1].detach()) == pytest.approx(-2, abs=0.05)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    first = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "a")))
    second = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "b")))
    assert same(first, second)


@pytest.mark.parametrize("stop", [1, 4, 22, 39])
@pytest.mark.parametrize(("optimiser", "traced"), [("adamw", True), ("sgd", False)])
def test_a_fit_that_was_stopped_ends_in_the_same_bits_and_the_same_log(tmp_path, stop, optimiser, traced):
    schedule = replace(SCHEDULE, optimiser=optimiser)

    def fit(name, **run):
        measured = held_out if traced else None
        run = Run(tmp_path / name, **run)
        return weights(fit_network(network(), Toy(), loss, schedule, run, held_out=measured))

    whole = fit("whole")
    calls = iter(range(1000))
    with pytest.raises(Stopped):
        fit("cut", stopping=lambda: next(calls) == stop - 1)
    assert same(whole, fit("cut"))
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert len(logs[0]) == 8
    assert logs[0] == logs[1]


def test_the_log_says_of_each_epoch_its_step_rate_and_losses(tmp_path):
    heard = []

    class Ears:
        def on_epoch(self, folder, record):
            heard.append((folder, dict(record)))

    schedule = replace(SCHEDULE, epochs=20)
    fit_network(network(), Toy(), loss, schedule, Run(tmp_path, loggers=(Ears(),)), held_out=held_out)
    lines = log(tmp_path)
    assert [line["epoch"] for line in lines] == list(range(1, 21))
    assert [line["step"] for line in lines] == list(range(5, 101, 5))
    assert [line["learning_rate"] for line in lines] == [schedule.rate(step, 100) for step in range(4, 100, 5)]
    assert [line["epoch"] for line in lines if line["held_out_loss"] is not None] == [8, 16, 20]
    assert lines[-1]["held_out_loss"] < lines[7]["held_out_loss"]
    assert heard == [(tmp_path, line) for line in lines]


def test_a_long_fit_is_measured_four_times_and_a_patient_one_always():
    long, patient = Schedule(epochs=80), Schedule(epochs=80, patience=3)
    assert [epoch + 1 for epoch in range(80) if long.measures(epoch)] == [20, 40, 60, 80]
    assert all(patient.measures(epoch) for epoch in range(80))


def test_the_last_held_out_loss_is_that_of_the_weights_that_are_kept(tmp_path):
    fitted = fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path), held_out=held_out)
    assert log(tmp_path)[-1]["held_out_loss"] == pytest.approx(held_out(fitted)["loss"], abs=1e-6)


def test_measuring_changes_nothing(tmp_path):
    def draws(fitted):
        torch.randn(1000)
        return held_out(fitted)

    plain = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "a")))
    assert same(plain, weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "b"), held_out=draws)))


class Told:
    """Held-out losses as they are written here, and the weights of which each was asked."""

    def __init__(self, *losses: float) -> None:
        self.losses = dict(enumerate(losses))
        self.seen: list[list[Tensor]] = []

    def __call__(self, fitted: nn.Module) -> dict[str, float]:
        self.seen.append(weights(fitted))
        return {"loss": self.losses[len(self.seen) - 1]}


@pytest.mark.parametrize("averaging", [0.9, 0.0])
@pytest.mark.parametrize("stop", [None, 12, 16, 26])
def test_a_fit_out_of_patience_keeps_the_best_epoch_also_after_a_stop(tmp_path, stop, averaging):
    """The third epoch is the best, and three more are not better: the sixth is the last."""
    schedule = replace(SCHEDULE, patience=3, averaging=averaging)
    losses = (5.0, 3.0, 2.0, 4.0, 2.0, 2.5, 1.0, 1.0)
    told, calls = Told(*losses), iter(range(1000))
    if stop is not None:
        with pytest.raises(Stopped):
            run = Run(tmp_path, stopping=lambda: next(calls) == stop - 1)
            fit_network(network(), Toy(), loss, schedule, run, held_out=told)
    fitted = fit_network(network(), Toy(), loss, schedule, Run(tmp_path), held_out=told)
    assert same(weights(fitted), told.seen[2])
    assert [line["held_out_loss"] for line in log(tmp_path)] == [5.0, 3.0, 2.0, 4.0, 2.0, 2.5]
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_with_patience_enough_the_best_epoch_is_kept_at_the_end(tmp_path):
    told = Told(5.0, 3.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0)
    fitted = fit_network(network(), Toy(), loss, replace(SCHEDULE, patience=8), Run(tmp_path), held_out=told)
    assert len(log(tmp_path)) == 8
    assert same(weights(fitted), told.seen[2])


def test_without_a_held_out_part_patience_fits_every_epoch(tmp_path):
    patient = weights(fit_network(network(), Toy(), loss, replace(SCHEDULE, patience=1), Run(tmp_path / "a")))
    assert same(patient, weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "b"))))


def test_a_killed_fit_resumes_from_its_last_checkpoint(tmp_path):
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_fit as t; "
        "calls = iter(range(1000)); "
        "die = lambda: os._exit(9) if next(calls) == 16 else False; "
        "t.fit_network(t.network(), t.Toy(), t.loss, t.SCHEDULE, t.Run(Path(sys.argv[2]), stopping=die))"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "cut")])
    assert ended.returncode == 9
    assert (tmp_path / "cut" / "checkpoint.safetensors").exists()
    torch_threads = torch.get_num_threads()
    whole = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "whole")))
    resumed = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "cut")))
    assert torch.get_num_threads() == torch_threads
    assert same(whole, resumed)


def _bit(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


DAMAGE = {
    "one bit": _bit,
    "cut": lambda content: content[:-100],
    "empty": lambda content: b"",
    "no checkpoint": lambda content: b"\x02" + bytes(7) + b"{}",
    "another step": lambda content: content.replace(b'"step":"', b'"step":"1', 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_not_taken_up_and_the_user_hears_of_it(damage, tmp_path, capsys):
    whole = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "whole")))
    calls = iter(range(1000))
    with pytest.raises(Stopped):
        fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "cut", stopping=lambda: next(calls) == 20))
    path = tmp_path / "cut" / "checkpoint.safetensors"
    changed = DAMAGE[damage](path.read_bytes())
    if damage == "another step":  # the header is one byte longer then
        changed = (int.from_bytes(changed[:8], "little") + 1).to_bytes(8, "little") + changed[8:]
    path.write_bytes(changed)
    capsys.readouterr()
    resumed = weights(fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path / "cut")))
    assert same(whole, resumed)
    (said,) = capsys.readouterr().err.splitlines()
    assert "checkpoint.safetensors" in said
    assert "begins anew" in said


def test_a_checkpoint_of_another_schedule_is_told_of(tmp_path, capsys):
    calls = iter(range(1000))
    with pytest.raises(Stopped):
        fit_network(network(), Toy(), loss, SCHEDULE, Run(tmp_path, stopping=lambda: next(calls) == 20))
    fit_network(network(), Toy(), loss, replace(SCHEDULE, epochs=2), Run(tmp_path))
    assert "another network or schedule" in capsys.readouterr().err


def test_a_first_fit_says_nothing_of_checkpoints(tmp_path, capsys):
    fit_network(network(), Toy(), loss, replace(SCHEDULE, epochs=2), Run(tmp_path))
    assert not capsys.readouterr().err


def test_two_processes_fit_as_one(tmp_path):
    """Gradients summed over two shards of unequal size equal those of the whole batch (group normalisation)."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import torch, os, test_fit as t\n"
        "run = t.Run(Path(sys.argv[2]))\n"
        "net = t.fit_network(t.still(), t.Toy(), t.loss, t.STEADY, run, held_out=t.held_out)\n"
        "if os.environ['RANK'] == '0': torch.save(t.weights(net), sys.argv[2] + '/weights.pt')\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run(
        [*command, str(program), str(Path(__file__).parent), str(tmp_path)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    two = torch.load(tmp_path / "weights.pt", weights_only=True)
    one = weights(fit_network(still(), Toy(), loss, STEADY, Run(tmp_path / "one"), held_out=held_out))
    for ours, theirs in zip(log(tmp_path / "one"), log(tmp_path), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


STEADY = Schedule(epochs=2, learning_rate=0.05, optimiser="sgd", patience=1)


def still() -> nn.Module:
    """The network without dropout, which draws anew in each process."""
    made = network()
    made[3] = nn.Identity()
    return made


def test_a_diverging_fit_is_said(tmp_path):
    schedule = replace(SCHEDULE, learning_rate=1e30, optimiser="sgd", clip=0.0)
    with pytest.raises(UserError, match="diverged"):
        fit_network(network(norm=False), Toy(), loss, schedule, Run(tmp_path))


def test_the_rate_warms_up_and_falls_to_zero():
    schedule = Schedule(learning_rate=1.0, warmup=0.1)
    rates = [schedule.rate(step, 100) for step in range(100)]
    assert rates[9] == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001
