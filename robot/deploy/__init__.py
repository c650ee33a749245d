"""An agent on an arm in real time: the loop, what plans beside it, and what records and shows it."""
