"""The small mask head: frame + words -> masks, presence, predicted IoU; and which labels
to trust.
"""
