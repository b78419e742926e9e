"""The fit loop: one network, one schedule, resumable to the same bits, in one process or many."""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from medeor.console import aside
from medeor.contracts import Batch, Batches, Join, Message, Run, Stopped, Text, UserError
from medeor.files import digest, explained, replacing, write_text
from medeor.learning.networks.devices import channels_last
from medeor.learning.networks.schedule import Schedule

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Loss = Callable[[Tensor, Batch], tuple[Tensor, Tensor]]
HeldOutFigures = Callable[[nn.Module], Mapping[str, float]]
"""Figures of a network on cases that it is not fitted to, by name: `loss`, and what else is worth a curve."""


def fabric_for(schedule: Schedule, processes: int | None = None) -> Fabric:
    """One device, or as many processes as `torchrun` started."""
    # Imported here, as it takes longer than answers do and is needed for a fit alone.
    from lightning_fabric import Fabric

    # Fabric logs its precision at every setup; the plan states it once.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = world_size() if processes is None else processes
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if processes > 1 else 1
    fabric = Fabric(
        devices=devices,
        num_nodes=processes // devices if processes > 1 else 1,
        strategy="ddp" if processes > 1 else "auto",
        precision="bf16-mixed" if schedule.precision == "bf16" else "32-true",
    )
    if processes > 1:
        fabric.launch()
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Ends the connection to other processes before the interpreter goes, which threads of Gloo would abort."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def fit_network(
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    schedule: Schedule,
    run: Run,
    fabric: Fabric | None = None,
    held_out: HeldOutFigures | None = None,
) -> nn.Module:
    """Fits `network` and returns it with its averaged weights, in evaluation mode, on the device where it was fitted.

    With several processes each takes its shard of every batch and gradients are those of the whole batch: sums are
    divided by the weight of all shards together. (Batch normalisation still sees its own shard only; group
    normalisation makes the two equal.) Convolution weights are kept channels-last.

    `log.jsonl` in the run's folder has a line an epoch (see `Logger`), with the figures of `held_out` for the averaged
    weights at the epochs of `Schedule.measures`. Where the schedule has patience, the fit ends when that loss has not
    fallen for so many epochs, and the weights with the lowest one are returned.

    Raises: Stopped after saving, when the run was asked to stop; UserError when the loss is no longer finite."""
    with _deterministic():
        return _fit(fabric or fabric_for(schedule), network, batches, loss, schedule, run, held_out)


