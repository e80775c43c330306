"""The classical memories, LSTM and GRU, behind the mixer's interface."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State, keep


class Recurrent(Mixer):
    """An LSTM or GRU of ``d_hidden`` units and a projection back to the residual stream.

    torch's fused cells know no resets, so a sequence is cut at the steps where any row begins an
    episode; between two cuts all rows run in one call.

    The state is (h (B, S), c (B, S)) for the LSTM, (h (B, S),) for the GRU.
    """

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], config: JambaConfig) -> None:
        super().__init__()
        self.rnn = cell(config.d_model, config.d_hidden, batch_first=True)
        self.out_proj = nn.Linear(config.d_hidden, config.d_model, bias=False)

    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        state = self.initial_state(len(x)) if state is None else state
        cuts = [0] if reset is None else sorted({0, *reset.any(0).nonzero().flatten().tolist()})
        pieces = []
        for start, end in zip(cuts, [*cuts[1:], x.shape[1]], strict=True):
            if reset is not None:
                row = reset[:, start]
                state = tuple(keep(s, row) for s in state)
            y, state = self._run(x[:, start:end], state)
            pieces.append(y)
        return self.out_proj(torch.cat(pieces, 1)), state

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        # a call for sequences rearranges the weights first, which takes longer than the step itself
        kept, weights = tuple(keep(s, reset) for s in state), self.rnn.all_weights[0]
        if isinstance(self.rnn, nn.LSTM):
            state = torch.lstm_cell(x, kept, *weights)
        else:
            state = (torch.gru_cell(x, kept[0], *weights),)
        return self.out_proj(state[0]), state

    def initial_state(self, batch: int) -> State:  # noqa: D102
        parts = 2 if isinstance(self.rnn, nn.LSTM) else 1
        return tuple(self.out_proj.weight.new_zeros(batch, self.rnn.hidden_size) for _ in range(parts))

    def _run(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        if isinstance(self.rnn, nn.LSTM):
            y, (h, c) = self.rnn(x_BTD, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
            return y, (h.squeeze(0), c.squeeze(0))
        y, h = self.rnn(x_BTD, state[0].unsqueeze(0))
        return y, (h.squeeze(0),)
