"""SAC with a memory: replay of sequences, actor and critics, the update."""
