"""Who predicts bundles: baselines, students here, students behind a server."""
