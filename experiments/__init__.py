"""The long runs behind the chapters that measure: one harness, small config files, results as JSON with their provenance."""
