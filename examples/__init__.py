"""Programs that show how Andon is used; each runs in CI."""