def _fit(
    fabric: Fabric,
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    schedule: Schedule,
    run: Run,
    held_out: HeldOutFigures | None,
) -> nn.Module:
    network = channels_last(network).to(fabric.device)
    optimiser = _optimiser(network, schedule)
    state = State(network, optimiser, schedule)
    done = state.load(run.folder / "checkpoint.safetensors", aside if fabric.is_global_zero else lambda message: None)
    if not fabric.is_global_zero:
        state.heard.zero_()  # A checkpoint holds what all processes heard.
    wrapped, wrapped_optimiser = fabric.setup(network, optimiser)
    wrapped.train()
    length = len(batches)
    steps = length * schedule.epochs
    if fabric.is_global_zero:
        log = _Log(run.folder / "log.jsonl", done)
    for step in range(done, steps):
        epoch, index = divmod(step, length)
        _seed(_step_seed(run.seed, step, fabric.global_rank))
        batch = batches.batch(epoch, index).shard(fabric.global_rank, fabric.world_size).to(fabric.device)
        for group in wrapped_optimiser.param_groups:
            group["lr"] = schedule.rate(step, steps)
        total, weight = loss(wrapped(batch.inputs), batch)
        whole = _summed(weight.detach(), fabric)
        fabric.backward(total * fabric.world_size / whole)
        if schedule.clip:
            fabric.clip_gradients(wrapped, wrapped_optimiser, max_norm=schedule.clip, error_if_nonfinite=False)
        wrapped_optimiser.step()
        wrapped_optimiser.zero_grad(set_to_none=True)
        state.average(step)
        state.heard += torch.stack((total.detach(), weight.detach()))
        last = index == length - 1
        if last:
            heard = _summed(state.heard, fabric)
            mean = float(heard[0] / heard[1])
            state.heard.zero_()
            if run.join is not None:
                state.join(run.join, float(heard[1]), fabric)
            if not mean < float("inf"):
                raise UserError("learning.fit.diverged", epoch=epoch + 1, loss=mean, rate=schedule.learning_rate / 10)
            record: dict[str, float | None] = {"step": step + 1, "epoch": epoch + 1, "loss": round(mean, 6)}
            record["learning_rate"] = group["lr"]
            if held_out is not None:
                figures = state.measure(held_out, epoch, fabric) if schedule.measures(epoch) else {"loss": None}
                record |= {f"held_out_{name}": value for name, value in figures.items()}
            if fabric.is_global_zero:
                log.add(record)
                for logger in run.loggers:
                    logger.on_epoch(run.folder, record)
        # After its last step a fit is done sooner than it is saved and taken up again.
        ended = step + 1 == steps or (last and state.out_of_patience(epoch))
        stopping = _anyone(run.stopping(), fabric) and not ended
        if (stopping or (step + 1) % schedule.checkpoint == 0) and not ended:
            heard = _summed(state.heard, fabric)
            if fabric.is_global_zero:
                state.save(run.folder / "checkpoint.safetensors", step + 1, heard)
        if stopping:
            raise Stopped
        if last and fabric.is_global_zero:
            done = schedule.epochs if ended else epoch + 1
            run.progress(label(run), done, schedule.epochs, str(Message("learning.fit.loss", loss=mean)))
        if ended:
            break
    state.finish()
    (run.folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return network.eval()


def label(run: Run) -> str:
    """What the progress line calls a fit."""
    return str(Message("learning.fit.progress", name=run.folder.name))


class State:
    """The weights, their moving average and the optimiser's memory: all that a resumed fit needs."""

    def __init__(self, network: nn.Module, optimiser: torch.optim.Optimizer, schedule: Schedule) -> None:
        self.network, self.optimiser, self.schedule = network, optimiser, schedule
        self.live = [value for value in network.state_dict().values() if value.is_floating_point()]
        self.mean = [value.detach().clone() for value in self.live]
        self.heard = torch.zeros(2, device=self.live[0].device if self.live else None)
        """Loss and weight of the epoch so far."""
        self.best: list[Tensor] = []
        """The averaged weights with the lowest held-out loss, where the schedule has patience."""
        self.lowest, self.lowest_epoch = math.inf, -1

    def average(self, step: int) -> None:
        """One step of the moving average, warmed up so that the first weights are soon forgotten."""
        if not self.schedule.averaging:
            return
        decay = min(self.schedule.averaging, (step + 1) / (step + 10))
        torch._foreach_lerp_(self.mean, self.live, 1 - decay)

    def join(self, join: Join, weight: float, fabric: Fabric) -> None:
        """The weights, and their average, of all sites in place of those of this one. The first process asks."""
        names = [name for name, value in self.network.state_dict().items() if value.is_floating_point()]
        own = {f"network.{name}": value for name, value in zip(names, self.live, strict=True)}
        own |= {f"mean.{name}": value for name, value in zip(names, self.mean, strict=True)}
        if fabric.is_global_zero:
            joined = join.weights({name: value.detach().clone() for name, value in own.items()}, weight)
        for name, value in own.items():
            value.copy_(_summed(joined[name] if fabric.is_global_zero else torch.zeros_like(value), fabric))

    def measure(self, held_out: HeldOutFigures, epoch: int, fabric: Fabric) -> dict[str, float | None]:
        """The figures of the weights as they would be kept now; those with the lowest loss are remembered where the
        schedule has patience. The first process measures, and all know the loss."""
        figures: dict[str, float] = {}
        lowest = torch.zeros(1, device=self.heard.device)
        if fabric.is_global_zero:
            live = [value.detach().clone() for value in self.live]
            if self.schedule.averaging:
                torch._foreach_copy_(self.live, self.mean)
            self.network.eval()
            figures = dict(held_out(self.network))
            self.network.train()
            torch._foreach_copy_(self.live, live)
            lowest += figures["loss"]
        loss = float(_summed(lowest, fabric))
        if self.schedule.patience and loss < self.lowest:
            self.lowest, self.lowest_epoch = loss, epoch
            self.best = [value.detach().clone() for value in (self.mean if self.schedule.averaging else self.live)]
        return {name: round(value, 6) if math.isfinite(value) else None for name, value in figures.items()}

    def out_of_patience(self, epoch: int) -> bool:
        """Whether the fit ends with this epoch, as the held-out loss has not fallen for long enough."""
        return bool(self.best) and epoch - self.lowest_epoch >= self.schedule.patience

    def finish(self) -> None:
        """The weights that are kept take the place of the last ones: the averaged, of the best epoch where there is
        one."""
        if self.best:
            torch._foreach_copy_(self.live, self.best)
        elif self.schedule.averaging:
            torch._foreach_copy_(self.live, self.mean)

    def _tensors(self, heard: Tensor) -> dict[str, Tensor]:
        named = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        named |= {f"mean.{i}": value for i, value in enumerate(self.mean)}
        named |= {f"best.{i}": value for i, value in enumerate(self.best)}
        named["heard"] = heard
        for i, memory in self.optimiser.state_dict()["state"].items():
            named |= {f"optimiser.{i}.{key}": value for key, value in memory.items() if isinstance(value, Tensor)}
        return named

    def key(self) -> str:
        """What a checkpoint must agree with to be resumed."""
        shapes = {name: list(value.shape) for name, value in self.network.state_dict().items()}
        return digest(json.dumps([repr(self.schedule), shapes]))

    def save(self, path: Path, step: int, heard: Tensor) -> None:
        """Writes a checkpoint; `heard` is loss and weight of the epoch so far, of all processes."""
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in self._tensors(heard).items()}
        facts = {"step": str(step), "key": self.key(), "lowest": repr(self.lowest), "epoch": str(self.lowest_epoch)}
        with replacing(path) as new:
            save_file(tensors, new, metadata={**facts, "digest": _digest(tensors, facts)})

    def load(self, path: Path, warn: Callable[[Text], object] = aside) -> int:
        """Takes up a checkpoint and returns the number of steps done; 0 when there is none for this fit. Warns of one
        that is damaged or belongs to another fit."""
        if not path.exists():
            return 0
        try:
            with safe_open(path, "pt") as file:
                facts = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, RuntimeError, ValueError):
            facts, tensors = {}, {}
        if facts.pop("digest", "") != _digest(tensors, facts):
            warn(Message("learning.fit.damaged", path=path))
            return 0
        if facts["key"] != self.key():
            warn(Message("learning.fit.another-fit", path=path))
            return 0
        own = self.network.state_dict()
        self.network.load_state_dict({name: tensors[f"network.{name}"] for name in own})
        self.mean = [_laid_out_as(value, tensors[f"mean.{i}"]) for i, value in enumerate(self.mean)]
        self.heard.copy_(tensors["heard"])
        self.lowest, self.lowest_epoch = float(facts["lowest"]), int(facts["epoch"])
        kept = self.mean if "best.0" in tensors else []
        self.best = [_laid_out_as(value, tensors[f"best.{i}"]) for i, value in enumerate(kept)]
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        memory: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                memory.setdefault(int(index), {})[key] = _laid_out_as(parameters[int(index)], value)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": memory})
        return int(facts["step"])


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """Of all that a checkpoint holds."""
    parts: list[str | bytes] = [json.dumps(dict(sorted(facts.items())))]
    for name, value in sorted(tensors.items()):
        parts.append(f"{name} {value.dtype} {list(value.shape)}")
        parts.append(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest(*parts)


def _laid_out_as(model: Tensor, value: Tensor) -> Tensor:
    """A tensor of the checkpoint with its numbers in memory as in `model`: the fused optimiser takes them one by one
    as they lie, so that a parameter and what is remembered of it must lie alike."""
    if value.shape != model.shape:
        return value
    return torch.empty_like(model, dtype=value.dtype).copy_(value)


def _optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)


