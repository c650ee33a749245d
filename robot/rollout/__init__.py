"""Episodes: experts and agents in envs, and what is recorded of them."""
