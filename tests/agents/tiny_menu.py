"""A menu file of one row."""

TEA = """
[[action]]
name = "tea"
half_hours = 0
stimulation = [0, 0.4]
source = "an educated guess"
grade = "assumed"
"""
