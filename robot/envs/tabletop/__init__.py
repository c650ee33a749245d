"""The tabletop family: named objects on a table, `pick` and `place` goals, and the conditions that
break policies.
"""
