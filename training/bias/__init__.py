"""Does a model read the same sentence alike, whoever it is about? Matched pairs over sex, age, race, language,
insurance, gender identity and names, compared from entities to codes.
"""
