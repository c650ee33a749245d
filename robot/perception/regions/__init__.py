"""Regions as instructions: boxes, masks and clicks that a goal refers to, followed from look to
look.
"""
