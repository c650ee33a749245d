"""An agent at work on an arm: the policy server here, the loop beside it."""
