"""Studies: many searches and trainings by one recipe, and what they say together."""
