"""Pictures of HeartPole: `curves` of the body, `strip_chart` of an episode. Importing either needs matplotlib."""
