"""Evaluation statistics and the report: what the numbers are, how sure they are, and a page that
shows both.
"""
