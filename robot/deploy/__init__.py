"""An agent on an arm in real time: the loop, what plans beside it, what records and shows it; and
the policy server.
"""
