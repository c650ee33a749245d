"""Instructions, questions and masks that programs write from scene graphs, and what checks them."""
