"""One training loop for any module with `.loss(batch, generator) -> (B,)`, and the checkpoints that
it leaves.
"""
