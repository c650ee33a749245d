"""What every program needs: commands and their exit codes, cache keys, devices, processes,
progress.
"""