def world_size() -> int:
    """Processes of the `torchrun` that this one belongs to; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_all() -> None:
    """Returns when every process of a `torchrun` has come here; at once when there is only one."""
    if world_size() > 1:
        fabric_for(Schedule()).barrier()


def stop_between_fits(run: Run) -> None:
    """Raises: Stopped when the run was asked to stop, unless several processes work on it together: those stop after
    the same step of the next fit."""
    if world_size() == 1 and run.stopping():
        raise Stopped


def _summed(values: Tensor, fabric: Fabric) -> Tensor:
    """The sum over all processes."""
    total = values.clone()
    if fabric.world_size > 1:
        torch.distributed.all_reduce(total)
    return total


def _anyone(asked: bool, fabric: Fabric) -> bool:
    """Whether any process was asked to stop, so that all stop after the same step."""
    return (
        bool(_summed(torch.tensor(float(asked), device=fabric.device), fabric) > 0) if fabric.world_size > 1 else asked
    )


def _seed(value: int) -> None:
    """As `torch.manual_seed`, which where an accelerator is missing queues a stack trace at every call."""
    torch.default_generator.manual_seed(value)
    if torch.accelerator.is_available():
        torch.get_device_module().manual_seed(value)


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Dropout and its like draw from a stream of their own in every step, so that a resumed fit draws the same."""
    return (seed * 0x9E3779B1 + step * 0x85EBCA6B + rank * 0xC2B2AE35) & 0x7FFFFFFF


@contextmanager
def _deterministic() -> Iterator[None]:
    deterministic: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # No layer reads memory before it writes it; filling every new tensor would cost a tenth of the time.
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        deterministic.fill_uninitialized_memory = before[1]


class _Log:
    """`log.jsonl`, one line an epoch; lines beyond the step that a resumed fit starts from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = []
        if step and path.exists():
            # A killed process may have left the last line without its end.
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            kept = [line.rstrip() for line in whole if json.loads(line)["step"] <= step]
        write_text(path, "".join(line + "\n" for line in kept))

    def add(self, line: Mapping[str, object]) -> None:
        with explained(self.path), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
