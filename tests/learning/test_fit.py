import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medeor.contracts import Run, Stopped, UserError
from medeor.learning.fit import fit_network
from medeor.learning.schedule import Schedule


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
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_fit_that_was_stopped_ends_in_the_same_bits(tmp_path, stop, optimiser):
    schedule = replace(SCHEDULE, optimiser=optimiser)
    whole = weights(fit_network(network(), Toy(), loss, schedule, Run(tmp_path / "whole")))
    calls = iter(range(1000))
    with pytest.raises(Stopped):
        fit_network(network(), Toy(), loss, schedule, Run(tmp_path / "cut", stopping=lambda: next(calls) == stop - 1))
    resumed = weights(fit_network(network(), Toy(), loss, schedule, Run(tmp_path / "cut")))
    assert same(whole, resumed)
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert len(logs[0]) == 8
    assert logs[0] == logs[1]


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


def test_two_processes_fit_as_one(tmp_path):
    """Gradients summed over two shards of unequal size equal those of the whole batch (group normalisation)."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import torch, os, test_fit as t\n"
        "net = t.fit_network(t.still(), t.Toy(), t.loss, t.STEADY, t.Run(Path(sys.argv[2])))\n"
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
    one = weights(fit_network(still(), Toy(), loss, STEADY, Run(tmp_path / "one")))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


STEADY = Schedule(epochs=2, learning_rate=0.05, optimiser="sgd")


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
