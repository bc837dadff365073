"""The processes of a run: started on one machine or many, and what they tell each other.

Door: `group.Group` with its engines, and `launcher.launch`. Must not know settings or training.
"""
