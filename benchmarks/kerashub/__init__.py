"""Every backbone class of KerasHub in a tiny configuration, random weights.

Needs `pip install keras-hub` beside what the project runs on.
"""
