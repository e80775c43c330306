"""Which implementation computes a scan, and in which precision.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

from jamba_rl.kernels.library import kernels, kernels_apply, needs_grad
from jamba_rl.kernels.scan import ScanInputs, kernel_scan
from jamba_rl.nn.scan.check import check_choice
from jamba_rl.nn.scan.cuda import cuda_applies, cuda_scan
from jamba_rl.nn.scan.linear import linear_scan
from jamba_rl.nn.scan.reference import reference_scan, reference_step

BACKENDS = ("auto", "reference", "torch", "cpu")


def run_scan(inputs: ScanInputs, backend: str) -> tuple[Tensor, Tensor]:
    """Return y, in the type of x, and the final state, in the type computed in: float64 if x is, else float32.

    Raises:
        ValueError: the backend is unknown, or ``"cpu"`` and x is float64 or elsewhere.
        RuntimeError: the backend is ``"cpu"`` and there is no kernel.
    """
    if (
        torch.compiler.is_dynamo_compiling()
    ):  # neither a kernel can be traced nor, in reasonable time, a loop over steps
        return torch.compiler.disable(run_scan)(inputs, backend)
    if backend == "auto":
        with_kernel = kernels_apply(inputs.x_BTE)
    else:
        check_choice("backend", backend, BACKENDS)
        with_kernel = backend == "cpu"
        if with_kernel:
            _check_kernel(inputs.x_BTE)
    dtype = inputs.x_BTE.dtype
    if dtype is torch.float32:
        return _run(_single(inputs), with_kernel, backend)
    if dtype is torch.float64:
        return _run(inputs, with_kernel, backend)
    y, state = _run(_single(inputs), with_kernel, backend)
    return y.to(dtype), state


def torch_scan(inputs: ScanInputs, backend: str = "torch") -> tuple[Tensor, Tensor]:
    """Return what the kernel computes, from torch operations: any device, any type, forward and backward."""
    x, dt, A_EN, B, C, D_E, z, dt_bias_E, state_BEN, reset, with_softplus, log_A = inputs
    if log_A:
        A_EN = -torch.exp(A_EN)
    if dt_bias_E is not None:
        dt = dt + dt_bias_E
    if with_softplus:
        dt = softplus(dt)
    if x.dim() == 2:
        assert state_BEN is not None  # a step always has one
        y, state_BEN = reference_step(x, dt, A_EN, B, C, D_E, state_BEN, reset)
    else:
        scan = reference_scan if backend == "reference" else linear_scan
        y, state_BEN = scan(x, dt, A_EN, B, C, D_E, reset, state_BEN)
    return (y if z is None else y * silu(z)), state_BEN


def _run(inputs: ScanInputs, with_kernel: bool, backend: str) -> tuple[Tensor, Tensor]:
    # One step within a graph is too small for the kernel's gradient to pay; and rollouts have no graph.
    if with_kernel and (inputs.x_BTE.dim() == 3 or not needs_grad(inputs[:9])):
        return kernel_scan(inputs)
    device = inputs.x_BTE.device.type
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):  # the state stays in float32
            return _run(inputs, with_kernel, backend)
    if backend == "auto" and cuda_applies(inputs):
        return cuda_scan(inputs)
    return torch_scan(inputs, backend)


def _single(inputs: ScanInputs) -> ScanInputs:
    """Return the inputs in float32, where the state belongs whatever the type of the layers around."""
    for tensor in inputs[:9]:
        if tensor is not None and tensor.dtype is not torch.float32:
            break
    else:
        return inputs
    return ScanInputs._make([*[None if tensor is None else tensor.float() for tensor in inputs[:9]], *inputs[9:]])


def _check_kernel(x: Tensor) -> None:
    if x.device.type != "cpu" or x.dtype is torch.float64:
        raise ValueError(f"backend 'cpu' computes in float32 on the CPU, got {x.dtype} on {x.device}")
    kernels()
